"""Verification of a key with its second look, as implemented (``verify/one_pass.py``, ``verify/second_look.py``), and repair."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.blocks import waits
from tests.model.scope import Scope, Step
from tests.model.state import ABSENT, Document, Row, State, Verifier, lane_of, put, with_marks

KEY = 0
"""The key that the pass looks at."""


def verify(scope: Scope, state: State) -> Iterator[Step]:
    """The next step of a pass."""
    verifier = state.verifier
    step = _STEPS.get(verifier.stage)
    if step is None:
        return
    for told, new in step(scope, state, verifier):
        yield told, new if isinstance(new, State) else state._replace(verifier=new)


def unsettled(state: State, key: int, *, broken: str = "") -> str:
    """Give the reason why a difference of this key may be only lag (``verification.sql``, unsettled and task)."""
    source = state.source
    if waits(source.outbox, key, broken=broken) and broken != "marks are not asked for":
        return "mark"
    if source.parked[key]:
        return "parked"
    if any(deferred.key == key for deferred in source.deferred) and broken != "second deletes are not asked for":
        return "deferred"
    if source.tasks and broken != "tasks are not asked for":
        return "task"
    return ""


def issued(state: State, document: Document, epochs: tuple[int, ...]) -> bool:
    """Tell whether a ticket may have been issued."""
    return document.ticket[0] <= epochs[lane_of(state, KEY)]


def alike(row: Row, document: Document | None) -> bool:
    """Compare contents, as verification does: a record that changes and changes back is the same."""
    return row.value == (ABSENT if document is None else document.value)


def _begin(scope: Scope, state: State, verifier: Verifier) -> Iterator[tuple[tuple, object]]:
    if state.budget.verifies:
        budget = state.budget._replace(verifies=state.budget.verifies - 1)
        new = Verifier("page", epochs=state.target.epochs)
        yield ("verify begins",), state._replace(verifier=new, budget=budget)


def _page(scope: Scope, state: State, verifier: Verifier) -> Iterator[tuple[tuple, object]]:
    row = state.source.rows[KEY]
    yield (
        ("verify reads the row: version {}", row.version if row.value else "absent"),
        verifier._replace(stage="fetch" if row.value else "walk", row=row),
    )


def _fetch(scope: Scope, state: State, verifier: Verifier) -> Iterator[tuple[tuple, object]]:
    """The first look: the row of the page against the document that is there now."""
    document = state.target.documents[KEY]
    assert verifier.row is not None
    same = alike(verifier.row, document) and (
        document is None or issued(state, document, verifier.epochs) or issued(state, document, state.target.epochs)
    )
    told = "verify finds the document equal" if same else "verify finds the document different, and suspects it"
    yield (told,), verifier._replace(stage="walk" if same else "view", row=None)


def _walk(scope: Scope, state: State, verifier: Verifier) -> Iterator[tuple[tuple, object]]:
    there = state.target.documents[KEY] is not None
    if not there:
        yield ("verify walks the target, which has no such key",), _end(verifier, "equal")
    else:
        yield ("verify walks the target, and finds the key",), verifier._replace(stage="orphan")


def _orphan(scope: Scope, state: State, verifier: Verifier) -> Iterator[tuple[tuple, object]]:
    if state.source.rows[KEY].value == ABSENT:
        yield (
            ("verify does not find the key in the source, and suspects it",),
            verifier._replace(stage="view", row=None),
        )
    else:
        yield ("verify finds the key in the source",), _end(verifier, "equal")


def _view(scope: Scope, state: State, verifier: Verifier) -> Iterator[tuple[tuple, object]]:
    """Second look, 1: one snapshot of the source."""
    row, pending = state.source.rows[KEY], unsettled(state, KEY, broken=scope.broken)
    told = (
        "second look: the row is version {}{}",
        row.version if row.value else "absent",
        f", pending: {pending}" if pending else "",
    )
    new = verifier._replace(row=row, pending=pending, stage="stored")
    yield told, new


def _stored(scope: Scope, state: State, verifier: Verifier) -> Iterator[tuple[tuple, object]]:
    """Second look, 2: the document."""
    document = state.target.documents[KEY]
    told = ("second look: the document is {}", _words(document))
    yield told, verifier._replace(document=document, stage="records")


def _records(scope: Scope, state: State, verifier: Verifier) -> Iterator[tuple[tuple, object]]:
    """The lanes' records, read after the document; then the verdict so far."""
    row, document = verifier.row, verifier.document
    assert row is not None
    wrong = ""
    if not alike(row, document):
        wrong = "extra" if row.value == ABSENT else "missing" if document is None else "different"
    if document is not None and row.value != ABSENT and not issued(state, document, state.target.epochs):
        wrong = "unissued"
    told = ("second look: {}", wrong or "equal")
    if not wrong:
        yield told, _end(verifier, "equal")
    elif verifier.pending == "parked":
        yield told, _end(verifier, "parked")
    elif verifier.pending:
        yield (told[0] + ", perhaps only late ({}): looked at again later", wrong, verifier.pending), _later(verifier)
    elif scope.broken == "one look is enough":
        yield told, verifier._replace(stage="finding", wrong=wrong)
    else:
        yield told, verifier._replace(stage="again", wrong=wrong)


