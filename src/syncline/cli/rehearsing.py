"""The steps of a rehearsal, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from syncline.cli.common import run
from syncline.cli.split_copy import Wish, carry, following, schema, see_that_it_runs
from syncline.errors import RehearsalError, SynclineError
from syncline.model.words import listed

if TYPE_CHECKING:
    from datetime import timedelta

    from syncline.cli.split_move import Declared
    from syncline.split.moving.link import MoveLink
    from syncline.split.moving.move import Moving
    from syncline.split.rehearsing.records import Clock
    from syncline.split.rehearsing.writing import Writer
    from syncline.split.switching.move import TableMove

_POLL_SECONDS = 0.05
MILLISECONDS = 1000


@dataclass
class Rehearsal:
    """What it has come to."""

    writes: int
    pause: timedelta
    clock: Clock
    rows: Mapping[str, int] = field(default_factory=dict)
    paused: dict[str, int] = field(default_factory=dict)
    written: dict[str, Any] = field(default_factory=dict)


def play(serving: Declared, scratch: Declared, played: Rehearsal, wish: Wish) -> None:
    import psycopg

    from syncline.config import redact
    from syncline.split.rehearsing.filling import fill

    wish.begin(f"reading a copy of {serving.ends.home}")
    played.rows = fill(serving.ends, scratch.ends, serving.plan, tell=lambda _: None, shown=wish.tell)
    try:
        wish.begin("schema")
        one = schema(scratch, wish)
        run(_move(scratch, one, played, wish))
    except SynclineError as error:
        raise _failed(played, error.message, error.hint) from error
    except psycopg.Error as error:  # of a write or a comparison: a database has gone away, say
        raise _failed(played, redact(str(error).split("\n")[0])) from error
    played.clock.end()


def _failed(played: Rehearsal, said: str, hint: str | None = None) -> RehearsalError:
    return RehearsalError(f"the rehearsal has failed ({played.clock.step}): {said}", hint=hint)


async def _move(scratch: Declared, one: Moving, played: Rehearsal, wish: Wish) -> None:
    """Copy, follow, switch, back; compare after each."""
    from syncline.split.moving.move import opened_move

    found = await carry(scratch, one, wish)
    if failed := [table for table in found if table.error is not None]:
        raise RehearsalError(f"rows were refused: {failed[0].error}")
    one = scratch.begun()
    async with AsyncExitStack() as stack:
        sides, link = await stack.enter_async_context(opened_move(one, scratch.plan))
        workers = [await stack.enter_async_context(following(way)) for way in (one.ways.there, one.ways.back)]
        stage = _Stage(scratch, one, sides, link, workers, played, wish)
        home, goal = one.ends.names
        await stage.write(home)
        await stage.change(goal)
        await stage.write(goal)
        await stage.change(home)
        await stage.write(home)


@dataclass
class _Stage:
    scratch: Declared
    one: Moving
    sides: TableMove
    link: MoveLink
    workers: Sequence[asyncio.Task[None]]
    played: Rehearsal
    wish: Wish

    async def write(self, side: str) -> None:
        """Write on the side that serves, wait until the other one has it, and compare."""
        self.wish.begin(f"writing on {side}, and following")
        with self._writer() as writer:
            await self._count(writer, self.played.writes)
        self.played.written[side] = asdict(writer.counts)
        await self._drained(side)
        self.wish.begin("comparing contents")
        await asyncio.to_thread(self._compare)

    async def change(self, goal: str) -> None:
        """Change sides while somebody writes."""
        from syncline.split.moving import capture
        from syncline.split.switching.finishing import switch

        self.wish.begin(f"changing sides: {goal} is to serve")
        await capture.install(self.one.ways.from_(goal, self.one.ends.home))
        with self._writer() as writer:
            await self._count(writer, min(self.played.writes, 5))
            outcome = await switch(self.sides, goal, pause=self.played.pause)
            await self._count(writer, min(self.played.writes, 5))
        self.played.paused[goal] = round(outcome.paused_seconds * MILLISECONDS)
        await self._drained(goal)

    def _writer(self) -> Writer:
        from syncline.split.rehearsing.writing import Writer

        return Writer(self.one.ends, self.one.tables if self.played.writes else ())

    async def _count(self, writer: Writer, more: int) -> None:
        """Wait until so many further writes are through, or refused."""
        wanted = writer.counts.done + writer.counts.refused + more
        while writer.counts.done + writer.counts.refused < wanted:
            writer.see_that_it_goes_on()
            await self._breath()

    async def _drained(self, side: str) -> None:
        while not await self.link.drained(side):
            await self._breath()

    async def _breath(self) -> None:
        for worker in self.workers:
            see_that_it_runs(worker)
        await asyncio.sleep(_POLL_SECONDS)

    def _compare(self) -> None:
        from syncline.split.backup.contents import digests

        here, there = (digests(self.one.ends.address(side)) for side in self.one.ends.names)
        if differing := sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name)):
            raise RehearsalError(f"contents differ: {listed(differing)}")
