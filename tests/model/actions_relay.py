"""The worker: marks, ticket, states, writes, acknowledgement (``relay/reader.py``, ``relay/pump.py``, ``acknowledge.sql``)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.blocks import acknowledged, lane_of_row
from tests.model.scope import Scope, Step
from tests.model.state import (
    ABSENT,
    Batch,
    Deferred,
    Document,
    Mark,
    Message,
    Source,
    State,
    Ticket,
    Worker,
    Write,
    lane_of,
    put,
    with_marks,
    with_worker,
    without,
)

RIGHTFUL = 2
"""How often a value must be found with the same rightful holder before the conflict counts as real (``PATIENCE``)."""
ABOVE = "above "
"""Status of a write that is outranked; the epoch follows."""
HOPELESS = 9
"""An epoch that none can stand above."""
AS_IT_WAS = "whose target it is, nobody asks"
"""The mutant that is the design of before: copies are not told from their source, and what is refused counts as done."""


def read_marks(scope: Scope, state: State) -> Iterator[Step]:
    """Read marks of held lanes whose keys are not under way, and draw the batch's number."""
    for number, worker in enumerate(state.workers):
        if worker.life != state.life or not any(worker.held) or any(b.stage == "marks" for b in worker.batches):
            continue  # states are read batch after batch
        busy = set() if scope.broken == "two batches of a key" else _keys_under_way(worker)
        marks = [
            mark
            for mark in state.source.outbox
            if worker.held[lane_of_row(scope, state.source.outbox, mark)]
            and mark.key not in busy
            and not (scope.broken == "cursor" and mark.seq <= worker.last_seq)
        ]
        taken = {mark.seq for batch in worker.batches for mark in batch.marks}
        marks = [mark for mark in marks if mark.seq not in taken]
        for some in _runs(marks) if scope.split_batches else [tuple(marks)] if marks else []:
            if scope.broken == "states before marks":
                continue
            batch = Batch(worker.number + 1, worker.held, "marks", some)
            if scope.broken == "remainder as it was read":
                batch = batch._replace(seen=state.source.outbox)
            new = worker._replace(number=worker.number + 1, batches=(*worker.batches, batch))
            if scope.broken == "cursor":
                new = new._replace(last_seq=max(worker.last_seq, some[-1].seq))
            told = ("worker {} reads marks {} and draws ticket {}", number, _seqs(some), _tickets(batch))
            if scope.broken == "ticket after states":
                told = ("worker {} reads marks {}", number, _seqs(some))
            yield told, with_worker(state, number, new)
        if scope.broken == "states before marks":
            yield from _states_first(state, number, worker, {m.key for m in marks})


def _keys_under_way(worker: Worker) -> set[int]:
    return {mark.key for batch in worker.batches for mark in batch.marks}


def _runs(marks: list[Mark]) -> Iterator[tuple[Mark, ...]]:
    for start in range(len(marks)):
        for end in range(start + 1, len(marks) + 1):
            yield tuple(marks[start:end])


def _seqs(marks: tuple[Mark, ...]) -> str:
    return ", ".join(f"{mark.seq} (key {mark.key}{', second delete' if mark.hint == 'G' else ''})" for mark in marks)


def _tickets(batch: Batch) -> str:
    return " and ".join(f"{epoch}.{batch.number}" for epoch in sorted({*batch.leases}) if epoch)


def _states_first(state: State, number: int, worker: Worker, keys: set[int]) -> Iterator[Step]:
    """Mutant: the states are read, then the marks that they are taken for."""
    if keys:
        batch = Batch(worker.number + 1, worker.held, "marks", (), _planned(state, sorted(keys), ()))
        new = worker._replace(number=worker.number + 1, batches=(*worker.batches, batch))
        yield ("worker {} reads the states of keys {}", number, sorted(keys)), with_worker(state, number, new)


