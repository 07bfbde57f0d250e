"""An installation of the previous release becomes one of this, under a live writer and a worker of the previous release."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import threading
from collections.abc import Iterator
from typing import Any, Self

import psycopg
import pytest

from syncline.capture.install import InstallOptions, install, plan
from syncline.errors import VersionError
from syncline.model.entity import Embed, TableName
from syncline.outbox.connection import connect, identify
from syncline.outbox.migration import SCHEMA_VERSION
from syncline.ports import Beat
from syncline.targets.memory import MemoryTarget
from tests.integration.test_migrations import older
from tests.previous import PreviousWorker, acknowledgement, blocks
from tests.relay import ITEM, Relay, entity, until

BOOKS = Embed("books", TableName.parse("book"), ("author_id",))
ENTITIES = (ITEM, entity("author", embeds=(BOOKS,)), entity("huge"))
"""As they were installed then."""


class Writer:
    """An application with the previous release: plain statements, marks, events, tokens; a thread of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.errors: list[BaseException] = []
        self.written = 0
        self.tokens: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with psycopg.connect(self.url, autocommit=True) as conn:
                while not self._stop.wait(0.005):
                    self._write(conn, self.written)
                    self.written += 1
        except BaseException as error:  # noqa: BLE001  it is looked at by the test
            self.errors.append(error)

    def _write(self, conn: psycopg.Connection[Any], number: int) -> None:
        send, key = blocks("application.sql"), 1000 + number
        with conn.transaction():
            conn.execute("INSERT INTO item VALUES (%s, 'made', %s)", [key, number])
            conn.execute(send["find"], {"entity": "item"})
            event = {"entity": 1, "key": str(key), "type": "item.made", "payload": '{"by": "x"}'}
            conn.execute(send["event"], event)
            self.tokens += [xid for (xid,) in conn.execute("SELECT pg_current_xact_id()::text")]
        conn.execute("UPDATE item SET qty = qty + 1 WHERE id = %s", [1000 + random.randint(0, number)])
        conn.execute(send["hook"], {"entity": 1, "key": "3"})
        if number % 5 == 0:
            conn.execute("DELETE FROM item WHERE id = %s", [1000 + random.randint(0, number)])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


async def expand(url: str, **options: Any) -> list[str]:
    async with await connect(url, application="syncline install") as conn:
        made = await plan(conn, ENTITIES, InstallOptions(**options))
        await install(conn, made)
        return made.summary


async def as_it_was_left(relay: Relay) -> None:
    """Let the target remember what the dump's worker had told it; its documents were not kept, and are asked for."""
    relay.sql("INSERT INTO syncline.task (kind, entity, reason) SELECT 'backfill', id, 'target' FROM syncline.entity")
    async with await connect(relay.url) as conn:
        identity = await identify(conn)
    installation, beat = relay.sql("SELECT installation::text, confirmed_beat FROM syncline.meta")[0]
    await relay.target.beat(Beat(installation, identity.system, beat, identity.timeline))
    await relay.target.announce(dict(relay.sql("SELECT lane, confirmed FROM syncline.lane WHERE confirmed > 0")))


@pytest.fixture
def old(database: str) -> Iterator[Relay]:
    older(database)
    relay = Relay(database, ENTITIES, MemoryTarget())
    with contextlib.closing(relay.conn):
        yield relay


def waits(relay: Relay) -> bool:
    return bool(relay.value("SELECT count(*) FROM syncline.outbox WHERE entity = 1 AND hint <> 'G'"))


async def advances(worker: PreviousWorker, running: asyncio.Future[None], *, by: int = 20) -> None:
    before = worker.applied
    await until(lambda: running.done() or worker.applied >= before + by, seconds=60)
    if running.done():
        running.result()


async def test_an_upgrade_under_a_live_writer_and_a_worker_of_the_previous_release_loses_nothing(old: Relay) -> None:
    """Expand, both releases side by side, back to the previous one alone, forth again, contract."""
    await as_it_was_left(old)
    with Writer(old.url) as writer:
        previous = PreviousWorker(old.url, old.target)
        running = asyncio.create_task(previous.run())
        await advances(previous, running)
        assert any("migrate" in line for line in await expand(old.url))
        await advances(previous, running)
        async with old.worker():
            await until(lambda: len(old.owners()) == 2, seconds=30)
            await advances(previous, running)
        await until(lambda: [str(owner) for owner in old.owners()] == [previous.id], seconds=30)
        await advances(previous, running)  # the previous release alone again, on the new tables
        async with old.worker():
            await expand(old.url, finish=True)
            with pytest.raises(VersionError, match=f"schema version {SCHEMA_VERSION}, this Syncline knows 1"):
                await asyncio.wait_for(running, 60)
            mark = writer.written
            await until(lambda: writer.written > mark + 20, seconds=60)  # its applications go on
            writer.__exit__()
            await old.drained(seconds=120, tasks=True, deferred=True)
            compare(old)

    assert writer.errors == []
    assert old.parked() == {"2": "mapping"}, "the one that was parked before"
    assert old.notices() == ["TargetRestored"], "of before"


def compare(relay: Relay) -> None:
    assert relay.documents(ITEM) == relay.rows(ITEM)
    authors = {document["_id"]: len(document["books"]) for document in relay.raw(ENTITIES[1])}
    assert authors == dict(
        relay.sql("SELECT a.id, count(b.id) FROM author AS a LEFT JOIN book AS b ON b.author_id = a.id GROUP BY 1")
    )


async def test_a_token_of_the_previous_release_is_answered_by_its_own_statement_after_the_migration(old: Relay) -> None:
    await as_it_was_left(old)
    old.sql("DELETE FROM syncline.parked; DELETE FROM huge")  # its transactions were numbered in another cluster
    with old.conn.transaction():
        old.sql("UPDATE item SET qty = 99 WHERE id = 1")
        xid = old.value("SELECT pg_current_xact_id()::text")
    await expand(old.url)
    ask = blocks("freshness.sql")["freshness"]
    installation = old.value("SELECT left(installation::text, 8) FROM syncline.meta")

    def answer() -> tuple[Any, ...]:
        return old.conn.execute(ask, {"depth": 10_000, "txs": [xid]}).fetchone() or ()

    assert answer() == (installation, False, False, True)
    async with old.worker():
        await old.drained(tasks=True)
    assert answer() == (installation, False, False, False)


def sent() -> dict[str, str]:
    """Everything that the release sends: statements by file and name."""
    found = {
        f"{file}: {name}": text
        for file in ("queries", "registry", "freshness", "session", "tasks", "verify", "application")
        for name, text in blocks(f"{file}.sql").items()
    }
    found["acknowledge: parked"] = acknowledgement("bad", "clear", "again", "remember_documents")
    return found | {"acknowledge: written": acknowledgement("all_good", "clear", "again", "remember")}


@pytest.mark.parametrize("finish", [False, True], ids=["expanded", "finished"])
async def test_everything_that_the_previous_release_sends_can_be_prepared(old: Relay, finish: bool) -> None:
    await expand(old.url, finish=finish)
    failed = {}
    for name, text in sent().items():
        numbers: dict[str, str] = {}
        query = re.sub(r"%\((\w+)\)s", lambda m: numbers.setdefault(m[1], f"${len(numbers) + 1}"), text)  # noqa: B023
        result = old.conn.pgconn.prepare(b"", query.replace("%%", "%").encode())
        if result.error_message:
            failed[name] = result.error_message.decode()

    assert failed == {}


def test_the_previous_release_is_played_from_what_it_sent() -> None:
    assert len(sent()) > 60
    assert "schema_version" in blocks("registry.sql")["version"]
