"""Who writes documents: the application through the library, others, and the reader of change events."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.documents.carriers import carrier_of, drawn, fresh
from tests.model.documents.scope import Action, DocumentScope
from tests.model.documents.state import FLOOR, NO_FIELD, Document, Event, State, clock, entered, marked


def application(scope: DocumentScope, state: State) -> Action:
    """Write, in one statement on the document; the process goes on inline, or dies."""
    if not state.budget.writes:
        return
    counted = state._replace(done=state.done + 1, budget=state.budget._replace(writes=state.budget.writes - 1))
    for told, after in _writes(scope, counted):
        what = ("write {}: {}, " + "{}", counted.done, told)
        yield (*what, "the process dies"), after
        document = after.document
        if len(state.carriers) == scope.carriers or document is None or after.broken:
            continue
        if document.v >= FLOOR or not scope.floor:  # one below it is adopted first, as by a relay
            carriers = (*after.carriers, carrier_of(after, document))
            yield (*what, "goes on inline"), after._replace(carriers=carriers)


def _writes(scope: DocumentScope, state: State) -> Iterator[tuple[str, State]]:
    document, number = state.document, state.done
    live = document is not None and not document.deleted
    made, mark = fresh(scope, state, document)
    before = document.v if document is not None else NO_FIELD
    noted = document.noted if document is not None and scope.keeps_noted else ()
    if "n" in scope.kinds and document is not None and live:
        new = Document(drawn(scope, state, before), mark, False, number, (*document.noted, number))
        owing = made._replace(document=new, owed=(*state.owed, number))
        yield f"a pipeline makes v{new.v}, and notes it", owing
    if "p" in scope.kinds:
        new = Document(drawn(scope, state, before), mark, False, number, noted)
        yield f"a pipeline makes v{new.v}", made._replace(document=new)
    if "i" in scope.kinds and document is None:
        low = 0 if scope.insert_clock == "none" else clock(state, scope.skew) - 20
        yield f"an insert makes v{low}", made._replace(document=Document(low, mark, False, number))
    if "o" in scope.kinds:
        yield from _operators(scope, state, made, mark)
    if "d" in scope.kinds and live:
        if scope.deletes == "tombstone":
            new = Document(drawn(scope, state, before), mark, True, number, noted)
            yield f"a delete leaves the tombstone v{new.v}", made._replace(document=new)
        else:
            yield "a delete removes the document", state._replace(document=None)


def _operators(scope: DocumentScope, state: State, made: State, mark: int) -> Iterator[tuple[str, State]]:
    document, number = state.document, state.done
    step = 1 if scope.increments else 0
    if document is None:  # an upsert
        yield "operators insert v1", made._replace(document=Document(step, mark, False, number))
        return
    if scope.operators_mark == "when missing" and document.mark:
        made, mark = state, document.mark
    after = Document(max(document.v, 0) + step, mark, document.deleted, number, document.noted)
    if not document.deleted:
        yield f"operators make v{after.v}", made._replace(document=after)
    elif not scope.spares_tombstones:
        broken = "a write that reported a match is in no document"
        yield "operators match a tombstone", made._replace(document=after, broken=broken)
    elif scope.revives:  # an upsert
        yield f"operators revive v{after.v}", made._replace(document=after._replace(deleted=False))
    else:
        broken = "a write that reported an upsert is in no document"
        yield "operators upsert onto a tombstone", made._replace(document=after, broken=broken)


def process(scope: DocumentScope, state: State) -> Action:
    """Enter what is noted, and take it out, as a process does a little later if it has not died."""
    document = state.document
    for number in document.noted if document is not None else ():
        told = entered(state, (number,)) if scope.enters else state
        rest = tuple(each for each in document.noted if each != number) if scope.takes_own else ()  # type: ignore[union-attr]
        left = document._replace(noted=rest)  # type: ignore[union-attr]
        yield ("the process enters write {}, and takes it out", number), told._replace(document=left)


def foreign(scope: DocumentScope, state: State) -> Action:
    """Write as somebody does who does not know of our field."""
    if not state.budget.foreign:
        return
    document, kinds, number = state.document, scope.foreign_kinds, state.done + 1
    counted = state._replace(budget=state.budget._replace(foreign=state.budget.foreign - 1))

    def seen(told: str, after: State, event: Event, *, heals: bool = False) -> tuple[tuple[object, ...], State]:
        if scope.stream:
            after = after._replace(events=(*after.events, event))
        elif not heals:
            after = after._replace(tampered=1)
        return ("foreign write {}: {}", number, told), after

    live = document is not None and not document.deleted
    if "c" in kinds and live:
        changed = counted._replace(document=document._replace(content=number), done=number)  # type: ignore[union-attr]
        yield seen("a change in place", changed, Event(False))
    if "r" in kinds:
        replaced = counted._replace(document=Document(NO_FIELD, 0, False, number), done=number)
        yield seen("a replacement without our field", replaced, Event(False), heals=True)
    if "d" in kinds and live:
        yield seen("a delete", counted._replace(document=None, done=number), Event(True))
    if "t" in kinds and document is not None and document.deleted:
        yield seen("a delete of the tombstone", counted._replace(document=None), Event(True, document.v))


def reader(scope: DocumentScope, state: State) -> Action:
    """Mark what an event tells; the token is saved with the mark's outcome known, so an event may come twice."""
    if state.budget.tokens:
        lost = state._replace(events=(), budget=state.budget._replace(tokens=state.budget.tokens - 1))
        after = lost._replace(tampered=1) if scope.lost_token == "mark all" else lost
        yield ("the reader's token is lost",), after
    if not state.events:
        return
    event, rest = state.events[0], state.events[1:]
    told, after = _read(scope, state, event)
    yield ("the reader {}", told), after._replace(events=rest)
    if state.budget.deaths:
        died = state.budget._replace(deaths=state.budget.deaths - 1)
        if scope.stream_saves == "after":
            yield ("the reader {}, and dies before its token is saved", told), after._replace(budget=died)
        else:
            yield ("the reader saves its token, and dies",), state._replace(events=rest, budget=died)


def _read(scope: DocumentScope, state: State, event: Event) -> tuple[str, State]:
    document, row = state.document, state.row
    made, mark = fresh(scope, state, document)
    if not event.gone:
        if document is None:
            return "finds no document", state
        new = document._replace(v=drawn(scope, state, document.v), mark=mark)
        return f"marks v{new.v}", made._replace(document=new)
    if document is not None and scope.stream_spares:
        return "finds a document again", state
    known = row is not None and (row.v >= event.v > 0 if scope.stream_deletes == "judged" else row.deleted)
    if scope.stream_deletes == "nothing" or known or (row is None and scope.stream_deletes == "row"):
        return "has nothing to do", state
    above = max(row.v if row else 0, document.v if document else 0)
    new = Document(drawn(scope, state, above), mark, True, state.done)
    lost = document is not None and not document.deleted
    broken = "a tombstone is written over a document" if lost else ""
    return f"inserts the tombstone v{new.v}", made._replace(document=new, broken=broken)


def still(state: State) -> bool:
    """Tell whether nothing is left to do."""
    return not (state.carriers or state.duty or state.tampered or state.events or marked(state.document))
