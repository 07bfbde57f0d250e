"""Studybuddy as it runs: both databases, migrated and installed, a worker process, the application, people who use it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
from alembic import command
from alembic.config import Config
from fastapi import FastAPI
from pymongo import MongoClient
from sqlalchemy import create_engine
from studybuddy.app import create_app
from studybuddy.settings import Settings, sqlalchemy_url

from syncline import Freshness
from tests.relay import until

HOME = Path(__file__).parents[3] / "examples/studybuddy"
PASSWORD = "correct horse battery"
SECRET = "a secret that only these tests know, 40 characters"
WAITING = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'studybuddy' AND wait_event_type = 'Lock'"""
"""Requests that wait for a row that somebody holds."""
_numbers = itertools.count(1)


def migrate(url: str, *steps: str) -> None:
    """Run migrations: ``"head"`` up, ``"base"`` down."""
    engine = create_engine(sqlalchemy_url(url))
    with engine.begin() as connection:
        config = Config(str(HOME / "alembic.ini"))
        config.attributes["connection"] = connection
        for step in steps:
            (command.downgrade if step == "base" else command.upgrade)(config, step)
    engine.dispose()


class System:
    """Both databases and what runs on them.

    ``database_url`` is libpq's; the application, Alembic and Syncline get it with the name of ``dialect`` in front.
    """

    def __init__(
        self, database_url: str, mongo_url: str, mongo_database: str, folder: Path, dialect: str = "postgresql"
    ) -> None:
        self.database_url = database_url
        url = f"{dialect}://{database_url.partition('://')[2]}"
        self.log = folder / "worker.log"
        self.mongo_url = urlsplit(mongo_url)._replace(path=f"/{mongo_database}").geturl()
        self.settings = Settings(
            database_url=url,
            mongodb_url=self.mongo_url,
            secret=SECRET,
            synced_seconds=30,
            mongodb_seconds=15,
            hash_memory_kib=32,
        )
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SYNCLINE_")},
            "DATABASE_URL": url,
            "MONGODB_URL": self.mongo_url,
            "STUDYBUDDY_SECRET": SECRET,
            "SYNCLINE_WORKER__LEASE_SECONDS": "2",
            "SYNCLINE_WORKER__RENEW_SECONDS": "0.5",
        }
        migrate(url, "head")
        self.syncline("install", "--yes")

    def syncline(self, *arguments: str) -> str:
        """Run a command as an operator would, in the application's folder."""
        done = subprocess.run(
            [sys.executable, "-m", "syncline.cli.main", *arguments],
            cwd=HOME,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def worker(self) -> Iterator[None]:
        """Run ``syncline worker`` for a block; it ends in order."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "syncline.cli.main", "worker"],
                cwd=HOME,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        with contextlib.ExitStack() as end:
            end.callback(process.wait)
            end.callback(process.kill)
            deadline = time.monotonic() + 60
            while not self.sql("SELECT 1 FROM syncline.lane WHERE owner IS NOT NULL LIMIT 1"):
                assert process.poll() is None, self.worker_log()
                assert time.monotonic() < deadline, f"the worker got no lanes: {self.worker_log()}"
                time.sleep(0.05)
            yield
            process.terminate()
            assert process.wait(30) == 0, self.worker_log()

    def worker_log(self) -> str:
        """Give the end of what workers said."""
        return self.log.read_text()[-3000:]

    def app(self, **changes: Any) -> FastAPI:
        """Make the application; close its services afterwards."""
        return create_app(self.settings.model_copy(update=changes))

    def sql(self, query: Any, *values: Any) -> list[Any]:
        """Ask the primary."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def documents(self, collection: str, where: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Ask the secondary."""
        with MongoClient[dict[str, Any]](self.mongo_url, tz_aware=True, serverSelectionTimeoutMS=15_000) as client:
            return list(client.get_default_database()[collection].find(where or {}).sort("_id", 1))

    async def synced(self, token: str) -> None:
        """Wait until MongoDB has what this token's transaction wrote."""
        freshness = Freshness(self.database_url)
        synced = await freshness.synced(token, 60)
        await freshness.close()
        assert synced, self.sql("SELECT * FROM syncline.waiting LIMIT 10")

    async def drained(self) -> None:
        """Wait until nothing is left to be applied."""
        await until(lambda: not self.sql("SELECT 1 FROM syncline.waiting LIMIT 1"), seconds=60, what="drained")

    def events(self, entity: str, key: int) -> list[tuple[str, Any]]:
        """List the events of one record, oldest first."""
        question = (
            'SELECT event_type, payload FROM "Outbox" WHERE aggregate_type = %s AND aggregate_id = %s ORDER BY id'
        )
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute("SET search_path = public, syncline")
            return connection.execute(question, (entity, str(key))).fetchall()


class Person:
    """A user with a client of their own, at an address of their own."""

    def __init__(self, app: FastAPI) -> None:
        number = next(_numbers)
        self.username = f"user{number}-{os.getpid()}"
        self.email = f"{self.username}@example.org"
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        self.client = client(app, address)
        self.id = 0
        self.token = ""

    async def join(self, **more: Any) -> Person:
        """Register and log in."""
        new = {"email": self.email, "username": self.username, "password": PASSWORD, **more}
        own = await self.post("/api/users", new)
        self.id = own["id"]
        await self.log_in()
        return self

    async def log_in(self, password: str = PASSWORD) -> str:
        """Log in again; give the access token."""
        answer = await self.post("/api/auth/login", {"email": self.email, "password": password}, status=200)
        self.client.headers["Authorization"] = f"Bearer {answer['accessToken']}"
        return answer["accessToken"]

    def use(self, app: FastAPI) -> Person:
        """The same person at another instance of the application."""
        other = object.__new__(Person)
        other.__dict__ = {**self.__dict__, "client": client(app, "10.255.255.255")}
        other.client.headers["Authorization"] = self.client.headers["Authorization"]
        return other

    async def send(self, method: str, path: str, body: Any = None, *, status: int, **options: Any) -> httpx.Response:
        """Send a request; it must be answered with this status. A write's token is kept."""
        if body is not None:  # json= would not send half a surrogate pair
            options["content"] = json.dumps(body)
            options["headers"] = {"Content-Type": "application/json", **options.get("headers", {})}
        response = await self.client.request(method, path, **options)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
        self.token = response.headers.get("Syncline-Token", self.token)
        return response

    async def get(self, path: str, *, status: int = 200, fresh: bool = False) -> Any:
        """Read; with ``fresh`` what this person has written is in it."""
        return (await self.look(path, status=status, fresh=fresh)).json()

    async def look(self, path: str, *, status: int = 200, fresh: bool = False) -> httpx.Response:
        """Read, and give the whole response."""
        headers = {"Syncline-Token": self.token} if fresh else {}
        return await self.send("GET", path, status=status, headers=headers)

    async def post(self, path: str, body: Any = None, *, status: int = 201) -> Any:
        """Create."""
        return (await self.send("POST", path, body, status=status)).json()

    async def patch(self, path: str, body: Any, *, status: int = 200) -> Any:
        """Change."""
        return (await self.send("PATCH", path, body, status=status)).json()

    async def delete(self, path: str, *, status: int = 204) -> None:
        """Delete."""
        await self.send("DELETE", path, status=status)


def client(app: FastAPI, address: str = "10.0.0.1") -> httpx.AsyncClient:
    """Make a client that calls the application in this process; errors of the application are answers."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://studybuddy")


@contextlib.asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[FastAPI]:
    """Close the application's services at the end of a block."""
    try:
        yield app
    finally:
        await app.state.services.close()
