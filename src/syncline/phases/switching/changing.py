"""Taking collections over to PostgreSQL, and back: one after the other, each by a coordinator of its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from syncline.config.documents import Documents
from syncline.documents.opening import opened
from syncline.documents.standing import require_sides
from syncline.engines.mongo.gates import NOBODY
from syncline.errors import SwitchError, SynclineError, TargetUnavailableError
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.phase import Phase
from syncline.phases.standing import Change
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB, Wish
from syncline.phases.switching.opening import address_of_target, opened_switch, prepare
from syncline.phases.switching.reopening import Reopening, unless_away
from syncline.phases.switching.sides import MONGODB, POSTGRESQL, asked
from syncline.split.switching.coordinator import PAUSE
from syncline.split.switching.finishing import Outcome, switch
from syncline.split.switching.gate import Session
from syncline.split.switching.move import Step


@dataclass(frozen=True, slots=True)
class Switched:
    """What became of a collection."""

    collection: str
    outcome: Outcome


async def change_sides(
    documents: Documents,
    change: Change,
    wish: Wish | None = None,
    *,
    pause: timedelta = PAUSE,
    told: Callable[[str, Step], None] = lambda _collection, _step: None,
    waits: Callable[[str], None] = lambda _: None,
) -> Sequence[Switched]:
    """Take the collections of a change to the other side.

    Args:
        documents: the declaration.
        change: between ``ramp`` and ``live``.
        wish: why, for the history.
        pause: how long writers of a collection may be refused; then the side that served serves again.
        told: called before each step.
        waits: told who is in the way of what nobody is paused for.

    Raises:
        SwitchError: one did not go; it says which ones have.
        ForeignTargetError: the sides are not each other's.

    """
    goal = POSTGRESQL if change.goal.phase.postgresql_is_truth else MONGODB
    try:
        async with opened(documents) as link:
            await require_sides(link)
    except TargetUnavailableError:
        if goal == MONGODB and (reopened := await _reopened(documents, list(change.was))):
            return reopened
        raise
    if goal == POSTGRESQL:
        await prepare(documents, list(change.was))
    await _wished(documents, change, wish or Wish())
    done: list[Switched] = []
    for collection in change.was:
        try:
            async with opened_switch(documents, collection) as move:
                work = switch(move, goal, pause=pause, told=partial(told, collection), waits=waits)
                outcome = await (_watched(documents, collection, work) if goal == POSTGRESQL else work)
        except SynclineError as error:
            raise _half_done(collection, done, error) from error
        done.append(Switched(collection, outcome))
    return done


async def _watched(documents: Documents, collection: str, work: Coroutine[Any, Any, Outcome]) -> Outcome:
    mongodb, session = InMongoDB(documents.url("source")), Session(address_of_target(documents))
    try:
        return await unless_away(work, Reopening(mongodb), session, collection)
    finally:
        await session.aclose()
        mongodb.close()


async def _reopened(documents: Documents, collections: Sequence[str]) -> Sequence[Switched]:
    """Open what is closed in MongoDB, while PostgreSQL is away; nothing where none is."""
    mongodb = InMongoDB(documents.url("source"))
    try:
        gates = GatesInMongoDB(mongodb)
        closed = [name for name in collections if (await asked(partial(gates.read, name))).mode == NOBODY]
        opened_ = {name: await asked(partial(gates.reopen, name)) for name in closed}
    finally:
        mongodb.close()
    pending = "PostgreSQL does not answer: a running `syncline worker` has its gate follow"
    return [Switched(name, Outcome(MONGODB, gate.number, 0.0, pending)) for name, gate in opened_.items()]


def _half_done(collection: str, done: Sequence[Switched], error: SynclineError) -> SynclineError:
    """Say which collections of a group have gone."""
    if not done:
        return error
    gone = ", ".join(one.collection for one in done)
    return SwitchError(f"{collection} did not go, and {gone} did: {error.message}", hint=error.hint)


async def _wished(documents: Documents, change: Change, wish: Wish) -> None:
    mongodb = InMongoDB(documents.url("source"))
    try:
        gates = GatesInMongoDB(mongodb)
        for name, was in change.was.items():
            ramp = was if was.phase is Phase.RAMP else change.goal
            await asked(partial(gates.wish, name, wish, ramp.percent))
    finally:
        mongodb.close()
