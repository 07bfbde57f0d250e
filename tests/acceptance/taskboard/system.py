"""Taskboard as it runs: both databases, an in-process client, people who use it, and what carries marks."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import django
from anyio.from_thread import start_blocking_portal
from bson import ObjectId
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.urls import Resolver404
from psycopg.conninfo import conninfo_to_dict

from syncline.config.documents import load_documents
from syncline.contrib.django import DocumentDatabases, postgres_settings, postgres_url
from syncline.documents.opening import opened
from syncline.phases import FixedPhases, Phase
from syncline.relay.documents.pump import DocumentPump

HOME = Path(__file__).parents[3] / "examples/taskboard"
ADMIN, PASSWORD = "root@example.org", "correct horse battery"
FAST = "django.contrib.auth.hashers.MD5PasswordHasher"
BEFORE_LIVE = (Phase.OFF, Phase.DUAL_WRITE, Phase.SHADOW, Phase.RAMP)
"""Those in which MongoDB is the truth."""
PHASES = (*BEFORE_LIVE, Phase.LIVE)
"""The tests of the API run in each, on the same data."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_ID = re.compile(r'\b[0-9a-f]{24}\b|(?<="inviteCode": ")[^"]+|(?<="token": ")[^"]+')


def variables(postgres: str, mongodb: str) -> dict[str, str]:
    """Give the environment of the application."""
    info = conninfo_to_dict(postgres)
    names = {"HOST": "host", "PORT": "port", "NAME": "dbname", "USER": "user", "PASSWORD": "password"}
    given = {f"POSTGRES_{ours}": str(info.get(theirs) or "") for ours, theirs in names.items()}
    return {"TASKBOARD_SECRET_KEY": "for tests only", "MONGODB_URL": mongodb, **given}


def set_up(env: Mapping[str, str]) -> None:
    """Start Django in this process, once; the environment is for its settings alone, and not for tests after it."""
    if not settings.configured:
        with mock.patch.dict(os.environ, {**env, "DJANGO_SETTINGS_MODULE": "taskboard.settings"}):
            django.setup()
        settings.PASSWORD_HASHERS = [FAST]


class Taskboard:
    """The application in one phase, on databases of its own."""

    def __init__(self, env: Mapping[str, str], phase: Phase) -> None:
        self.env, self.phase = env, phase
        self.said: list[Any] = []
        """What was answered, in a form that is the same whenever the same is answered."""
        self._known: dict[str, str] = {}
        self.routes: set[str] = set()
        """Those that have answered."""
        self.written: set[str] = set()
        self.carrier: Callable[[], Any] | None = None
        """Carries every mark to PostgreSQL."""

    @contextmanager
    def serving(self, **options: Any) -> Iterator[DocumentDatabases]:
        """Have the views use these databases, for a block."""
        made = DocumentDatabases.from_environment(HOME / "syncline.toml", self.env)
        phases = FixedPhases(self.phase, percent=50.0 if self.phase is Phase.RAMP else 0.0)
        given = {"documents": made.documents, "postgres": made.postgres, "phases": phases, "writer": self}
        databases = DocumentDatabases(**(given | options))
        before, settings.SYNCLINE_DOCUMENTS = settings.SYNCLINE_DOCUMENTS, databases
        app = apps.get_app_config("taskboard")
        app.__dict__.pop("repositories", None)
        try:
            yield databases
        finally:
            app.__dict__.pop("repositories", None)
            settings.SYNCLINE_DOCUMENTS = before
            databases.close()

    def migrated(self) -> None:
        """Make the tables and the indexes, as a deployment does."""
        connections["default"].close()
        connections["default"].settings_dict.update(postgres_settings(self.env))
        call_command("migrate", verbosity=0)
        connections["default"].close()

    @contextmanager
    def carried(self) -> Iterator[None]:
        """Have what is written carried to PostgreSQL before the next request, where that is read."""
        if self.phase is not Phase.RAMP:
            yield
            return
        documents = load_documents(HOME / "syncline.toml", {**self.env, "DATABASE_URL": postgres_url(self.env)})
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(opened(documents)) as link:
            pumps = {one: DocumentPump(link.source, link.rows, [one]) for one in link.collections}
            self.carrier = lambda: [portal.call(pumps[one].walk) for one in self._take()]
            yield
            self.carrier = None

    def _take(self) -> list[str]:
        taken = sorted(self.written)
        self.written.clear()
        return taken

    # what makes the writes while MongoDB is the truth: the repository, and it is noted what has to be carried

    def create(self, repository: Any, document: Any) -> Any:
        self.written.add(repository.collection_name)
        return repository.create(document)

    def update(self, repository: Any, id_: Any, changes: Any, *, get: Callable[[Any], Any]) -> Any:
        self.written.add(repository.collection_name)
        return repository.update(id_, changes)

    def delete(self, repository: Any, id_: Any) -> Any:
        self.written.add(repository.collection_name)
        return repository.delete(id_)

    def is_behind(self, _: Any) -> bool:
        """Every mark is carried before the next request."""
        return False

    def wrote(self) -> None:
        """Carry what was written: what a worker does all the time."""
        if self.carrier is not None:
            self.carrier()

    def say(self, what: str, answer: Any) -> None:
        """Note an answer, ids and times aside."""
        text = _TIME.sub("TIME", json.dumps([what, answer], ensure_ascii=False))
        self.said.append(_ID.sub(self._numbered, text))

    def _numbered(self, found: re.Match[str]) -> str:
        return self._known.setdefault(found.group(), f"#{len(self._known)}")


class Person:
    """Somebody with a client of their own."""

    def __init__(self, app: Any, email: str = "", password: str = PASSWORD) -> None:
        self.app, self.password = app, password
        self.email = email or f"user-{ObjectId()}@example.org"
        self.client, self.token, self.id = Client(), "", ""

    def ask(self, method: str, path: str, body: Any = None, *, status: int | None = None) -> Any:
        """Send a request; the answer's JSON. Afterwards PostgreSQL has what it wrote."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = "" if body is None else body if isinstance(body, bytes) else json.dumps(body)
        response = self.client.generic(method, f"/{path}", data, "application/json", headers=headers)
        if method != "GET":
            self.app.wrote()
        with suppress(Resolver404):  # it is lazy: an unknown path is resolved here
            self.app.routes.add(response.resolver_match.route)
        expected = status or {"POST": 201, "DELETE": 204}.get(method, 200)
        assert response.status_code == expected, response.content
        answer = response.json() if response.content else None
        self.app.say(f"{method} {path} {response.status_code}", answer)
        return answer

    def get(self, path: str, status: int = 200) -> Any:
        return self.ask("GET", path, status=status)

    def post(self, path: str, body: Any, status: int = 201) -> Any:
        return self.ask("POST", path, body, status=status)

    def patch(self, path: str, body: Any, status: int = 200) -> Any:
        return self.ask("PATCH", path, body, status=status)

    def put(self, path: str, body: Any, status: int = 200) -> Any:
        return self.ask("PUT", path, body, status=status)

    def delete(self, path: str, status: int = 204) -> Any:
        return self.ask("DELETE", path, status=status)

    def log_in(self) -> Person:
        self.token = self.post("v1/auth/login", {"email": self.email, "password": self.password}, 200)["token"]
        self.id = self.get("v1/auth/me")["id"]
        return self
