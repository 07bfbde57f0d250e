"""A part of the application goes to live and back while people use it: by the phases of the journal, and the gates."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from syncline.config.documents import Documents, load_documents
from syncline.contrib.django import postgres_url
from syncline.documents.opening import opened
from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.postgres import PrivatePostgres
from syncline.phases import Phase
from syncline.phases.changing import Control
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.in_postgresql import InPostgreSQL
from syncline.phases.standing import Standing
from syncline.phases.switching.changing import change_sides
from syncline.relay.documents.pump import DocumentPump
from tests import engines
from tests.acceptance.taskboard.system import ADMIN, HOME, PASSWORD, Person, Taskboard, set_up, variables
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS

GROUP = ["labels", "tasks"]
PAUSE = timedelta(seconds=30)


class Moving(Taskboard):
    """The application, whose collections are all in the ramp, read from PostgreSQL."""

    def __init__(self, env: dict[str, str]) -> None:
        super().__init__(env, Phase.RAMP)
        given = {**env, "DATABASE_URL": postgres_url(env)}
        self.documents: Documents = load_documents(HOME / "syncline.toml", given)
        self.places = InMongoDB(given["MONGODB_URL"]), InPostgreSQL(given["DATABASE_URL"])

    def ramp(self) -> None:
        self.places[1].prepare()
        names = [one.collection.name for one in self.documents.mappings]
        for place in self.places:
            place.put({name: Standing(Phase.RAMP, 100.0, 1, datetime.now(UTC)) for name in names})
        asyncio.run(self._carry())

    async def _carry(self) -> None:
        async with opened(self.documents) as link:
            await DocumentPump(link.source, link.rows, link.collections).walk()

    def go(self, forward: bool) -> None:
        """Take the group to the other side."""
        control = Control(*self.places, Phase.OFF)
        change = control.forward(GROUP, None) if forward else control.backward(GROUP, None)
        asyncio.run(change_sides(self.documents.only(GROUP), change, pause=PAUSE))


@pytest.fixture
def moving(postgres: PrivatePostgres, mongo: PrivateMongo) -> Iterator[Moving]:
    with engines.fresh_mongo_database(mongo.url) as name, engines.fresh_database(postgres.url) as url:
        env = variables(url, urlsplit(mongo.url)._replace(path=f"/{name}").geturl())
        set_up({**env, "DUAL_WRITE_ENABLED": "true"})
        app = Moving({**env, "DUAL_WRITE_ENABLED": "true"})
        with app.serving():
            app.migrated()
            from taskboard.management.commands.seed import seed
            from taskboard.services import served

            seed(served().repositories, ADMIN, PASSWORD)
        app.ramp()
        yield app
        for place in app.places:
            place.close()


@contextmanager
def creating(app: Moving, admin: Person) -> Iterator[list[str]]:
    """Have somebody else create labels beside a block; those that were acknowledged."""
    created: list[str] = []
    ended = threading.Event()
    other = Person(app, admin.email)
    other.token = admin.token

    def create() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            answer = other.client.post(
                "/v1/labels",
                {"name": f"beside {number}", "color": "#000000"},
                "application/json",
                headers={"Authorization": f"Bearer {other.token}"},
            )
            if answer.status_code == 201:
                created.append(answer.json()["id"])

    thread = threading.Thread(target=create)
    thread.start()
    try:
        yield created
    finally:
        ended.set()
        thread.join()


def test_a_group_goes_live_and_back_while_it_is_used(moving: Moving) -> None:
    with moving.serving(phases=None, writer=None) as databases:
        admin = Person(moving, ADMIN).log_in()
        first = admin.post("v1/labels", {"name": "before", "color": "#000000"})["id"]
        with creating(moving, admin) as created:
            moving.go(forward=True)
            there = admin.post("v1/labels", {"name": "in live", "color": "#000000"})["id"]
            task = admin.post("v1/tasks", {"title": "in live", "labels": [first, there]})
            assert sorted(task["labels"]) == sorted([first, there])
            assert databases.phases.of("labels") is Phase.LIVE
            health = admin.get("api/health/sync")["collections"]["tasks"]
            assert (health["phase"], health["failed"], health["pending"] > 0) == ("live", 0, True), "no worker runs"
            assert not databases.mongodb["labels"].count_documents({"name": "in live", "_sync.mark": {"$exists": True}})
            moving.go(forward=False)
        assert databases.phases.of("tasks") is Phase.RAMP
        admin.patch(f"v1/tasks/{task['id']}", {"title": "back again"})
        known: Any = {str(one["_id"]) for one in databases.collection("labels").find()}
        assert {first, there, *created} <= known
        assert databases.collection("tasks").find_one({"title": "back again"}) is not None
        assert created
