"""Taking collections over to PostgreSQL, and back: one after the other, each by a coordinator of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from syncline.config.documents import Documents
from syncline.errors import SwitchError, SynclineError
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.phase import Phase
from syncline.phases.standing import Change
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB, Wish
from syncline.phases.switching.opening import opened_switch, prepare
from syncline.phases.switching.sides import MONGODB, POSTGRESQL, asked
from syncline.split.switching.coordinator import PAUSE
from syncline.split.switching.finishing import Outcome, switch
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

    """
    goal = POSTGRESQL if change.goal.phase.postgresql_is_truth else MONGODB
    if goal == POSTGRESQL:
        await prepare(documents, list(change.was))
    await _wished(documents, change, wish or Wish())
    done: list[Switched] = []
    for collection in change.was:
        try:
            async with opened_switch(documents, collection) as move:
                outcome = await switch(move, goal, pause=pause, told=partial(told, collection), waits=waits)
        except SynclineError as error:
            raise _half_done(collection, done, error) from error
        done.append(Switched(collection, outcome))
    return done


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