def _planned(state: State, keys: list[int], marks: tuple[Mark, ...]) -> tuple[Write, ...]:
    writes = []
    for key in keys:
        row = state.source.rows[key]
        hints = [mark.hint for mark in marks if mark.key == key]
        new = len(hints) == 1 and hints[0] in {"I", "B"}
        kind = "delete" if row.value == ABSENT else "insert" if new else "update"
        writes.append(Write(key, row.version, row.value, kind))
    return tuple(writes)


def read_states(scope: Scope, state: State) -> Iterator[Step]:
    """Read the states of a batch's keys, in one statement; send them, or be frozen before."""
    for number, worker in enumerate(state.workers):
        if worker.life != state.life:
            continue
        for place, batch in enumerate(worker.batches):
            if batch.stage != "marks":
                continue
            if scope.broken == "states before marks":
                keys = {write.key for write in batch.writes}
                marks = tuple(mark for mark in state.source.outbox if mark.key in keys)
                new, told = batch._replace(stage="ready", marks=marks), ("worker {} reads marks {}", _seqs(marks))
            else:
                keys = sorted({mark.key for mark in batch.marks})
                new = batch._replace(stage="ready", writes=_planned(state, keys, batch.marks))
                told = ("worker {} reads the states {}", _contents(new))
            ready = _with_batch(state, number, worker, place, new)
            if scope.split_sends or scope.broken in {"states before marks", "ticket after states"}:
                yield (told[0], number, *told[1:]), ready
            else:
                yield ("worker {} reads and sends the states {}", number, _contents(new)), _sent(ready, number, place)


def _contents(batch: Batch) -> str:
    return ", ".join(
        f"key {write.key} = {'absent' if write.value == ABSENT else write.value} (version {write.version})"
        for write in batch.writes
    )


def _with_batch(state: State, number: int, worker: Worker, place: int, batch: Batch | None) -> State:
    batches = worker.batches
    changed = put(batches, place, batch) if batch else (*batches[:place], *batches[place + 1 :])
    return with_worker(state, number, worker._replace(batches=changed))


def _sent(state: State, number: int, place: int) -> State:
    """Put a batch's writes on their way."""
    worker = state.workers[number]
    batch = worker.batches[place]
    messages, writes = list(state.messages), []
    for write in batch.writes:
        ticket = batch.ticket(lane_of(state, write.key))
        if write.status in {"", "again"}:
            kind = "update" if write.status == "again" else write.kind
            messages.append(Message(write.key, ticket, write.version, write.value, kind))
            write = write._replace(status="sent")  # noqa: PLW2901  the same write, later
        writes.append(write)
    new = batch._replace(stage="sent", writes=tuple(writes))
    return _with_batch(state._replace(messages=tuple(sorted(messages))), number, worker, place, new)


def send(scope: Scope, state: State) -> Iterator[Step]:
    """A worker that was frozen sends; what met a document although it was an insert is sent as an update."""
    for number, worker in enumerate(state.workers):
        for place, batch in enumerate(worker.batches):
            if batch.stage == "ready":
                if scope.broken == "ticket after states":
                    if not all(h for h, b in zip(worker.held, batch.leases, strict=True) if b):
                        continue
                    drawn = batch._replace(number=worker.number + 1, leases=worker.held)
                    fresh = worker._replace(number=worker.number + 1, batches=put(worker.batches, place, drawn))
                    new = _sent(with_worker(state, number, fresh), number, place)
                    yield ("worker {} draws ticket {} and sends {}", number, _tickets(drawn), _contents(batch)), new
                    continue
                yield ("worker {} sends {}", number, _contents(batch)), _sent(state, number, place)
            elif batch.stage == "sent" and any(write.status == "again" for write in batch.writes):
                if any(write.status == "sent" and write.kind == "insert" for write in batch.writes):
                    continue  # one command: its reply tells of all
                yield ("worker {} sends what was there already as updates", number), _sent(state, number, place)


