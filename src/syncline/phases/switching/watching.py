"""What a running worker does where collections change sides: it finishes what was begun, and finds strays."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from syncline.capture.documents.field import MARK
from syncline.config.documents import Documents
from syncline.documents.opening import DocumentLink, opened
from syncline.ending import end
from syncline.engines.mongo import gates
from syncline.engines.mongo.gates import APPLICATION, LINK, NOBODY, Gate
from syncline.engines.mongo.marked import translated
from syncline.engines.postgres.documents.coming_back import LINK as WAY_BACK
from syncline.engines.postgres.documents.keys import key_text
from syncline.errors import NamedDatabaseError, NamedDatabaseUnavailableError, NotMovingError, SwitchError
from syncline.model.link import entered
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.switching.closing import close_for_good
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB
from syncline.phases.switching.opening import address_of_target, opened_switch
from syncline.phases.switching.reopening import Reopening
from syncline.phases.switching.sides import MONGODB, POSTGRESQL, asked, gate_name
from syncline.postgres.sql import blocks
from syncline.split.switching.coordinator import PAUSE
from syncline.split.switching.finishing import Outcome, finish
from syncline.split.switching.gate import Session

_LOG = logging.getLogger("syncline.phases")
EVERY_SECONDS = 1.0
_STOP_SECONDS = 3.0
"""A look that has not ended by then is cut off: the next worker, or command, does it again."""
STRAYS = 1000
"""So many of a collection are looked at together."""


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A collection whose switch has not come to its end."""

    collection: str
    leased: bool
    """A coordinator is at work."""
    reopened: bool = False
    """MongoDB was opened again while PostgreSQL was away: the change of sides is given up."""


@dataclass(frozen=True, slots=True)
class Sides:
    """What both sides say of collections that have gates."""

    unsettled: Sequence[Unsettled] = ()
    served: Sequence[str] = ()
    """Those that PostgreSQL serves, with nothing under way."""
    unclosed: Sequence[str] = ()
    """Those that are complete, while MongoDB is not closed: the step was stopped before."""
    complete: frozenset[str] = frozenset()


