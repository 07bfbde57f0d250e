"""Many links of a pattern in one worker: none stops another one, and links come and go while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from pymongo import MongoClient

from syncline import running
from syncline.capture.postgres.install import install, plan
from syncline.config import Settings, load, load_links
from syncline.running import run_workers
from syncline.telemetry.observer import NullObserver
from syncline.wiring.sides import opened_source
from tests.relay import until

FILE = """\
[worker]
lease_seconds = 2
renew_seconds = 0.25
[links."t_*"]
each = "words.txt"
[links."t_*".source]
url = "{source}"
[links."t_*".target]
url = "{mongo}"
database = "{name}_{{each}}"
[links."t_*".entities.item]
table = "item"
[links.t_down]
source.url = "postgresql://nobody@127.0.0.1:1/none"
target.url = "{mongo}"
target.database = "{name}"
entities.item.table = "item"
[links.t_stranger]
source.url = "{stranger}"
target.url = "{mongo}"
target.database = "{name}_stranger"
entities.item.table = "item"
"""


class Declared:
    """Reads the file again."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.left: list[str] = []

    def links(self) -> Sequence[Settings]:
        return load_links(self._file, {})

    def observer(self, _: Settings) -> NullObserver:
        return NullObserver()

    async def leave(self, link: str) -> None:
        self.left.append(link)


class Fleet:
    """A file with a pattern, and a database for each of its words."""

    def __init__(self, url: str, prefix: str, mongo: str, name: str, folder: Path) -> None:
        self._url, self._prefix, self._name = url, prefix, name
        self._mongo: MongoClient[Any] = MongoClient(mongo)
        self.file, self._words = folder / "syncline.toml", folder / "words.txt"
        stranger = f"postgresql://{uuid4().hex}@/{{}}?{urlsplit(url).query}"
        text = FILE.format(source=self.at("{each}"), mongo=mongo, name=name, stranger=stranger.format("postgres"))
        self.file.write_text(text, "utf-8")

    def at(self, word: str) -> str:
        return urlsplit(self._url)._replace(path=f"/{self._prefix}{word}").geturl()

    def declare(self, *words: str) -> None:
        self._words.write_text("\n".join(words), "utf-8")

    def server(self, statement: str, word: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as conn:
            conn.execute(sql.SQL(statement).format(sql.Identifier(f"{self._prefix}{word}")))  # type: ignore[arg-type]

    def run(self, word: str, statement: Any) -> list[Any]:
        with psycopg.connect(self.at(word), autocommit=True) as conn:
            cursor = conn.execute(statement)
            return cursor.fetchall() if cursor.description else []

    async def install(self, word: str) -> None:
        settings = load(self.file, {}, link=f"t_{word}")
        async with opened_source(settings) as conn:
            await install(conn, await plan(conn, settings.entities))

    async def arrives(self, word: str, number: int) -> None:
        """Write a record, and wait until it is there."""
        self.run(word, sql.SQL("INSERT INTO item VALUES ({})").format(number))
        found = self._mongo[f"{self._name}_{word}"]["item"]
        await until(lambda: found.find_one({"_id": number}), what=f"{number} of {word} is there")

    def close(self, words: Sequence[str]) -> None:
        for word in words:
            self.server("DROP DATABASE IF EXISTS {} WITH (FORCE)", word)
            self._mongo.drop_database(f"{self._name}_{word}")
        self._mongo.close()


WORDS = ("good", "dropped", "bare", "late")


@pytest.fixture
def fleet(database: str, mongo_url: str, mongo_db: str, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(database, f"fleet_{uuid4().hex[:8]}_", mongo_url, mongo_db, tmp_path)
    try:
        for word in WORDS:
            made.server("CREATE DATABASE {}", word)
            made.run(word, "CREATE TABLE item (id bigint PRIMARY KEY)")
        yield made
    finally:
        made.close(WORDS)


@contextlib.asynccontextmanager
async def served(fleet: Fleet, declared: Declared) -> AsyncIterator[None]:
    serving = asyncio.create_task(
        run_workers([(one, NullObserver()) for one in load_links(fleet.file, {})], declared=declared)
    )
    try:
        yield
    finally:
        signal.raise_signal(signal.SIGTERM)
        await serving


async def test_no_link_stops_another_one_and_links_come_and_go(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """One source is away, one lets nobody in, one is not installed until later, one is dropped while it is served."""
    monkeypatch.setattr(running, "AGAIN_SECONDS", 0.1)
    fleet.declare(*WORDS[:3])
    for word in ("good", "dropped"):
        await fleet.install(word)
    declared = Declared(fleet.file)
    async with served(fleet, declared):
        await fleet.arrives("good", 1)
        await fleet.arrives("dropped", 1)
        fleet.server("DROP DATABASE {} WITH (FORCE)", "dropped")
        await fleet.arrives("good", 2)
        await fleet.install("bare")
        await fleet.arrives("bare", 1)

        fleet.declare(*WORDS)
        await fleet.install("late")
        await fleet.arrives("late", 1)
        fleet.declare("bare", "late")
        await until(lambda: sorted(declared.left) == ["t_dropped", "t_good"], what="two are served no more")
        assert fleet.run("good", "SELECT count(*) FROM syncline_t_good.worker") == [(0,)]
        await fleet.arrives("late", 2)
        fleet.declare("bare", "good", "late")
        await fleet.arrives("good", 3)