def give_up(scope: Scope, state: State) -> Iterator[Step]:
    """No reply in time, or too old to be sent: the batch has failed; nothing is known of it."""
    for number, worker in enumerate(state.workers):
        for place, batch in enumerate(worker.batches):
            if batch.stage == "ready" and scope.split_sends and state.budget.faults and "t" in scope.fault_kinds:
                dropped = state._replace(budget=state.budget._replace(faults=state.budget.faults - 1))
                new = batch._replace(stage="failed")
                yield (
                    ("worker {} drops a batch that is too old", number),
                    _with_batch(dropped, number, worker, place, new),
                )
            if batch.stage not in {"sent", "clearing"} or not any(write.status == "sent" for write in batch.writes):
                continue
            slow = any(_under_way(state, batch, write) for write in batch.writes)
            if slow and not (state.budget.faults and "t" in scope.fault_kinds):
                continue
            given = state._replace(budget=state.budget._replace(faults=state.budget.faults - slow))
            if scope.broken == "new state under an old ticket":
                writes = _planned(state, [write.key for write in batch.writes], batch.marks)
                keys = {write.key for write in writes}
                marks = tuple(mark for mark in state.source.outbox if mark.key in keys)
                again = batch._replace(stage="ready", writes=writes, marks=marks)
                anew = _sent(_with_batch(given, number, worker, place, again), number, place)
                yield (
                    ("worker {} waits in vain, reads {} and sends it under the same ticket", number, _contents(again)),
                    anew,
                )
                continue
            new = batch._replace(stage="failed")
            yield (
                ("worker {} waits in vain for the reply to {}", number, _tickets(batch)),
                _with_batch(given, number, worker, place, new),
            )


def _under_way(state: State, batch: Batch, write: Write) -> bool:
    ticket = batch.ticket(lane_of(state, write.key))
    return write.status == "sent" and any(m.key == write.key and m.ticket == ticket for m in state.messages)


def read_back(scope: Scope, state: State) -> Iterator[Step]:
    """Look what stands above the writes that the fence refused (``Writes._read_back``, ``relay/outranked.py``)."""
    for number, worker in enumerate(state.workers):
        for place, batch in enumerate(worker.batches):
            if batch.stage != "sent" or any(write.status in {"sent", "again"} for write in batch.writes):
                continue
            if any(write.status == "stale" for write in batch.writes):
                yield _looked(scope, state, number, worker, place, batch)


def _looked(scope: Scope, state: State, number: int, worker: Worker, place: int, batch: Batch) -> Step:
    writes, above, waiting = [], [], list(batch.waiting)
    for write in batch.writes:
        if write.status == "stale":
            status = _standing(state.target.documents[write.key], batch.ticket(lane_of(state, write.key)), write)
            if status.startswith(ABOVE):
                above.append(write.key)
                status = "bad" if write.key in worker.tried or int(status[len(ABOVE) :]) >= HOPELESS else status
            if status == "unknown" and scope.broken != "read back and not above is done":
                waiting.append(write.key)
            if status == "unknown" or scope.broken in {"stale acknowledged", AS_IT_WAS}:
                status = "ok"
            write = write._replace(status=status)  # noqa: PLW2901  the same write, later
        writes.append(write)
    new = batch._replace(writes=tuple(writes), waiting=tuple(waiting))
    told = ("worker {} reads back what was refused; above its tickets: keys {}", number, above)
    return told, _with_batch(state, number, worker, place, new)


def _standing(document: Document | None, ticket: Ticket, write: Write) -> str:
    """Say what became of a write that the fence has refused, by what stands there now."""
    if document is not None and (document.ticket > ticket or (write.kind == "delete" and document.ticket == ticket)):
        return f"{ABOVE}{document.ticket[0]}"
    if write.kind == "delete":
        return "ok" if document is None else "unknown"
    return "ok" if document is not None and document.ticket == ticket else "unknown"


