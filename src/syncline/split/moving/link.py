"""What the coordinator of a switch asks, answered by the links of a move."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from syncline.config.settings import Settings
from syncline.errors import NotMovingError, SwitchError
from syncline.model.entity import TableName
from syncline.model.link import entered
from syncline.model.words import counted, listed
from syncline.postgres.catalog import fingerprint_query
from syncline.postgres.sql import blocks
from syncline.split.moving import capture
from syncline.split.moving.opening import Opening, act, noted
from syncline.split.moving.tables import PACKAGE
from syncline.split.moving.tail import differing
from syncline.split.names import Name
from syncline.split.switching.gate import Gate
from syncline.split.switching.install import unguarded
from syncline.split.switching.sequences import raise_sequences

_SEEN_SECONDS = 1.5
"""How long a switch that has not begun waits for a worker's look at the tables."""
_POLL_SECONDS = 0.05
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a link is doing, as its source says."""

    queue: int
    lag_seconds: float
    workers: int
    parked: int
    copying: tuple[str, ...]
    held: tuple[str, ...]
    """Copied, and held back: their move has stopped, or an alteration of them is being made over there."""
    tasks: int


@dataclass(frozen=True, slots=True)
class Proof:
    """The newest verification of a table."""

    entity: str
    table: str
    verdict: str | None
    as_of: datetime | None
    current: bool
    """It is newer than the copy, the last way back and the last alteration that asks for one."""


class MoveLink:
    """Both links, as ``switching.ports.Link``.

    Args:
        gates: both sides, by name.
        ways: the link that carries what is written on a side, by the side's name.
        tables: what moves.
        home: the side that has the book of the move, in which stands what is turned on where a side opens.
        note: writes that down for a coordinator, as the side that serves has it now; without it what is written there
            stays.

    """

    def __init__(
        self,
        gates: Mapping[str, Gate],
        ways: Mapping[str, Settings],
        tables: Sequence[TableName],
        home: str,
        note: Callable[[str, int], None] | None = None,
    ) -> None:
        self._gates = gates
        self._ways = ways
        self._tables = tables
        self._home = home
        self._note = note
        self._learned: Sequence[Opening] | None = None

    async def ready(self, source: str, target: str, number: int) -> None:
        """See that a switch can be begun; nothing is closed yet.

        Raises:
            SwitchError: it says what is missing.
            SupersededError: another coordinator has begun.

        """
        if missing := [one for side in (target, source) for one in await unguarded(self._gates[side], self._tables)]:
            raise SwitchError("; ".join(missing), hint="`syncline split copy` puts the gates in place again")
        await capture.require(self._ways[target])
        await capture.require(self._ways[source], written=True)  # else nothing waits, and nothing was carried over
        behind = await self._seen_at_last(source)  # before the tasks: what it asks for is there when it has seen them
        there = await self.standing(source)
        if stopped := await self.stopped(source):
            raise SwitchError("; ".join(stopped), hint="take the alteration back, and it goes on")
        if there.held:
            raise SwitchError(
                f"{source}: {listed(there.held)} was altered, and is not over there yet",
                hint="try again in a moment",
            )
        if there.copying:
            raise SwitchError(f"still being copied: {', '.join(there.copying)}", hint="`syncline split copy` goes on")
        if there.parked:
            raise _parked(there.parked, self._ways[source])
        if there.tasks:
            raise SwitchError(
                f"{self._ways[source].link} has {counted(there.tasks, 'task')} to do: records are being marked",
                hint=f"`syncline status --link {self._ways[source].link.name}` shows them; try again after that",
            )
        if not there.workers:
            raise SwitchError(
                f"no worker carries over what is written on {source}", hint="run `syncline split follow` beside it"
            )
        if behind:
            raise SwitchError(
                f"{source}: tables were altered, and a worker that carries them over has not seen it yet",
                hint="try again in a moment",
            )
        if self._note is not None:
            await asyncio.to_thread(self._note, source, number)

    async def learn(self) -> None:
        """Read what is turned on and off, while writers are not paused yet."""
        self._learned = await noted(self._gates[self._home])

    async def drained(self, source: str) -> bool:
        """Tell whether everything that was captured on a side is written and acknowledged on the other one.

        Raises:
            SwitchError: a record is parked: the other side refuses it.

        """
        with entered(self._ways[source].link):
            ours = blocks("link.sql", PACKAGE, comment=False)
        catalog, values = fingerprint_query(self._compiled(source))
        statement = ours["drained"].format(catalog=catalog, catalogs=ours["catalogs"], left=ours["left"])
        (((left, parked, now, known),),) = await self._asked(source, (statement, values))
        if parked:
            raise _parked(parked, self._ways[source])
        behind = any(by != now for by in known or ())
        return not (left or behind)

    async def verify_tail(self, source: str, target: str) -> None:
        """Compare what was carried over last; nobody writes on either side.

        Raises:
            SwitchError: it differs.

        """
        found = await differing(self._gates[source], self._gates[target], self._ways[source].link)
        if found:
            raise SwitchError(
                f"what was written last is not the same on {target}: {listed(found)}",
                hint=f"`syncline verify --link {self._ways[source].link.name}` finds all, `repair` corrects them",
            )

    async def raise_sequences(self, source: str, target: str, number: int) -> None:
        """Set the sequences of ``target`` beyond those of ``source``."""
        drawn = [one.sequence for one in await self._opening() if one.sequence is not None]
        await raise_sequences(self._gates[source], self._gates[target], self._tables, number, drawn=drawn)

    async def open_up(self, side: str, number: int) -> None:
        """Turn on what acts on new rows, on a side that is about to accept writes.

        Raises:
            GateBusyError: a lock was not had in time.

        """
        await act(self._gates[side], number, await self._opening(), self._tables, on=True)

    async def close_up(self, side: str, number: int, *, hurried: bool = False) -> None:
        """Turn it off, on a side that is about to be the link's.

        Raises:
            GateBusyError: a lock was not had in time.

        """
        opening = await (self._opening() if hurried else noted(self._gates[self._home]))
        await act(self._gates[side], number, opening, self._tables, on=False, hurried=hurried)

    async def _opening(self) -> Sequence[Opening]:
        return await noted(self._gates[self._home]) if self._learned is None else self._learned

    async def standing(self, source: str) -> Standing:
        """Say how the link is doing that carries what is written on a side."""
        ((queue, lag, workers, parked, copying, tasks),) = await self._rows(source, "standing")
        held = await self._held(source)
        return Standing(queue, lag, workers, parked, tuple(one for one in copying if one not in held), held, tasks)

    async def stopped(self, source: str) -> list[str]:
        """Say which tables' moves have stopped, and why."""
        return _stopped(await self._watched(source, "unfollowed"))

    async def unfollowed(self, source: str) -> list[str]:
        """Say which tables were altered and are not so on the other side, and why they cannot be."""
        rows = await self._watched(source, "unfollowed")
        altered = [f"{quoted} was altered, and is not over there yet" for quoted, why in rows if not why]
        return [*_stopped(rows), *altered]

    async def proofs(self, source: str) -> list[Proof]:
        """Give the newest verification of each table."""
        opened, altered = await self._brought_back(source), await self._altered(source)
        found = []
        for name, table, verdict, as_of, current in await self._rows(source, "verified"):
            since = max(opened, altered.get(TableName.parse(table), _NEVER))
            found.append(Proof(name, table, verdict, as_of, bool(current) and as_of > since))
        return found

    async def _brought_back(self, source: str) -> datetime:
        """Say when a side was opened again after the other one had served: older proofs do not count."""
        there = [await self._opened(side) for side in self._gates if side != source]
        return await self._opened(source) if max(there) > _NEVER else _NEVER

    async def _opened(self, side: str) -> datetime:
        rows = await self._noted(side, "opened")
        return rows[0][0] if rows else _NEVER

    async def _altered(self, source: str) -> dict[TableName, datetime]:
        """Say when tables were altered in a way that asks for a verification."""
        names = ((Name.read(quoted), at) for quoted, at in await self._watched(source, "rewritten"))
        return {TableName(name.schema or "", name.name): at for name, at in names}

    async def _watched(self, source: str, block: str) -> list[Any]:
        """Read what is noted of a side's tables, at the move's home."""
        ((known,),) = await self._noted(self._home, "is_watched")
        return await self._noted(self._home, block, side=source) if known else []

    async def _noted(self, where: str, block: str, **values: Any) -> list[Any]:
        gate, statement = self._gates[where], blocks("moving.sql", PACKAGE)[block]
        try:
            return await gate.session.rows(statement, {"name": gate.move, **values} if "%(" in statement else {})
        except NotMovingError:
            return []

    async def highest(self, source: str) -> int:
        """Give the number of the newest mark."""
        return int((await self._rows(source, "highest"))[0][0])

    async def is_through(self, source: str, mark: int) -> bool:
        """Tell whether every mark up to one is done."""
        return bool((await self._rows(source, "up_to", seq=mark))[0][0])

    async def see_that_none_is_refused(self, source: str) -> None:
        """See that the other side takes what is written on a side.

        Raises:
            SwitchError: records are parked.

        """
        ((_, parked),) = await self._rows(source, "left")
        if parked:
            raise _parked(parked, self._ways[source])

    async def _seen_at_last(self, source: str) -> bool:
        """Wait a moment for workers to see what was altered; tell whether one still has not."""
        until = time.monotonic() + _SEEN_SECONDS
        while behind := await self._is_behind(source):
            if time.monotonic() > until:
                break
            await asyncio.sleep(_POLL_SECONDS)
        return behind

    async def _is_behind(self, source: str) -> bool:
        """Tell whether a worker writes by columns of before: what it has written so far is not all of the records."""
        with entered(self._ways[source].link):
            ours = blocks("link.sql", PACKAGE)
        ((now,),), known = await self._asked(source, fingerprint_query(self._compiled(source)), (ours["catalogs"], {}))
        return any(by != now for (by,) in known)

    def _compiled(self, source: str) -> list[TableName]:
        """Name the tables as a worker compiles them."""
        return sorted({entity.table for entity in self._ways[source].entities}, key=str)

    async def _held(self, source: str) -> tuple[str, ...]:
        ((are_held,),) = await self._rows(source, "are_held")
        link = self._ways[source].link.name
        return tuple(name for (name,) in await self._rows(source, "names_held", link=link)) if are_held else ()

    async def _rows(self, source: str, block: str, **values: Any) -> list[Any]:
        with entered(self._ways[source].link):
            statement = blocks("link.sql", PACKAGE)[block]
        return (await self._asked(source, (statement, values)))[0]

    async def _asked(self, source: str, *asked: tuple[str, Mapping[str, Any]]) -> list[list[Any]]:
        """Ask a link's source several questions, in one round trip."""
        try:
            return await self._gates[source].session.together(*asked)
        except NotMovingError:
            raise SwitchError(
                f"{source}: {self._ways[source].link} is not installed there",
                hint="`syncline split copy` puts it in place again",
            ) from None


def _stopped(rows: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    return [f"the move of {quoted} has stopped: {'; '.join(why)}" for quoted, why in rows if why]


def _parked(count: int, way: Settings) -> SwitchError:
    return SwitchError(
        f"{way.target.called} refuses {count} record{'s' if count > 1 else ''}, parked in {way.link}",
        hint=f"`syncline parked list --link {way.link.name}` names them, `syncline parked retry` tries again",
    )