class Watch:
    """Looks again and again.

    Args:
        documents: the declaration.
        pause: how long writers may be refused from a takeover on.
        every: seconds between two looks.
        told: called with what a takeover came to, and with errors of a look that are not those of the last one.

    """

    def __init__(
        self,
        documents: Documents,
        *,
        pause: timedelta = PAUSE,
        every: float = EVERY_SECONDS,
        told: Callable[[str, Outcome | Exception], None] = lambda _name, _what: None,
    ) -> None:
        self._documents, self._pause, self._every, self._told = documents, pause, every, told
        self._said = ""
        self._unchangeable: set[str] = set()
        """Collections of which it was said that their validator cannot be changed."""
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Return from ``run`` when what is under way is done."""
        self._stopping.set()

    async def run(self) -> None:
        """Look until ``stop``."""
        async with opened(self._documents) as link:
            session = Session(address_of_target(self._documents))
            mongodb = InMongoDB(self._documents.url("source"))
            self._reopening, self._gates = Reopening(mongodb), GatesInMongoDB(mongodb)
            try:
                while not self._stopping.is_set():
                    await self._turn(link, session)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._stopping.wait(), self._every)
            finally:
                await session.aclose()
                mongodb.close()

    async def _turn(self, link: DocumentLink, session: Session) -> None:
        try:
            found = await self._looked(link, session)
            for one in found.unsettled:
                if not one.leased:
                    await self._finished(one)
            for name in found.served:
                await write_strays_over(link, session, name)
            # Last: a validator that cannot be changed keeps nobody else waiting.
            await self._doubt(link, found)
            if found.unclosed:
                await close_for_good(self._documents.only(found.unclosed))
        except Exception as error:  # noqa: BLE001  told; whatever it was, the next look may find it gone
            self._say("", error)
        else:
            self._said = ""

    async def _looked(self, link: DocumentLink, session: Session) -> Sides:
        """Look; where PostgreSQL is away, nobody shall be refused for longer than must be."""
        try:
            found = await look(link, session)
        except NamedDatabaseUnavailableError:
            await self._reopening.away(link.collections)
            raise
        self._reopening.answered()
        return found

    async def _doubt(self, link: DocumentLink, found: Sides) -> None:
        """Close gates whose validators are not as they say: the next look has a coordinator begin anew."""
        busy = {one.collection for one in found.unsettled} | {*found.unclosed}
        names = [name for name in link.collections if name not in busy]
        for name in await asked(lambda: self._gates.needless(names)):
            if await self._may_change(name):
                await asked(partial(self._gates.without_validator, name))
        for name, gate in (await asked(lambda: self._gates.unmatched(names))).items():
            if not await self._may_change(name):
                continue  # a gate that is closed could not be opened again
            _LOG.warning("the validator of %s does not admit what MongoDB's gate says: it is changed anew", name)
            if name in found.complete:
                await asked(partial(self._gates.close_for_good, name))
            else:
                await asked(partial(self._gates.doubt, name, gate.change))

    async def _may_change(self, collection: str) -> bool:
        """Tell whether the validator of a collection can be changed; say once that it cannot."""
        try:
            await asked(partial(self._gates.require_changeable, collection))
        except SwitchError as error:
            if collection not in self._unchangeable:
                _LOG.error("%s (%s)", error.message, error.hint)
            self._unchangeable.add(collection)
            return False
        self._unchangeable.discard(collection)
        return True

    async def _finished(self, left: Unsettled) -> None:
        async with opened_switch(self._documents, left.collection) as move:
            if left.reopened:
                await move.journal.want(MONGODB)
            outcome = await finish(move, pause=self._pause, give_up=move.journal.lease)
        self._told(left.collection, outcome)

    def _say(self, collection: str, error: Exception) -> None:
        if str(error) != self._said:
            self._told(collection, error)
        self._said = str(error)


@asynccontextmanager
async def watching(documents: Documents, *, pause: timedelta = PAUSE) -> AsyncIterator[None]:
    """Watch beside a block."""

    def told(collection: str, what: Outcome | Exception) -> None:
        if isinstance(what, Outcome):
            _LOG.warning(
                "the change of sides of %s was left half-way and is at its end: %s serves", collection, what.serving
            )
        else:
            _LOG.info("what changes sides cannot be looked at: %s", what)

    watch = Watch(documents, pause=pause, told=told)
    task = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        watch.stop()
        await asyncio.wait({task}, timeout=_STOP_SECONDS)
        await end(task, seconds=1.0)


async def look(link: DocumentLink, session: Session) -> Sides:
    """Ask both sides; nothing where no collection has ever had a gate."""
    with translated():
        found, complete = await gates.read_with_complete(link.database)
    ours = {name: gate for name, gate in found.items() if name in link.collections}
    unclosed = [name for name, gate in ours.items() if name in complete and gate.mode != NOBODY]
    here = {name: gate for name, gate in ours.items() if name not in complete}
    if not here:
        return Sides(unclosed=unclosed, complete=complete)
    try:
        rows = await session.rows(_sql("sides"), {"names": [gate_name(name) for name in here]})
    except NotMovingError:
        return Sides(unclosed=unclosed, complete=complete)
    there = {name: said for name, *said in rows}
    known = {name: there[gate_name(name)] for name in here if gate_name(name) in there}
    left = [name for name, (goal, phase, _, mode) in known.items() if not _settled(here[name], goal, phase, mode)]
    given_up = {name for name in left if _is_reopened(here[name])}
    unsettled = [Unsettled(name, leased=known[name][2], reopened=name in given_up) for name in left]
    served = [name for name in known if name not in left and here[name].mode == LINK]
    return Sides(unsettled, served, unclosed, complete)


async def unsettled(documents: Documents, collections: Sequence[str]) -> list[str]:
    """Name those of some collections that change sides: a command was killed, or is at work.

    Where PostgreSQL is away, MongoDB's gate alone says so.
    """
    async with opened(documents) as link:
        session = Session(address_of_target(documents))
        try:
            found = [one.collection for one in (await look(link, session)).unsettled]
        except NamedDatabaseError:
            with translated():
                here, complete = await gates.read_with_complete(link.database)
            found = [name for name, gate in here.items() if gate.mode == NOBODY and name not in complete]
        finally:
            await session.aclose()
    return [name for name in collections if name in found]


def _is_reopened(gate: Gate) -> bool:
    """Tell whether the last who changed it has opened it without PostgreSQL."""
    return gate.mode == APPLICATION and gate.reopened == gate.number > 0


def _settled(gate: Gate, goal: str, phase: str, mode: str) -> bool:
    modes = {MONGODB: gate.mode, POSTGRESQL: mode}
    other = next(side for side in modes if side != goal)
    return goal == phase and modes[goal] == APPLICATION and modes[other] == LINK


async def write_strays_over(link: DocumentLink, session: Session, collection: str) -> int:
    """Have the way back write those documents that have a mark though PostgreSQL serves.

    Their writes came after MongoDB was closed, and nobody was told that they are written; or somebody writes who does
    not ask the gate.

    Returns:
        How many were found.

    """
    keys: list[str] = []
    marked = link.database[collection].find({MARK: {"$exists": True}}, {"_id": 1}, batch_size=STRAYS)
    with translated():
        async with marked:
            async for one in marked:
                # Documents of no key keep their marks for ever.
                if (key := key_text(link.mapping(collection), one["_id"])) is not None:
                    keys.append(key)
                if len(keys) == STRAYS:
                    break
    if keys:
        with entered(WAY_BACK):
            await session.rows(_sql("mark"), {"collection": collection, "gate": gate_name(collection), "keys": keys})
    return len(keys)


def _sql(name: str) -> str:
    return blocks("switching.sql", "syncline.phases.switching")[name]
