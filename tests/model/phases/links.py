"""Documents to PostgreSQL, rows back to MongoDB, and what a link does with strays and its own tombstones."""

from __future__ import annotations

from tests.model.phases.application import highest_mark, highest_version
from tests.model.phases.scope import Action, PhaseScope
from tests.model.phases.state import MARK_ONLY, MONGO, POSTGRES, Back, Carrier, Document, Gate, State


def forward(scope: PhaseScope, state: State) -> Action:
    """Carry marked documents; a carrier may be frozen between any two steps, or vanish."""
    document, gate = state.document, state.gates[POSTGRES]
    asks = gate.mode == "l" or scope.forward_asks == "nothing"
    if document.there and document.mark and asks:
        opened = state.gates[MONGO].opened
        if not document.v or (scope.adopts and document.number < opened):
            number = max(document.number, opened)
            drawn = document._replace(v=highest_version(state) + 1, mark=highest_mark(state) + 1, number=number)
            yield ("the relay draws v{}", drawn.v), state._replace(document=drawn)
        elif len(state.carriers) < scope.carriers:
            new = Carrier("put", gate.link, document.mark, document.v, document.deleted, document.content)
            yield ("the relay reads v{}", document.v), state._replace(carriers=(*state.carriers, new))
    for place, carrier in enumerate(state.carriers):
        if place and state.carriers[place - 1] == carrier:
            continue
        without = state._replace(carriers=(*state.carriers[:place], *state.carriers[place + 1 :]))
        yield ("the carrier of v{} vanishes", carrier.v), without
        steps = {"put": _put, "applied": _clear, "refused": _raise}
        told, after = steps[carrier.stage](scope, without, carrier)
        yield ("the carrier of v{} {}", carrier.v, told), after


def _waits(scope: PhaseScope, state: State) -> bool:
    """Tell whether the link back may still insert a document where an application's tombstone is to be removed."""
    return scope.gate != "validator" and scope.tombstones_wait and any(each.stage == "read" for each in state.backs)


def _with(state: State, carrier: Carrier, **changes: object) -> State:
    return state._replace(carriers=(*state.carriers, carrier._replace(**changes)))  # type: ignore[arg-type]


def _put(scope: PhaseScope, state: State, carrier: Carrier) -> tuple[str, State]:
    row, gate = state.row, state.gates[POSTGRES]
    same = carrier.link == gate.link or scope.forward_asks == "mode"
    if scope.forward_asks != "nothing" and not (gate.mode == "l" and same):
        return "is refused by PostgreSQL's gate", state
    if carrier.v > row.v:
        new = row._replace(alive=not carrier.deleted, content=carrier.content, v=carrier.v, mark=carrier.mark)
        return "is written", _with(state._replace(row=new), carrier, stage="applied")
    if carrier.v == row.v and carrier.mark == row.mark:
        return "finds itself", _with(state, carrier, stage="applied")
    return f"is refused: there is v{row.v}", _with(state, carrier, stage="refused", by=row.v)


def _clear(scope: PhaseScope, state: State, carrier: Carrier) -> tuple[str, State]:
    """Take the mark away at once; a tombstone stays without one as long as the link back may insert the document."""
    document = state.document
    if not document.there or (scope.clears_marked and document.mark != carrier.mark):
        return "finds another mark", state
    if document.deleted != carrier.deleted:
        return "finds nothing to clear", state
    if document.deleted and not _waits(scope, state):
        return "removes the tombstone", state._replace(document=Document(content=document.content))
    admitted = _admitted(state.gates[MONGO])
    number = max(document.number, admitted if scope.gate != "lease" and scope.clearing_says else 0)
    if scope.gate == "validator" and number != admitted:
        return "is refused by the validator", state
    return "clears the mark", state._replace(document=document._replace(mark=0, number=number))


def _admitted(gate: Gate) -> int:
    """Give the number that the validator admits."""
    return {"a": gate.opened, "l": gate.link}.get(gate.mode, gate.number)


def _raise(_: PhaseScope, state: State, carrier: Carrier) -> tuple[str, State]:
    document = state.document
    if not document.there or document.mark != carrier.mark:
        return "finds the document changed", state
    raised = document._replace(v=max(highest_version(state), carrier.by) + 1, mark=highest_mark(state) + 1)
    return f"raises the document to v{raised.v}", state._replace(document=raised)


