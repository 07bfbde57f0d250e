"""What happens in the source by itself: transactions, second deletes that fall due, backfills and sweeps."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model import blocks
from tests.model.scope import TRUNCATE, Scope, Step
from tests.model.state import (
    ABSENT,
    UNTICKETED,
    Mark,
    Row,
    Source,
    State,
    Task,
    Ticket,
    lane_of,
    put,
    with_marks,
    with_worker,
)


def _words(number: int, scope: Scope) -> str:
    script = scope.script[number]
    if script == TRUNCATE:
        return "truncates"
    return ", ".join(f"key {key} := {value or 'absent'}" for key, value in script)


def _hint(source: Source, key: int, value: int) -> str:
    if value == ABSENT:
        return "D"
    return "I" if source.rows[key].value == ABSENT else "U"


def _applied(scope: Scope, state: State, number: int, marks: tuple[Mark, ...] | None) -> State:
    """Commit: rows and marks become visible together."""
    source, version = state.source, state.commits + 1
    rows = source.rows
    if scope.script[number] == TRUNCATE:
        rows = tuple(Row(version, ABSENT) for _ in rows)
        if scope.broken != "truncate without sweep":
            source = with_task(scope, source, state, "sweep", UNTICKETED)
        return state._replace(source=source._replace(rows=rows), commits=version)
    if marks is None:
        marks = tuple(
            Mark(source.next_seq + n, key, _hint(source, key, value), version)
            for n, (key, value) in enumerate(scope.script[number])
        )
        source = source._replace(next_seq=source.next_seq + len(marks))
    for key, value in scope.script[number]:
        rows = put(rows, key, Row(version, value))
    if scope.broken == "marks after the commit":
        unmarked = state.unmarked + tuple(mark.key for mark in marks)
        return state._replace(source=source._replace(rows=rows), commits=version, unmarked=unmarked)
    in_rows = blocks.made(scope, [mark.seq for mark in marks], [mark.key for mark in marks])
    new = (mark._replace(made=version, row=row) for mark, row in zip(marks, in_rows, strict=True))
    visible = tuple(sorted((*source.outbox, *new)))
    return state._replace(source=source._replace(rows=rows, outbox=visible), commits=version)


def transactions(scope: Scope, state: State) -> Iterator[Step]:
    """The application writes: rows and marks in one transaction."""
    number = state.begun
    if number < len(scope.script):
        if not scope.two_steps:
            new = _applied(scope, state, number, None)._replace(begun=number + 1)
            yield ("transaction {} commits: {}", number, _words(number, scope)), new
        elif _may_write(scope, state, number):
            yield _begins(scope, state, number)
    for place, (number, seqs) in enumerate(state.open):
        rest = state._replace(open=(*state.open[:place], *state.open[place + 1 :]))
        marks = tuple(
            Mark(seq, key, _hint(state.source, key, value), 0)
            for seq, (key, value) in zip(seqs, scope.script[number], strict=True)
        )
        yield (("transaction {} commits: {}", number, _words(number, scope)), _applied(scope, rest, number, marks))
        yield ("transaction {} is rolled back", number), rest
    for key in sorted(set(state.unmarked)):
        rest = tuple(one for one in state.unmarked if one != key)
        made = state.source.rows[key].version
        marked = with_marks(state.source, (key, "U", made))
        yield ("the application marks key {}", key), state._replace(source=marked, unmarked=rest)
        yield ("the application dies before it has marked key {}", key), state._replace(unmarked=rest)


def _begins(scope: Scope, state: State, number: int) -> Step:
    source, count = state.source, len(scope.script[number])
    seqs = tuple(range(source.next_seq, source.next_seq + count))
    new = state._replace(
        begun=number + 1,
        open=(*state.open, (number, seqs)),
        source=source._replace(next_seq=source.next_seq + count),
    )
    return ("transaction {} writes (marks {}, not committed): {}", number, list(seqs), _words(number, scope)), new


def _may_write(scope: Scope, state: State, number: int) -> bool:
    """Row locks: no open transaction has written the same key."""
    mine = {key for key, _ in scope.script[number]}
    return all(mine.isdisjoint(key for key, _ in scope.script[other]) for other, _ in state.open)


def promotions(scope: Scope, state: State) -> Iterator[Step]:
    """A second delete falls due and becomes a mark."""
    source = state.source
    for place, deferred in enumerate(source.deferred):
        if not over(scope, state, deferred.key, deferred.bound):
            continue
        rest = source._replace(deferred=(*source.deferred[:place], *source.deferred[place + 1 :]))
        yield (
            ("the second delete of key {} falls due", deferred.key),
            state._replace(source=with_marks(rest, (deferred.key, "G", 0))),
        )


def over(scope: Scope, state: State, key: int, bound: Ticket) -> bool:
    """Tell whether the grace time may be over: whatever is older has been executed or dropped (strong grace), but for what
    a frozen worker has not sent yet (weak grace)."""
    if scope.grace == "none":
        return True
    if any(message.key == key and message.ticket < bound for message in state.messages):
        return False
    if scope.grace == "weak":
        return True
    lane = lane_of(state, key)
    return not any(
        batch.ticket(lane) < bound
        and (
            (batch.stage == "marks" and any(mark.key == key for mark in batch.marks))
            or any(write.key == key and write.status in {"", "sent", "again"} for write in batch.writes)
        )
        for worker in state.workers
        for batch in worker.batches
        if batch.leases[lane]
    )


def with_task(scope: Scope, source: Source, state: State, kind: str, bound: Ticket) -> Source:
    """Ask for a backfill or a sweep; one that waits already does for both."""
    patient = scope.patient_sweep and kind == "sweep"
    task = Task(kind, below=source.next_seq if patient else 0, bound=bound if patient else UNTICKETED)
    return source if task in source.tasks else source._replace(tasks=(*source.tasks, task))


def tasks(scope: Scope, state: State) -> Iterator[Step]:
    """The runner of tasks: a chunk is a key; each chunk is one transaction of marks and progress."""
    source = state.source
    if not source.tasks:
        return
    task, rest = source.tasks[0], source.tasks[1:]
    key = task.at
    if key == scope.keys:
        yield ("the {} is done", task.kind), state._replace(source=source._replace(tasks=rest))
    elif task.kind == "backfill":
        present = source.rows[key].value != ABSENT
        marked = with_marks(source, (key, "B", 0)) if present else source
        marked = marked._replace(tasks=(task._replace(at=key + 1), *rest))
        told = ("the backfill marks key {}", key) if present else ("the backfill finds no key {}", key)
        yield told, state._replace(source=marked)
    elif not task.seen:
        if not _may_sweep(scope, state, task):
            return
        there = state.target.documents[key] is not None
        new = task._replace(seen=1) if there else task._replace(at=key + 1)
        told = "the sweep finds key {} in the target" if there else "the sweep does not find key {} in the target"
        yield (told, key), state._replace(source=source._replace(tasks=(new, *rest)))
    else:
        absent = source.rows[key].value == ABSENT
        marked = with_marks(source, (key, "R", 0)) if absent else source
        marked = marked._replace(tasks=(task._replace(at=key + 1, seen=0), *rest))
        told = ("the sweep marks key {}: the source lacks it", key) if absent else ("the source has key {}, too", key)
        yield told, state._replace(source=marked)


def _may_sweep(scope: Scope, state: State, task: Task) -> bool:
    """Wait for what was under way when the sweep was asked for: its traces in the target may come yet."""
    if any(mark.seq < task.below for mark in state.source.outbox):
        return False
    return task.bound == UNTICKETED or all(over(scope, state, key, task.bound) for key in range(scope.keys))


def late_second_deletes(scope: Scope, state: State) -> Iterator[Step]:
    """Mutant: the second delete is put down in a statement of its own, after the acknowledgement."""
    for number, worker in enumerate(state.workers):
        for key, bound in worker.debt:
            from tests.model.state import Deferred

            source = state.source._replace(deferred=(*state.source.deferred, Deferred(key, bound)))
            paid = worker._replace(debt=tuple(one for one in worker.debt if one != (key, bound)))
            yield (
                ("worker {} puts down the second delete of key {}", number, key),
                with_worker(state._replace(source=source), number, paid),
            )