def settle(scope: Scope, state: State) -> Iterator[Step]:
    """A unique index has refused records (``relay/conflicts.py``)."""
    for number, worker in enumerate(state.workers):
        for place, batch in enumerate(worker.batches):
            refused = [write for write in batch.writes if write.status == "conflict"]
            if batch.stage == "sent" and refused and all(w.status == "conflict" or _over(w) for w in batch.writes):
                yield _look_for_holders(state, number, worker, place, batch)
            elif batch.stage == "settling" and worker.life == state.life:
                yield _decide(scope, state, number, worker, place, batch)
            elif batch.stage == "clearing" and not any(write.status == "sent" for write in batch.writes):
                new = batch._replace(stage="sent")
                yield (
                    ("worker {} has its outdated records away", number),
                    _with_batch(state, number, worker, place, new),
                )


def _look_for_holders(state: State, number: int, worker: Worker, place: int, batch: Batch) -> Step:
    """Ask the target who has the values. The answer goes, as ``key + 1``, into the write's version; 0: nobody."""
    writes = []
    for write in batch.writes:
        if write.status == "conflict":
            holder = next(
                (k for k, d in enumerate(state.target.documents) if d and d.value == write.value and k != write.key), -1
            )
            write = write._replace(status=f"held{holder + 1}")  # noqa: PLW2901  the same write, later
        writes.append(write)
    new = batch._replace(stage="settling", writes=tuple(writes))
    return ("worker {} asks who has the values", number), _with_batch(state, number, worker, place, new)


def _decide(scope: Scope, state: State, number: int, worker: Worker, place: int, batch: Batch) -> Step:
    source, tries = state.source, worker.tries
    refused = {write.key for write in batch.writes if write.status.startswith("held")}
    taken = {mark for one in worker.batches for mark in one.marks if mark.key not in refused}
    messages, writes, waiting = list(state.messages), [], []
    for write in batch.writes:
        if not write.status.startswith("held"):
            writes.append(write)
            continue
        holder = int(write.status[4:]) - 1
        rightful = holder >= 0 and source.rows[holder].value == write.value
        outdated = holder >= 0 and not rightful
        found, tried = divmod(tries[write.key], 3)
        found = found + 1 if rightful else 0 if outdated else found
        tried = min(tried + outdated, 2)
        if found >= RIGHTFUL:
            tries = put(tries, write.key, 0)
            writes.append(write._replace(status="bad"))
            continue
        waiting.append(write.key)
        tries = put(tries, write.key, 3 * found + tried)
        # (The relay marks every time; a second mark that waits would change nothing but the number of states.)
        if outdated and not any(m.key == holder and not m.made and m not in taken for m in source.outbox):
            source = with_marks(source, (holder, "R", 0))
        if outdated and tried >= 2 and scope.broken != "nobody gives way":
            ticket = batch.ticket(lane_of(state, write.key))
            messages.append(Message(write.key, ticket, write.version, ABSENT, "away"))
            writes.append(write._replace(status="sent"))
        else:
            writes.append(write._replace(status="ok"))
    stage = "clearing" if any(write.status == "sent" for write in writes) else "sent"
    new = batch._replace(stage=stage, writes=tuple(writes), waiting=tuple(waiting))
    changed = state._replace(source=source, messages=tuple(sorted(messages)))
    return (
        ("worker {} lets keys {} wait for their values, and marks who has them", number, waiting),
        _with_batch(changed, number, worker._replace(tries=tries), place, new),
    )


def acknowledge(scope: Scope, state: State) -> Iterator[Step]:
    """Remove marks under the lease, or be refused and mark the keys again: one statement."""
    for number, worker in enumerate(state.workers):
        if worker.life != state.life and scope.broken != "session outlives a restore":
            continue
        for place, batch in enumerate(worker.batches):
            if batch.stage == "failed":
                yield _acknowledged(scope, state, number, worker, place, batch, failed=True)
            elif batch.stage == "sent" and all(_over(write) for write in batch.writes):
                yield _acknowledged(scope, state, number, worker, place, batch, failed=False)


def _over(write: Write) -> bool:
    return write.status in {"ok", "bad"} or write.status.startswith(ABOVE)