def back(scope: PhaseScope, state: State) -> Action:
    """Ask MongoDB's gate, take marks and a ticket, read the rows, write, acknowledge; any of them may come late."""
    gate = state.gates[MONGO]
    if state.queue and gate.mode == "l" and len(state.backs) < scope.backs:
        ticket = max(state.document.ticket, *(each.ticket for each in state.backs), 0) + 1
        new = Back("marked", gate.link, ticket, state.queue)
        yield ("the link back takes marks, ticket {}", ticket), state._replace(backs=(*state.backs, new))
    for place, one in enumerate(state.backs):
        without = state._replace(backs=(*state.backs[:place], *state.backs[place + 1 :]))
        yield ("ticket {} vanishes", one.ticket), without
        if one.stage == "marked":
            read = one._replace(stage="read", alive=state.row.alive, content=state.row.content)
            yield ("ticket {} reads the rows", one.ticket), without._replace(backs=(*without.backs, read))
        elif one.stage == "read":
            told, after = _write(scope, without, one)
            yield ("ticket {} {}", one.ticket, told), after
        elif one.stage == "wrote":
            yield ("ticket {} acknowledges", one.ticket), without._replace(queue=state.queue & ~one.marks)
        elif one.stage == "remove":
            told, after = _remove(scope, without, one)
            yield ("the removal of ticket {} {}", one.ticket, told), after


def _write(scope: PhaseScope, state: State, one: Back) -> tuple[str, State]:
    gate, document = state.gates[MONGO], state.document
    validated = scope.gate == "validator" and (one.alive or scope.deletes == "tombstone")
    if validated and not (gate.mode == "l" and gate.link == one.link):
        return "is refused by the validator", state
    plain = not one.alive and scope.deletes == "plain"
    late = scope.tickets and document.ticket >= one.ticket
    above = scope.numbers and document.number > one.link
    if document.there and not plain and (late or above):
        return "finds a later write", state
    wrote = state._replace(backs=(*state.backs, one._replace(stage="wrote", alive=False, content=0)))
    if not one.alive and scope.deletes != "tombstone":
        return "deletes the document", wrote._replace(document=Document(content=one.content))
    v = {"draws": highest_version(state) + 1, "keeps": document.v, "none": 0}[scope.draws]
    mark = highest_mark(state) + 1 if scope.marks or not v else 0  # what has no version counts as marked
    new = Document(True, v, mark, not one.alive, one.link, one.ticket, one.content)
    return "leaves a tombstone" if new.deleted else f"writes the document v{v}", wrote._replace(document=new)


def tombstones(scope: PhaseScope, state: State) -> Action:
    """Remove what carriers have left, and send the removal of what the link back has, when nothing older is under way."""
    document = state.document
    carried = not document.mark or scope.sweeps == "any"
    if document.there and document.deleted and not document.ticket and carried and not _waits(scope, state):
        yield ("the tombstone of v{} is swept", document.v), state._replace(document=Document(content=document.content))
    ours = document.there and document.deleted and document.ticket and not document.mark
    removing = any(each.stage == "remove" for each in state.backs)
    older = any(each.stage in {"marked", "read"} and each.ticket < document.ticket for each in state.backs)
    if ours and not removing and not (scope.grace and older):
        one = Back("remove", document.number, document.ticket)
        yield ("the tombstone of ticket {} is due", document.ticket), state._replace(backs=(*state.backs, one))


def _remove(scope: PhaseScope, state: State, one: Back) -> tuple[str, State]:
    document = state.document
    same = document.deleted and (document.ticket, document.number) == (one.ticket, one.link)
    if not document.there or not (same or scope.removes == "any"):
        return "finds another document", state
    return "is done", state._replace(document=Document(content=document.content))


def strays(scope: PhaseScope, state: State) -> Action:
    """Find marks in MongoDB while PostgreSQL serves: their writes were not acknowledged."""
    served = state.gates[POSTGRES].mode == "a" and state.gates[MONGO].mode == "l"
    if scope.writes_strays_over and served and state.document.mark and not state.queue & MARK_ONLY:
        yield ("a stray is found; PostgreSQL's record is marked",), state._replace(queue=state.queue | MARK_ONLY)
