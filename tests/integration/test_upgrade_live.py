"""An installation of the previous release becomes one of this, under a live writer and a worker of the previous release."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Self

import psycopg
import pytest

from syncline.capture.postgres.install import InstallOptions, install, plan
from syncline.engines.memory.target import MemoryTarget
from syncline.errors import VersionError
from syncline.journal.migration import SCHEMA_VERSION
from syncline.model.entity import Embed, Fields, TableName
from syncline.ports import Beat
from syncline.postgres.connection import connect, identify
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
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


async def expand(relay: Relay, **options: Any) -> list[str]:
    """Do as `syncline install` does."""
    async with await connect(relay.url, application="syncline install") as conn:
        made = await plan(conn, relay.entities, InstallOptions(backfill=True, **options))
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


def unresolved(relay: Relay) -> list[str]:
    return [name for (name,) in relay.sql("SELECT name FROM syncline.notice WHERE resolved_at IS NULL ORDER BY at")]


async def advances(worker: PreviousWorker, running: asyncio.Future[None], *, by: int = 10) -> None:
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
        assert any("migrate" in line for line in await expand(old))
        await advances(previous, running)
        async with old.worker():
            await until(lambda: len(old.owners()) == 2, seconds=30)
            await advances(previous, running)
        await until(lambda: [str(owner) for owner in old.owners()] == [previous.id], seconds=30)
        await advances(previous, running)  # the previous release alone again, on the new tables
        async with old.worker():
            await expand(old, finish=True)
            with pytest.raises(VersionError, match=f"schema version {SCHEMA_VERSION}, this Syncline knows 1"):
                await asyncio.wait_for(running, 30)
            mark = writer.written
            await until(lambda: writer.written > mark + 20, seconds=60)  # its applications go on
            writer.stop()
            await old.drained(seconds=120, tasks=True, deferred=True)
            compare(old)

    assert writer.errors == []
    assert old.parked() == {"2": "mapping"}, "the one that was parked before"
    assert unresolved(old) == []


def compare(relay: Relay) -> None:
    assert relay.documents(ITEM) == relay.rows(ITEM)
    authors = {document["_id"]: len(document["books"]) for document in relay.raw(ENTITIES[1])}
    assert authors == dict(
        relay.sql("SELECT a.id, count(b.id) FROM author AS a LEFT JOIN book AS b ON b.author_id = a.id GROUP BY 1")
    )


TITLED = replace(ITEM, fields=Fields(rename={"name": "title"}))
NOTE = entity("note")


class Host:
    """Where one worker of this release runs; it is restarted with whatever file is there by then."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self._running = contextlib.AsyncExitStack()

    async def restart(self) -> None:
        await self.stop()
        await self._running.enter_async_context(self.relay.worker())

    async def stop(self) -> None:
        await self._running.aclose()


async def arrives(relay: Relay, key: int, *, field: str = "name") -> None:
    relay.sql("INSERT INTO item VALUES (%s, 'new', 0)", key)
    await until(lambda: (relay.document(key) or {}).get(field) == "new", seconds=60)


async def test_a_rolling_upgrade_of_the_package_and_then_of_the_file_loses_nothing(
    old: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    """Two hosts, one after the other; as docs/how-to/upgrade.md says it."""
    await as_it_was_left(old)
    previous = [PreviousWorker(old.url, old.target) for _ in range(2)]
    async with contextlib.AsyncExitStack() as stack:
        hosts = [Host(old), Host(old)]
        for host in hosts:
            stack.push_async_callback(host.stop)
        writer = stack.enter_context(Writer(old.url))
        running = [asyncio.create_task(one.run()) for one in previous]
        await asyncio.gather(*(advances(one, task) for one, task in zip(previous, running, strict=True)))
        await expand(old)
        for number, host in enumerate(hosts):
            previous[number].stop()
            await asyncio.wait_for(running[number], 60)
            await host.restart()
            await arrives(old, 9_000_000 + number)
        await expand(old, finish=True)

        old.sql("CREATE TABLE note (id int PRIMARY KEY, body text); INSERT INTO note VALUES (1, 'was there')")
        old.entities = [TITLED, *ENTITIES[1:], NOTE]
        await hosts[0].restart()  # the new file before it is installed: what is installed counts
        await arrives(old, 9_000_010)
        await expand(old)
        await arrives(old, 9_000_011, field="title")  # the other host has taken it over as well
        await until(lambda: old.document(1, NOTE), seconds=60)
        await hosts[1].restart()
        await arrives(old, 9_000_012, field="title")
        writer.stop()
        await old.drained(seconds=120, tasks=True, deferred=True)
        assert {document["_id"]: document["title"] for document in old.raw(ITEM)} == dict(
            old.sql("SELECT id, name FROM item")
        )
        assert all("name" not in document for document in old.raw(ITEM))

    assert writer.errors == []
    assert old.parked() == {"2": "mapping"}
    gc.collect()
    assert "never retrieved" not in caplog.text, "workers whose sessions were ended say so in a line"
    assert unresolved(old) == []


async def test_a_token_of_the_previous_release_is_answered_by_its_own_statement_after_the_migration(old: Relay) -> None:
    await as_it_was_left(old)
    old.sql("DELETE FROM syncline.parked; DELETE FROM huge")  # its transactions were numbered in another cluster
    with old.conn.transaction():
        old.sql("UPDATE item SET qty = 99 WHERE id = 1")
        xid = old.value("SELECT pg_current_xact_id()::text")
    await expand(old)
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
    await expand(old, finish=finish)
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
