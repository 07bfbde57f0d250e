"""A document link for tests: a MongoDB with collections, a PostgreSQL with their tables, and the file that says so."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import psycopg
from pymongo import MongoClient
from typer.testing import CliRunner

from syncline.capture.documents import wrap
from syncline.cli.main import app
from syncline.config.documents import Documents, load_documents
from syncline.documents.opening import opened
from syncline.documents.worker import DocumentWorker
from syncline.engines.postgres.documents.definitions import schema
from syncline.telemetry.observer import Event, NullObserver

DECLARED = """
[collections.tasks]
id = "any"
[collections.tasks.columns]
title = "text"
n = "integer"
[collections.labels]
id = "any"
columns = { name = "text" }
"""


class DocumentStage:
    """Both sides, the file, and the commands."""

    def __init__(self, folder: Path, mongo_url: str, mongo_db: str, database: str, text: str = DECLARED) -> None:
        self.file, self.database = folder / "documents.toml", database
        self.mongo_url = mongo_url.replace("/?", f"/{mongo_db}?")
        self.client: MongoClient[Any] = MongoClient(mongo_url)
        self.mongo = self.client[mongo_db]
        self.declare(text)

    def declare(self, text: str) -> None:
        """Write the file."""
        sides = f'[source]\nurl = "{self.mongo_url}"\n[target]\nurl = "{self.database}"\n'
        self.file.write_text(sides + text)

    @property
    def documents(self) -> Documents:
        """What the file says."""
        return load_documents(self.file, {})

    def collection(self, name: str) -> Any:
        """Give a collection as the application has it."""
        return wrap(self.mongo[name])

    def make_tables(self) -> None:
        """Make the tables as they are declared."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            for statement in schema(self.documents.mappings):
                connection.execute(statement)

    def sql(self, query: str) -> list[Any]:
        """Ask PostgreSQL, or change something there."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def call(self, *words: str, status: int = 0) -> str:
        """Run a command in this process; give what it said."""
        return self._ended(*words, status=status).output

    def _ended(self, *words: str, status: int) -> Any:
        ended = CliRunner().invoke(app, [*words, "--config", str(self.file)])
        assert ended.exit_code == status, ended.output
        return ended

    def json(self, *words: str, status: int = 0) -> Any:
        """Run a command that prints JSON."""
        return json.loads(self._ended(*words, "--json", status=status).stdout)

    def close(self) -> None:
        """Let go of the client."""
        self.client.close()

    def work(self, until: Any, *, observer: NullObserver | None = None, **options: Any) -> None:
        """Run a worker until something is so."""

        async def run() -> None:
            async with opened(self.documents) as link:
                await working(DocumentWorker(link, observer or NullObserver(), **options), until)

        asyncio.run(run())


async def working(worker: DocumentWorker, until: Any) -> None:
    """Run a worker until something is so, and stop it; what it ends with is raised."""
    running = asyncio.ensure_future(worker.run())
    while not running.done() and not await asyncio.to_thread(until):
        await asyncio.sleep(0.02)
    worker.stop()
    await running


class Heard(NullObserver):
    """Keeps what a worker tells."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def tell(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)