def _again(scope: Scope, state: State, verifier: Verifier) -> Iterator[tuple[tuple, object]]:
    """Second look, 3: the source again."""
    row, pending = state.source.rows[KEY], unsettled(state, KEY, broken=scope.broken)
    assert verifier.row is not None
    moved = row.value != verifier.row.value or pending
    if scope.broken == "the row is not looked at again":
        moved = False
    told = "second look: the row or its marks have moved" if moved else "second look: the row has not moved"
    yield (told,), _later(verifier) if moved else verifier._replace(stage="still")


def _still(scope: Scope, state: State, verifier: Verifier) -> Iterator[tuple[tuple, object]]:
    """Second look, 4: the document again."""
    moved = state.target.documents[KEY] != verifier.document
    if scope.broken == "the document is not looked at again":
        moved = False
    told = "second look: the document has moved" if moved else "second look: the document has not moved: damage"
    yield (told,), _later(verifier) if moved else verifier._replace(stage="finding")


def _finding(scope: Scope, state: State, verifier: Verifier) -> Iterator[tuple[tuple, object]]:
    """Repair, 1: the fence must let the relay's write pass. A finding that nobody repairs is the end of it."""
    if not scope.repair:
        yield ("verify reports damage",), _end(verifier, "reported")
        return
    document = verifier.document
    fenced = document is not None and document.ticket[0] > state.target.epochs[lane_of(state, KEY)] - 1
    if fenced and scope.broken != "repair without release":
        if state.target.documents[KEY] != document and (
            state.target.documents[KEY] is None or state.target.documents[KEY].ticket != document.ticket
        ):
            yield ("repair leaves the document alone: it has changed",), _end(verifier, "left")
            return
        released = state.target.documents[KEY]._replace(ticket=(0, 0))
        target = state.target._replace(documents=put(state.target.documents, KEY, released))
        yield (
            ("repair takes the document's ticket away",),
            state._replace(target=target, verifier=verifier._replace(stage="mark")),
        )
    else:
        yield ("repair lets the fence be",), verifier._replace(stage="mark")


def _mark(scope: Scope, state: State, verifier: Verifier) -> Iterator[tuple[tuple, object]]:
    source = with_marks(state.source, (KEY, "R", 0))
    done = _end(verifier, "repaired")
    yield (
        ("repair marks the key",),
        state._replace(source=source, verifier=done, tampered=put(state.tampered, KEY, False)),
    )


def _later(verifier: Verifier) -> Verifier:
    return verifier._replace(stage="view", row=None, pending="", document=None, epochs=(), wrong="")


def _end(verifier: Verifier, verdict: str) -> Verifier:
    return Verifier(verdict, damaged_throughout=verifier.damaged_throughout)


def _words(document: Document | None) -> str:
    return (
        "absent"
        if document is None
        else f"version {document.version} (ticket {document.ticket[0]}.{document.ticket[1]})"
    )


def damaged(state: State) -> bool:
    """Tell whether both sides differ and nothing is under way that would change that."""
    row, document = state.source.rows[KEY], state.target.documents[KEY]
    if alike(row, document) and (document is None or issued(state, document, state.target.epochs)):
        return False
    return not (
        unsettled(state, KEY)
        or any(message.key == KEY for message in state.messages)
        or any(mark.key == KEY for worker in state.workers for batch in worker.batches for mark in batch.marks)
        or state.verifier.stage in {"finding", "mark"}
    )


def watched(before: State, after: State) -> State:
    """Keep the ghost of a pass: has there been real damage ever since it began?"""
    verifier = after.verifier
    if verifier.stage in _FINAL or verifier.stage == "":
        return after
    throughout = damaged(after) and (before.verifier.stage in {"", *_FINAL} or before.verifier.damaged_throughout)
    if throughout == verifier.damaged_throughout:
        return after
    return after._replace(verifier=verifier._replace(damaged_throughout=throughout))


_FINAL = {"equal", "parked", "reported", "repaired", "left"}
_STEPS = {
    "": _begin,
    **dict.fromkeys(_FINAL, _begin),
    "page": _page,
    "fetch": _fetch,
    "walk": _walk,
    "orphan": _orphan,
    "view": _view,
    "stored": _stored,
    "records": _records,
    "again": _again,
    "still": _still,
    "finding": _finding,
    "mark": _mark,
}
