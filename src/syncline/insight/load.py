"""A load test of a whole deployment: writes to a scratch table, through triggers and workers, until MongoDB shows them.

Everything is bounded, and nothing of it stays: the scratch entity, its table and its collection are removed at the end,
and what a killed run left behind is removed by the next one.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from syncline.capture.postgres.install import InstallOptions, install, options_of, plan
from syncline.config import Settings
from syncline.errors import SynclineError
from syncline.insight import reach
from syncline.model.entity import Entity, TableName
from syncline.ports import Target
from syncline.postgres.connection import Connection, translated
from syncline.postgres.dialect import on_cockroach
from syncline.postgres.sql import ours

NAME = "syncline_load"
SCRATCH = Entity(NAME, TableName("public", NAME), NAME)
COMMENT = "Syncline: scratch table of `syncline load`; it may be dropped."
SERVED = timedelta(seconds=30)
"""How long workers may take to serve the scratch table."""
LOOKS_PER_SECOND = 25
"""Writes whose way is followed to the end, at most."""
LOOK_SECONDS = 0.002
GIVEN_UP = 10.0
"""Seconds after which a followed write counts as unseen."""


class Scratchpad(Target, Protocol):
    """A target whose scratch collection can be dropped."""

    async def ask(self, command: Mapping[str, Any], *, admin: bool = False) -> Mapping[str, Any]:
        """Run a command and return the reply as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much to write."""

    rate: int = 200
    """Transactions a second, over all writers."""
    seconds: float = 20.0
    writers: int = 4
    rows: int = 1_000
    """Of the scratch table: first they are inserted, then updated at random."""


@dataclass(slots=True)
class Measured:
    """What was seen. Times are in milliseconds."""

    seconds: float = 0.0
    writes: list[float] = field(default_factory=list)
    """From BEGIN to COMMIT of one write."""
    visible: list[float] = field(default_factory=list)
    """From COMMIT to the document, of the writes that were followed."""
    unseen: int = 0
    """Followed writes that did not arrive in time."""
    queue: int = 0
    """The longest queue that was seen."""

    def as_dict(self) -> dict[str, Any]:
        """Give the form that ``--json`` prints."""
        return {
            "seconds": round(self.seconds, 1),
            "writes": len(self.writes),
            "rate": round(len(self.writes) / max(self.seconds, 0.001), 1),
            "writeMs": quantiles(self.writes),
            "visibleMs": quantiles(self.visible),
            "followed": len(self.visible) + self.unseen,
            "unseen": self.unseen,
            "longestQueue": self.queue,
        }


def quantiles(values: list[float]) -> dict[str, float | None]:
    """Give median, 99th percentile and maximum."""
    ordered = sorted(values)

    def at(share: float) -> float | None:
        return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 2) if ordered else None

    return {"p50": at(0.5), "p99": at(0.99), "max": at(1.0)}


Connect = Callable[[], AbstractAsyncContextManager[Connection]]


@asynccontextmanager
async def scratch(settings: Settings, connection: Connection, target: Scratchpad) -> AsyncIterator[None]:
    """Have the scratch table, captured and served by workers, for a block.

    Raises:
        SynclineError: a table of that name is somebody else's; what is installed is not what is configured; no worker
            serves it.

    """
    if on_cockroach(connection):
        raise SynclineError("a load test needs PostgreSQL", hint="on CockroachDB measure with your own writes")
    await _examine(settings, connection)
    try:
        await _create(settings, connection)
        await _served(connection, target)
        yield
    finally:
        await asyncio.shield(asyncio.ensure_future(remove(settings, connection, target)))


def _options(settings: Settings) -> InstallOptions:
    return options_of(settings.source)


async def _examine(settings: Settings, connection: Connection) -> None:
    found = await reach.query(
        connection,
        "SELECT obj_description(to_regclass(%(name)s), 'pg_class') AS comment,"
        " to_regclass(%(name)s) IS NOT NULL AS there",
        {"name": f"public.{NAME}"},
    )
    if found[0]["there"] and found[0]["comment"] != COMMENT:
        raise SynclineError(
            f"there is a table public.{NAME} that is not ours", hint="rename it for the time of the test"
        )
    installed = {row["name"] for row in await reach.rows(connection, "entities")} - {NAME}
    configured = {entity.name for entity in settings.entities}
    if installed != configured:
        raise SynclineError("what is installed is not what is configured", hint="run `syncline install` first")


async def _create(settings: Settings, connection: Connection) -> None:
    with translated():
        await connection.execute(
            f"DROP TABLE IF EXISTS public.{NAME};"
            f" CREATE TABLE public.{NAME} (id bigint PRIMARY KEY, note text NOT NULL);"
            f" COMMENT ON TABLE public.{NAME} IS '{COMMENT}'; GRANT SELECT ON public.{NAME} TO PUBLIC"
        )
    wanted = await plan(connection, [*settings.entities, SCRATCH], _options(settings))
    await install(connection, wanted)


async def _served(connection: Connection, target: Target) -> None:
    with translated():
        await connection.execute(f"INSERT INTO public.{NAME} VALUES (0, 'is it served?')")  # noqa: S608
    end = time.monotonic() + SERVED.total_seconds()
    while not await target.read(SCRATCH, [0]):
        if time.monotonic() > end:
            raise SynclineError(
                f"no worker has served the scratch table within {SERVED.total_seconds():g} s",
                hint="is one running, of this version? `syncline status` shows them",
            )
        await asyncio.sleep(0.1)


async def remove(settings: Settings, connection: Connection, target: Scratchpad) -> None:
    """Remove the scratch entity, its table and its collection, whatever a run has left of them."""
    try:
        if {row["name"] for row in await reach.rows(connection, "entities")} & {NAME}:
            await install(connection, await plan(connection, settings.entities, _options(settings)))
    finally:
        with translated():
            await connection.execute(f"DROP TABLE IF EXISTS public.{NAME}")
        await target.ask({"drop": NAME})


async def measure(
    connect: Connect, target: Target, options: Options, on_progress: Callable[[Measured], None] = lambda _: None
) -> Measured:
    """Write at the rate asked for and follow some of the writes; the scratch table must be there and served.

    Args:
        connect: opens a connection of a writer, in autocommit.
        target: where the documents arrive.
        options: how much.
        on_progress: hears what was measured so far, about twice a second.

    Raises:
        SourceUnavailableError, TargetUnavailableError: a side went away.

    """
    run = _Run(target, options)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(run.watch(connect, on_progress))
        await asyncio.gather(*(tasks.create_task(run.write(connect, number)) for number in range(options.writers)))
        run.measured.seconds = time.monotonic() - run.began
        await run.followed()
        watching.cancel()
    return run.measured


class _Run:
    def __init__(self, target: Target, options: Options) -> None:
        self.measured = Measured()
        self.began = time.monotonic()
        self._target, self._options = target, options
        self._next_look = 0.0
        self._looks: set[asyncio.Task[None]] = set()

    async def write(self, connect: Connect, number: int) -> None:
        """Write this writer's share, each write when it is due; one that is late is not made up for by a burst."""
        options = self._options
        own = range(number + 1, options.rows + 1, options.writers)
        pause, due, count = options.writers / options.rate, self.began + number / options.rate, 0
        async with connect() as connection:
            while (now := time.monotonic()) - self.began < options.seconds:
                if now < due:
                    await asyncio.sleep(due - now)
                key = own[count] if count < len(own) else random.choice(own)  # noqa: S311  no secret
                await self._write_one(connection, key, f"{number}.{count}")
                count += 1
                due = max(due + pause, time.monotonic() - 1.0)

    async def _write_one(self, connection: Connection, key: int, note: str) -> None:
        began = time.perf_counter()
        with translated():
            await connection.execute(
                f"INSERT INTO public.{NAME} VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET note = excluded.note",  # noqa: S608
                (key, note),
            )
        committed = time.perf_counter()
        self.measured.writes.append((committed - began) * 1000)
        if committed >= self._next_look:
            self._next_look = committed + 1 / LOOKS_PER_SECOND
            look = asyncio.create_task(self._follow(key, note, committed))
            self._looks.add(look)
            look.add_done_callback(self._looks.discard)

    async def _follow(self, key: int, note: str, committed: float) -> None:
        """Look for the write, or a later one of its writer to the same record."""
        writer, number = note.split(".")
        while time.perf_counter() - committed < GIVEN_UP:
            found = await self._target.read(SCRATCH, [key])
            seen = str(found[0].get("note", "")) if found else ""
            if seen.partition(".")[0] == writer and int(seen.partition(".")[2]) >= int(number):
                self.measured.visible.append((time.perf_counter() - committed) * 1000)
                return
            await asyncio.sleep(LOOK_SECONDS)
        self.measured.unseen += 1

    async def followed(self) -> None:
        """Wait for the writes that are still followed."""
        while self._looks:
            await asyncio.gather(*self._looks)

    async def watch(self, connect: Connect, on_progress: Callable[[Measured], None]) -> None:
        """Look at the queue twice a second."""
        async with connect() as connection:
            while True:
                found = await reach.query(
                    connection,
                    ours("SELECT count(*) AS waiting FROM (SELECT FROM syncline.waiting LIMIT 100000) AS counted"),
                )
                self.measured.queue = max(self.measured.queue, found[0]["waiting"])
                self.measured.seconds = time.monotonic() - self.began
                on_progress(self.measured)
                await asyncio.sleep(0.5)
