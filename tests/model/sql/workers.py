"""The application, and the workers: leases, announcements, batches, acknowledgements."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from tests.model.sql.scope import SqlScope, Step
from tests.model.sql.server import holds
from tests.model.sql.state import (
    Batch,
    Hold,
    Item,
    Lease,
    Refusal,
    Row,
    Source,
    State,
    Transaction,
    Worker,
    forgetting,
    orphaned,
    put,
    with_worker,
)


def application(scope: SqlScope, state: State) -> Iterator[Step]:
    """Commit the next transaction of the script."""
    source = state.source
    if source.begun == len(scope.script):
        return
    version, rows, words = source.commits + 1, list(source.rows), []
    for key, content in scope.script[source.begun]:
        rows[key] = Row(version) if content is None else Row(version, True, *content)
        words.append(f"key {key} is {'deleted' if content is None else f'v{version} {content}'}")
    captured = scope.captured_first or state.copy.stage in {"read", "sent", "done"} or state.copy.declared
    marks = source.marks | {(key, version) for key, _ in scope.script[source.begun] if captured}
    changed = source._replace(rows=tuple(rows), marks=marks, begun=source.begun + 1, commits=version)
    yield ("source: {}", ", ".join(words)), state._replace(source=changed)


def expire(scope: SqlScope, state: State) -> Iterator[Step]:
    """A lease runs out; a fault while its owner believes to have it."""
    for lane, lease in enumerate(state.source.leases):
        if not lease.live:
            continue
        busy = state.workers[lease.owner].lanes[lane] != Hold()
        if busy and not (state.faults and "e" in scope.kinds):
            continue
        leases = put(state.source.leases, lane, lease._replace(live=False))
        after = state._replace(source=state.source._replace(leases=leases), faults=state.faults - busy)
        yield ("the lease of lane {} runs out", lane), after


def renew(scope: SqlScope, state: State) -> Iterator[Step]:
    """Acquire, announce, notice what is lost, crash."""
    for number, worker in enumerate(state.workers):
        for lane, hold in enumerate(worker.lanes):
            lease = state.source.leases[lane]
            if hold.stage and (lease.owner, lease.epoch) != (number, hold.epoch):
                lost = forgetting(state, number, frozenset({lane}), sent=not scope.awaits_batches)
                yield ("worker {} notices that lane {} is not its own any more", number, lane), lost
            elif not hold.stage and not lease.live:
                taken = Lease(number, lease.epoch + 1, True)
                source = state.source._replace(leases=put(state.source.leases, lane, taken))
                new = worker._replace(lanes=put(worker.lanes, lane, Hold(taken.epoch, "acquired")))
                acquired = with_worker(state._replace(source=source), number, new)
                yield ("worker {} acquires lane {}, epoch {}", number, lane, taken.epoch), acquired
            elif hold.stage in {"acquired", "asking"}:
                yield from _announce(scope, state, number, lane)
        busy = worker.batches or any(hold.stage for hold in worker.lanes)
        if busy and state.faults and "c" in scope.kinds:
            empty = Worker((Hold(),) * scope.lanes)
            left = state._replace(transactions=orphaned(state.transactions, number), faults=state.faults - 1)
            yield ("worker {} crashes", number), with_worker(left, number, empty)


def _announce(scope: SqlScope, state: State, number: int, lane: int) -> Iterator[Step]:
    worker = state.workers[number]
    hold = worker.lanes[lane]
    told = worker._replace(lanes=put(worker.lanes, lane, Hold(hold.epoch, "announced")))
    if not scope.announces:
        yield ("worker {} does not announce lane {}", number, lane), with_worker(state, number, told)
        return
    if scope.queues and hold.stage == "acquired":
        asking = worker._replace(lanes=put(worker.lanes, lane, Hold(hold.epoch, "asking")))
        yield ("worker {} asks for the exclusive lock of lane {}", number, lane), with_worker(state, number, asking)
        return
    if any(holds(scope, one, lane, what) for one in state.transactions for what in ("lock", "share", "record")):
        return  # the announcement waits
    if state.target.records[lane][0] < hold.epoch:
        records = put(state.target.records, lane, (hold.epoch, 0))
        after = with_worker(state._replace(target=state.target._replace(records=records)), number, told)
        yield ("worker {} announces epoch {} of lane {}", number, hold.epoch, lane), after
    else:
        yield ("worker {} finds a higher epoch of lane {}", number, lane), _given_up(state, number, frozenset({lane}))


def _given_up(state: State, number: int, lanes: frozenset[int]) -> State:
    """Give lanes back, so that they are acquired under a new epoch."""
    worker, leases = state.workers[number], list(state.source.leases)
    for lane in lanes:
        if (leases[lane].owner, leases[lane].epoch) == (number, worker.lanes[lane].epoch):
            leases[lane] = leases[lane]._replace(live=False)
    source = state.source._replace(leases=tuple(leases))
    return forgetting(state._replace(source=source), number, lanes)


def read(scope: SqlScope, state: State) -> Iterator[Step]:
    """Begin batches, read what is missing, send."""
    for number, worker in enumerate(state.workers):
        if len(worker.batches) < scope.batches and number < scope.readers:
            yield from _begin(scope, state, number)
        for place, batch in enumerate(worker.batches):
            yield from _go_on(scope, state, number, place, batch)


def _begin(scope: SqlScope, state: State, number: int) -> Iterator[Step]:
    worker = state.workers[number]
    early = not scope.reads_after_announcing
    mine = {
        lane: hold.epoch
        for lane, hold in enumerate(worker.lanes)
        if hold.stage == "announced" or (early and hold.stage == "acquired")
    }
    taken = {key for batch in worker.batches for key in batch.keys} if scope.one_batch_a_key else set()
    due = sorted({key for key, _ in state.source.marks if key % scope.lanes in mine} - taken)
    if state.copy.begun and not state.copy.declared and scope.marks_wait:
        return
    new = max([0, *_numbers(state)]) + 1
    for size in range(1, len(due) + 1):
        for keys in combinations(due, size):
            if scope.tables and len({scope.tables[key] for key in keys}) > 1:
                continue
            if scope.groups and keys not in [tuple(key for key in group if key in due) for group in scope.groups]:
                continue
            lanes = tuple(dict.fromkeys(key % scope.lanes for key in keys))
            epochs = tuple((lane, mine[lane]) for lane in (sorted(lanes) if scope.sorted_locks else lanes))
            batch = Batch(new, "marks", epochs, keys)
            if scope.marks_before_states:
                batch = batch._replace(marks=_marks(state.source, keys))
            else:
                batch = batch._replace(items=_items(scope, state, worker, keys))
            begun = worker._replace(batches=(*worker.batches, batch))
            what = "marks" if scope.marks_before_states else "states"
            yield ("worker {} reads {} of keys {}", number, what, keys), with_worker(state, number, begun)


def _numbers(state: State) -> Iterator[int]:
    for one in state.transactions:
        yield one.number
    for worker in state.workers:
        for batch in worker.batches:
            yield batch.number
    for _, number in state.target.records:
        yield number


def _marks(source: Source, keys: tuple[int, ...]) -> frozenset[tuple[int, int]]:
    return frozenset(mark for mark in source.marks if mark[0] in keys)


def _items(scope: SqlScope, state: State, worker: Worker, keys: tuple[int, ...]) -> tuple[Item, ...]:
    """Read the states; records that give way do so before anything is written."""
    rows = state.source.rows
    before = []
    for key in keys:
        if key in worker.yielding and not rows[key].there and scope.lets_go:
            before.append(Item("let go", key, Row()))
        if key in worker.yielding and rows[key].there:
            if scope.gives_way == "remove":
                before.append(Item("remove", key, Row()))
            else:
                before.append(Item("loosen" if rows[key].parent else "clear", key, rows[key]))
    return (*before, *(Item("put" if rows[key].there else "delete", key, rows[key]) for key in keys))


def _go_on(scope: SqlScope, state: State, number: int, place: int, batch: Batch) -> Iterator[Step]:
    worker = state.workers[number]

    def changed(new: Batch) -> Worker:
        return worker._replace(batches=put(worker.batches, place, new))

    if batch.stage == "marks":
        if scope.marks_before_states:
            new = batch._replace(stage="states", items=_items(scope, state, worker, batch.keys))
        else:
            new = batch._replace(stage="states", marks=_marks(state.source, batch.keys))
        versions = ", ".join(f"{kind} v{row.version}" for kind, _, row in new.items)
        yield (
            ("worker {} reads what is missing of keys {}: {}", number, batch.keys, versions),
            with_worker(state, number, changed(new)),
        )
    elif batch.stage == "states" and all(worker.epoch(lane) == epoch for lane, epoch in batch.lanes):
        one = Transaction(number, batch.number, batch.lanes, batch.items)
        sent = with_worker(state, number, changed(batch._replace(stage="sent")))
        yield (
            ("worker {} sends the batch of keys {}", number, batch.keys),
            sent._replace(transactions=tuple(sorted((*state.transactions, one)))),
        )
    elif batch.stage == "sent":
        yield from _doubt(scope, state, number, place, batch)
    elif batch.stage == "done":
        yield from _acknowledge(scope, state, number, place, batch)


def _doubt(scope: SqlScope, state: State, number: int, place: int, batch: Batch) -> Iterator[Step]:
    """No answer, or none in time: the outcome is unknown."""
    gone = not any((one.client, one.number) == (number, batch.number) for one in state.transactions)
    if not gone and not (state.faults and "t" in scope.kinds):
        return
    worker = state.workers[number]
    left = worker._replace(batches=(*worker.batches[:place], *worker.batches[place + 1 :]))
    orphans = orphaned(state.transactions, number, frozenset({batch.number}))
    after = with_worker(state._replace(faults=state.faults - (not gone), transactions=orphans), number, left)
    if scope.unknown_costs_epoch:
        lanes = frozenset(lane for lane, epoch in batch.lanes if worker.lanes[lane].epoch == epoch)
        given_up = _given_up(after, number, lanes)
        yield ("worker {} does not know what became of keys {}: it gives the lanes up", number, batch.keys), given_up
    else:
        yield ("worker {} does not know what became of keys {}, and keeps its epoch", number, batch.keys), after


def _acknowledge(scope: SqlScope, state: State, number: int, place: int, batch: Batch) -> Iterator[Step]:
    """Remove the marks of what was written, in the lanes that are still held; settle what was refused."""
    worker, source = state.workers[number], state.source
    leases = source.leases
    lost = {lane for lane, epoch in batch.lanes if (leases[lane].owner, leases[lane].epoch) != (number, epoch)}
    refused = {refusal.key for refusal in batch.refused}
    done = {
        key
        for key in batch.keys
        if key not in refused and (key % scope.lanes not in lost or not scope.lease_for_acknowledging)
    }
    marks = source.marks - {mark for mark in batch.marks if mark[0] in done}
    changed = source._replace(marks=marks)
    for refusal in batch.refused:
        if refusal.key % scope.lanes not in lost:
            changed = _settle(scope, changed, refusal)
    rest = (*worker.batches[:place], *worker.batches[place + 1 :])
    after = worker._replace(batches=rest, yielding=worker.yielding - done)
    words = ("worker {} acknowledges keys {}", number, tuple(sorted(done)))
    yield words, with_worker(state._replace(source=changed), number, after)
    circle = refused & {refusal.key for refusal in batch.refused if refusal.why in {"value", "parent", "child"}}
    if scope.gives_way != "nothing" and circle and not circle <= after.yielding:
        yielding = after._replace(yielding=after.yielding | circle)
        yield (
            ("worker {} acknowledges keys {}; keys {} shall give way", number, tuple(sorted(done)), sorted(circle)),
            with_worker(state._replace(source=changed), number, yielding),
        )


def _settle(scope: SqlScope, source: Source, refusal: Refusal) -> Source:
    """Park what both rows have in the source (one snapshot); otherwise mark the other one, and let this one wait."""
    key, why, other = refusal
    mine, theirs = source.rows[key], source.rows[other]
    if why == "value":
        real = mine.there and theirs.there and mine.value == theirs.value
    elif why == "parent":
        real = mine.there and mine.parent == other + 1 and not theirs.there
    else:
        real = not mine.there and theirs.there and theirs.parent == key + 1
    if scope.settles == "parks at once" or (real and scope.settles == "looks"):
        marks = frozenset(mark for mark in source.marks if mark[0] != key)
        return source._replace(parked=source.parked | {key}, marks=marks)
    if scope.settles == "looks":
        return source._replace(marks=source.marks | {(other, theirs.version)})
    return source
