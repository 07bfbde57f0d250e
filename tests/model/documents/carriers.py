"""Bring states to PostgreSQL: steps 1 (of a relay) to 4 of ``docs/explanation/documents-as-a-source.md``."""

from __future__ import annotations

from tests.model.documents.scope import Action, DocumentScope
from tests.model.documents.state import FLOOR, NO_FIELD, Carrier, Document, Event, Row, State, clock, entered, marked


def drawn(scope: DocumentScope, state: State, above: int) -> int:
    """Draw a version as a pipeline does: the server's clock, but above what the document has."""
    return max(above + 1, clock(state, scope.skew), 1)


def fresh(scope: DocumentScope, state: State, before: Document | None) -> tuple[State, int]:
    """Draw a mark."""
    if not scope.unique_marks and before is not None and before.mark:
        return state, before.mark
    return state._replace(drawn=state.drawn + 1), state.drawn + 1


def carrier_of(state: State, document: Document) -> Carrier:
    """Take a document along as it is."""
    put = Carrier("put", state.link, document.mark, document.v, document.deleted, document.content)
    return put._replace(noted=document.noted)


def relay(scope: DocumentScope, state: State) -> Action:
    """Find a mark; a version that is not drawn yet is drawn first, with a new mark."""
    document = state.document
    if document is None or not marked(document):
        return
    if document.v == NO_FIELD or (scope.floor and document.v < FLOOR):
        made, mark = fresh(scope, state, document)
        adopted = document._replace(v=drawn(scope, state, document.v), mark=mark)
        yield ("the relay draws v{}", adopted.v), made._replace(document=adopted)
    elif len(state.carriers) < scope.carriers:
        carrier = carrier_of(state, document)
        yield ("the relay reads v{}", document.v), state._replace(carriers=(*state.carriers, carrier))
        if document.noted:
            blind = (*state.carriers, carrier._replace(noted=()))
            yield ("the copier reads v{}, and not what is noted", document.v), state._replace(carriers=blind)


def copier(scope: DocumentScope, state: State) -> Action:
    """Read a document that is not marked, in the order of the keys; what is marked is carried as a relay does."""
    document = state.document
    if not scope.copies or document is None or marked(document) or document.deleted:
        return
    carrier = carrier_of(state, document)
    if len(state.carriers) < scope.carriers and carrier not in state.carriers and not _has(state, document):
        yield ("the copier reads v{}", document.v), state._replace(carriers=(*state.carriers, carrier))


def _has(state: State, document: Document) -> bool:
    """Tell whether there is nothing to copy: it would be refused, and dropped."""
    return state.row is not None and state.row.v == document.v and state.row.mark == 0


def carriers(scope: DocumentScope, state: State) -> Action:
    """Let each go on, or vanish; it may be frozen between any two steps."""
    for place, carrier in enumerate(state.carriers):
        if place and state.carriers[place - 1] == carrier:
            continue
        without = state._replace(carriers=(*state.carriers[:place], *state.carriers[place + 1 :]))
        name = f"the carrier of v{carrier.v}{' (delete)' if carrier.deleted else ''}"
        yield ("{} vanishes", name), without
        steps = {"put": _put, "applied": _clear, "refused": _raise, "sweep": _sweep}
        told, after = steps[carrier.stage](scope, without, carrier)
        yield ("{} {}", name, told), after


def _with(state: State, carrier: Carrier, **changes: object) -> State:
    return state._replace(carriers=(*state.carriers, carrier._replace(**changes)))  # type: ignore[arg-type]


def _put(scope: DocumentScope, state: State, carrier: Carrier) -> tuple[str, State]:
    row = state.row
    if scope.fence and carrier.link != state.link:
        return "is refused: another number of the link", state
    over = row is not None and scope.equal == "over" and carrier.v == row.v
    over = over or (scope.copies_over and not carrier.mark)
    if row is None or carrier.v > row.v or over:
        new = Row(carrier.v, carrier.mark, carrier.deleted, carrier.content)
        kept = new if scope.keeps_counter or not new.deleted else None
        watched = not (scope.restore or scope.foreign)
        broken = "readers see an older write again" if watched and carrier.content < state.seen else ""
        seen = carrier.content if watched else 0
        return "is written", _with(state, carrier, stage="applied")._replace(row=kept, seen=seen, broken=broken)
    if carrier.v == row.v and (scope.equal == "applied" or carrier.mark == row.mark):
        return "finds itself", _with(state, carrier, stage="applied")
    if not carrier.mark:  # the copy: there is something as new
        return f"is dropped: there is v{row.v}", state
    stage = "refused" if scope.raises else "applied"
    return f"is refused: there is v{row.v}", _with(state, carrier, stage=stage, by=row.v)


def _clear(scope: DocumentScope, state: State, carrier: Carrier) -> tuple[str, State]:
    document = state.document
    if not carrier.mark:
        return "has nothing to clear", state
    if document is None or (scope.compares_mark and document.mark != carrier.mark):
        return "finds another mark", state
    if document.deleted != carrier.deleted:
        return "finds nothing to clear", state
    if document.noted and not carrier.noted and scope.spares_noted:
        return "leaves the mark: it has not read what is noted", state
    if scope.enters:
        state = entered(state, carrier.noted)
    if not document.deleted:
        left = document._replace(mark=0, noted=())
        return "enters what is noted, and clears the mark", state._replace(document=left)
    event = (Event(True, document.v),) if scope.stream else ()
    return "removes the tombstone", state._replace(document=None, events=(*state.events, *event))


def _raise(scope: DocumentScope, state: State, carrier: Carrier) -> tuple[str, State]:
    document = state.document
    if document is None or document.mark != carrier.mark:
        return "finds the document changed", state
    made, mark = fresh(scope, state, document)
    new = document._replace(v=drawn(scope, state, max(carrier.by, document.v)), mark=mark)
    raised = made._replace(document=new)
    changes = {"stage": "put", "mark": mark, "v": new.v, "deleted": new.deleted, "content": new.content, "by": 0}
    return f"raises the document to v{new.v}", _with(raised, carrier, **changes)


def _sweep(scope: DocumentScope, state: State, carrier: Carrier) -> tuple[str, State]:
    row = state.row
    if row is None or row.v != carrier.v:
        return "finds another version", state
    deleted = row._replace(deleted=True, content=carrier.content)
    return "deletes the row in PostgreSQL", state._replace(row=deleted, tampered=0)
