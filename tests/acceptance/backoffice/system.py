"""Backoffice as it runs: its databases, migrated and seeded, the application, people who use it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
from backoffice.app import create_app
from backoffice.seed import seed
from backoffice.settings import Settings
from fastapi import FastAPI
from sqlalchemy import Engine, event
from typer.testing import CliRunner

from syncline.cli.main import app as syncline
from syncline.split import Databases, Placeholders
from tests.integration.split_case import variables

HOME = Path(__file__).parents[3] / "examples/backoffice"
ADMIN = "root@example.org"
PASSWORD = "correct horse battery"
SETTINGS = Settings(hash_memory_kib=32, login_attempts=1000, settle_seconds=3600)
_numbers = itertools.count(1)


def run(*arguments: str, env: dict[str, str], status: int = 0) -> str:
    """Run a command of Syncline's in the application's folder, as an operator would."""
    with contextlib.chdir(HOME):
        done = CliRunner().invoke(syncline, arguments, env=env)
    assert done.exit_code == status, done.output
    return done.output


@dataclass
class System:
    """The databases, and their migrated tables; in single mode both URLs are the same."""

    primary: str
    data: str

    @property
    def split(self) -> bool:
        return self.primary != self.data

    @property
    def environment(self) -> dict[str, str]:
        return variables(self.primary, self.data if self.split else None)

    def databases(self) -> Databases:
        """Read the configuration as the application does."""
        return Databases.from_environment(HOME / "syncline.toml", self.environment, dotenv=None)

    def app(self, **changes: Any) -> FastAPI:
        """Make an instance of the application, as another process would."""
        return create_app(SETTINGS.model_copy(update=changes), self.databases())

    def ask(self, database: str, query: Any, *values: Any) -> list[Any]:
        """Ask one of the databases."""
        with psycopg.connect(getattr(self, database), autocommit=True) as connection:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def tables(self, database: str) -> set[str]:
        query = "SELECT tablename FROM pg_tables WHERE schemaname IN ('public', 'customers')"
        return {name for (name,) in self.ask(database, query)}


@contextlib.asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[FastAPI]:
    """Open the application's services for a block."""
    async with app.state.services.open():
        yield app


def prepared(system: System) -> None:
    """Make the tables, the roles and the first administrator."""
    run("db", "migrate", env=system.environment)
    services = system.app().state.services

    async def seeded() -> None:
        async with services.databases:
            await seed(services, ADMIN, PASSWORD)

    asyncio.run(seeded())


@contextlib.contextmanager
def counted(app: FastAPI) -> Iterator[list[str]]:
    """List the statements on PRIMARY's tables that are sent in a block."""
    databases = app.state.services.databases
    found: list[str] = []

    def look(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "primary" in databases.routing.verdict(statement, Placeholders.PERCENT).owners:
            found.append(statement)

    event.listen(Engine, "before_cursor_execute", look)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", look)


class Person:
    """Somebody with a client of their own."""

    def __init__(self, app: FastAPI, email: str = "") -> None:
        self.number = next(_numbers)
        self.email = email or f"user{self.number}-{os.getpid()}@example.org"
        self.client = client(app, f"10.{self.number >> 16 & 255}.{self.number >> 8 & 255}.{self.number & 255}")
        self.id = 0

    async def log_in(self, password: str = PASSWORD) -> Person:
        """Log in; the token is sent from now on."""
        answer = await self.post("/api/auth/login", {"email": self.email, "password": password}, status=200)
        self.client.headers["Authorization"] = f"Bearer {answer['token']}"
        return self

    def at(self, app: FastAPI) -> Person:
        """The same person, with the same session, at another process."""
        other = Person(app, self.email)
        other.client.headers["Authorization"] = self.client.headers["Authorization"]
        return other

    async def send(self, method: str, path: str, body: Any = None, *, status: int, **options: Any) -> httpx.Response:
        """Send a request; it must be answered with this status."""
        if body is not None:
            options["content"] = json.dumps(body)
            options["headers"] = {"Content-Type": "application/json", **options.get("headers", {})}
        response = await self.client.request(method, path, **options)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
        if status >= 400:
            assert response.headers["Content-Type"] == "application/problem+json"
            assert response.json()["status"] == status
        return response

    async def get(self, path: str, *, status: int = 200) -> Any:
        return (await self.send("GET", path, status=status)).json()

    async def post(self, path: str, body: Any = None, *, status: int = 201) -> Any:
        response = await self.send("POST", path, body, status=status)
        return response.json() if response.content else None

    async def patch(self, path: str, body: Any, *, status: int = 200) -> Any:
        return (await self.send("PATCH", path, body, status=status)).json()

    async def put(self, path: str, body: Any, *, status: int = 200) -> Any:
        return (await self.send("PUT", path, body, status=status)).json()

    async def delete(self, path: str, *, status: int = 204) -> None:
        await self.send("DELETE", path, status=status)


def client(app: FastAPI, address: str = "10.0.0.1") -> httpx.AsyncClient:
    """Make a client that calls the application in this process; errors of the application are answers."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://backoffice")