def _acknowledged(
    scope: Scope, state: State, number: int, worker: Worker, place: int, batch: Batch, *, failed: bool
) -> Step:
    source = state.source
    lane_of_mark = {mark: lane_of_row(scope, source.outbox, mark) for mark in batch.marks}
    mine = {
        lane
        for lane, epoch in enumerate(batch.leases)
        if epoch and any(lane_of_mark[mark] == lane for mark in batch.marks)
    }
    held = {
        lane for lane in mine if (source.leases[lane].owner, source.leases[lane].epoch) == (number, batch.leases[lane])
    }
    if scope.broken == "acknowledgement without the lease" or (scope.broken == "one lane speaks for all" and held):
        held = mine
    lost = sorted({mark.key for mark in batch.marks if lane_of_mark[mark] not in held})
    outranked = {w.key: int(w.status.removeprefix(ABOVE)) for w in batch.writes if w.status.startswith(ABOVE)}
    batch_as_written, batch = batch, batch._replace(waiting=tuple({*batch.waiting, *outranked}))
    done = (
        ()
        if failed
        else tuple(mark for mark in batch.marks if lane_of_mark[mark] in held and mark.key not in batch.waiting)
    )
    source, worker = _removed(scope, state, worker, batch, done)
    if lost and scope.broken != "refused and silent":
        source = with_marks(source, *((key, "R", 0) for key in lost))
    keys = {write.key for write in batch.writes} - set(batch.waiting)
    kept = worker._replace(
        batches=without(worker.batches, batch_as_written),
        held=tuple(
            0 if lane in mine - held and epoch == batch.leases[lane] else epoch
            for lane, epoch in enumerate(worker.held)
        ),
        tried=tuple(sorted({*worker.tried} - keys)),
        tries=worker.tries if failed else tuple(0 if key in keys else n for key, n in enumerate(worker.tries)),
    )
    again = {} if failed else {key: n for key, n in outranked.items() if lane_of(state, key) in held}
    if again:
        source, kept = _outranking(state, source, kept, again)
    told = ("worker {} acknowledges marks {}", number, _seqs(done))
    if again:
        told = (told[0] + "; it alarms, and will write keys {} again under a higher epoch", *told[1:], sorted(again))
    if failed:
        told = ("worker {} keeps the marks of the failed batch", number)
    if lost:
        told = (told[0] + "; its lease is lost, it marks keys {} again", *told[1:], lost)
    return told, with_worker(state._replace(source=source), number, kept)


def _outranking(state: State, source: Source, worker: Worker, epochs: dict[int, int]) -> tuple[Source, Worker]:
    """Say that somebody else writes here, and leave the lanes: they are taken anew under epochs above what stands there."""
    lanes = {lane_of(state, key) for key in epochs}
    return source._replace(told=True), worker._replace(
        above=max(worker.above, *epochs.values()),
        tried=tuple(sorted({*worker.tried, *epochs})),
        held=tuple(0 if lane in lanes else epoch for lane, epoch in enumerate(worker.held)),
    )


def _removed(scope: Scope, state: State, worker: Worker, batch: Batch, done: tuple[Mark, ...]):
    """Delete marks; park what is rejected, clear what is not any more, and put down second deletes."""
    source = state.source
    parked, deferred, debt = source.parked, source.deferred, worker.debt
    for write in batch.writes:
        marks = [mark for mark in done if mark.key == write.key]
        if not marks:
            continue
        if write.status == "bad":
            if scope.broken != "rejected and forgotten":
                parked = put(parked, write.key, max(write.version, 1))
            continue
        if scope.broken != "parked for ever":
            parked = put(parked, write.key, 0)
        first = any(mark.hint != "G" for mark in marks)
        if write.value == ABSENT and first and scope.broken != "deleted once":
            bound = (batch.ticket(lane_of(state, write.key))[0], batch.number)
            if scope.broken == "second delete after the acknowledgement":
                debt = (*debt, (write.key, bound))
            else:
                deferred = (*deferred, Deferred(write.key, bound))
    new = acknowledged(scope, source, batch, done)._replace(parked=parked, deferred=deferred)
    return new, worker._replace(debt=debt)
