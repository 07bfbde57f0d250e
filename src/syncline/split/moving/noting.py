"""Short notes in the book of a move, each on a connection of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syncline.errors import SynclineError
from syncline.split.moving import probes
from syncline.split.moving.charge import went_on
from syncline.split.moving.ends import Ends
from syncline.split.moving.move import Moving
from syncline.split.moving.state import Book, Phase
from syncline.split.moving.watched import Watched
from syncline.split.rehearsing import records
from syncline.split.schema.sides import opened


def note(ends: Ends, phase: Phase) -> None:
    """Note how far it is; never a step back."""
    with opened(ends.sides.source) as source:
        book, order = Book(ends.database, source), list(Phase)
        if order.index(book.required().phase) < order.index(phase):
            book.reach(phase)


def note_force(ends: Ends, what: str, reason: str, against: Sequence[str]) -> None:
    """Note what was done by force, why, and what spoke against it."""
    with opened(ends.sides.source) as source:
        Book(ends.database, source).note(what, reason, against)


def see_unchanged(one: Moving) -> None:
    """See that a move is as it was read: a person may have been asked in between.

    Raises:
        SwitchError: it went on, or another one has begun.

    """
    with opened(one.ends.sides.source) as source:
        now = Book(one.ends.database, source).required()
    if (now.phase, now.begun_at) != (one.state.phase, one.state.begun_at):
        raise went_on(one)


def end_early(one: Moving, phase: Phase) -> bool:
    """Note that a move is over whose sides could not be changed yet; false: it went on meanwhile."""
    with opened(one.ends.sides.source) as source:
        return Book(one.ends.database, source).end(one.state, phase)


def tested(ends: Ends) -> tuple[list[probes.Probe], records.Rehearsed | None]:
    """Read what the tests of the way back have shown, and the newest rehearsal."""
    with opened(ends.sides.source) as source:
        return probes.recorded(source, ends.database), records.recorded(source, ends.database)


def against_ways_back(one: Moving, found: Iterable[probes.Probe], rehearsed: records.Rehearsed | None) -> list[str]:
    """Say what of tests and rehearsals speaks against a switch."""
    entities = {str(table.table): table.entity for table in one.state.tables}
    played = rehearsed.tables if rehearsed and rehearsed.counts else ()
    counting = [entities[table] for table in played if table in entities]
    return probes.against_probes(found, entities.values(), counting)


def is_over(ends: Ends) -> bool:
    """Tell whether a move was finished, given up, or forgotten; a home that is away tells nothing."""
    try:
        with opened(ends.sides.source) as source:
            state = Book(ends.database, source).read()
    except SynclineError:
        return False
    return state is None or state.phase in (Phase.FINISHED, Phase.ABORTED)


def forget(ends: Ends) -> None:
    """Forget the move."""
    with opened(ends.sides.source) as source:
        Watched(ends.database, ends.home, source).forget()
        probes.forget(source, ends.database)
        Book(ends.database, source).forget()
