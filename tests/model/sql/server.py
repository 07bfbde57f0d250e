"""The target's server: what each transaction does next, in READ COMMITTED.

What matters of PostgreSQL: an upsert waits for another's uncommitted row of its key; a DELETE does not see that row and
does nothing; a unique value or a referenced row that somebody is changing is waited for; shared locks do not exclude each
other; a failed statement is rolled back to its savepoint and the transaction goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from tests.model.sql.scope import FENCES, SqlScope, Step
from tests.model.sql.state import COPIER, NOBODY, Item, Refusal, Row, State, Transaction, forgetting, put, with_worker

Operation = tuple[str, int]
BEFORE = {"clear", "loosen", "let go", "remove"}
"""What is done with a record that gives way, before the others are written."""
KEEPING = {
    "locks, then looks": ("hold", "look"),
    "looks, then locks": ("look", "hold"),
    "looks once": ("hold", "look once"),
    "nothing": (),
}
"""What comes before the deletes, where the target would delete the rows that refer to them, too."""
REMOVES = {"delete", "remove"}


@cache
def program(scope: SqlScope, lanes: tuple[tuple[int, int], ...], items: tuple[Item, ...]) -> tuple[Operation, ...]:
    """List the operations of a transaction: name and place (of a lane or an item)."""
    operations: list[Operation] = []
    if not lanes:
        entering = [("enter", 0)] if scope.range_entered else []
        return (*entering, *(("item", place) for place in range(len(items))), ("commit", 0))
    for part in FENCES[scope.fence]:
        if part in {"locks", "share", "record"}:
            operations += [({"locks": "lock"}.get(part, part), place) for place in range(len(lanes))]
        elif part != "items":
            operations.append((part, 0))
        elif scope.together:
            kinds = {item.kind for item in items}
            operations += [("item", place) for place, item in enumerate(items) if item.kind in BEFORE]
            if scope.cascades and "delete" in kinds:
                operations += [(name, 0) for name in KEEPING[scope.keeps_children]]
            operations += [(kind, 0) for kind in ("put", "delete") if kind in kinds]
        else:
            operations += [("item", place) for place in range(len(items))]
    return tuple(operations)


def work(scope: SqlScope, state: State) -> Iterator[Step]:
    """Let each transaction take its next step, be lost, or be ended by the server."""
    for place, one in enumerate(state.transactions):
        others = (*state.transactions[:place], *state.transactions[place + 1 :])
        yield from _next(scope, state, one, others)
        who = _name(one)
        if one.client == NOBODY:
            yield ("{} is ended by the server", who), state._replace(transactions=others)
        elif state.faults and "t" in scope.kinds:
            lost = state._replace(transactions=others, faults=state.faults - 1)
            yield ("{} is lost on its way, or ended by the server", who), lost
        if scope.detector and in_circle(scope, state, one):
            yield ("{} is ended: it is part of a deadlock", who), _aborted(state, one, others, frozenset())


def _name(one: Transaction) -> str:
    client = f"of worker {one.client}" if one.client != NOBODY else "whose client is gone"
    if not one.lanes:
        gone = ", whose client is gone" if one.client == NOBODY else ""
        return f"the copy's transaction (attempt {one.attempt}{gone})"
    epochs = "+".join(str(epoch) for _, epoch in one.lanes)
    return f"the transaction {client} ({epochs}.{one.number})"


def _with(state: State, others: tuple[Transaction, ...], one: Transaction) -> State:
    return state._replace(transactions=tuple(sorted((*others, one))))


def _next(scope: SqlScope, state: State, one: Transaction, others: tuple[Transaction, ...]) -> Iterator[Step]:
    operations = program(scope, one.lanes, one.items)
    name, place = operations[one.at]
    if blockers(scope, state, one, others):
        return
    on, who = one._replace(at=one.at + 1), _name(one)
    if name == "enter":
        if (state.copy.attempt, state.copy.done) == (one.attempt, False):
            yield ("{} locks the range, which is its own", who), _with(state, others, on)
        else:
            yield ("{} finds that the range is not its own", who), _aborted(state, one, others, frozenset())
    elif name == "lock":
        yield ("{} locks lane {}, shared", who, one.lanes[place][0]), _with(state, others, on)
    elif name in {"read", "share"}:
        checked = one.lanes if name == "read" else one.lanes[place : place + 1]
        lost = frozenset(lane for lane, epoch in checked if not _mine(scope, state, lane, epoch))
        if lost:
            yield ("{} reads a newer epoch, and rolls back", who), _aborted(state, one, others, lost)
        else:
            yield ("{} reads its epoch", who), _with(state, others, on)
    elif name == "record":
        lane, epoch = one.lanes[place]
        if state.target.records[lane] < (epoch, one.number):
            yield ("{} sets the record of lane {} (uncommitted)", who, lane), _with(state, others, on)
        else:
            yield ("{} finds a higher record, and rolls back", who), _aborted(state, one, others, frozenset({lane}))
    elif name == "item":
        yield _execute(scope, state, on, others, (one.items[place],))
    elif name == "hold":
        locked = on._replace(locked=frozenset(item.key for item in _of_kind(one, "delete")))
        yield ("{} locks the rows that it is to delete", who), _with(state, others, locked)
    elif name in {"look", "look once"}:
        yield _look(state, on, others, again=name == "look")
    elif name in {"put", "delete"}:
        yield _execute(scope, state, on, others, _of_kind(one, name))
    else:
        yield from _commit(scope, state, one, others)


def _of_kind(one: Transaction, kind: str) -> tuple[Item, ...]:
    """Give what a transaction is to do of a kind, without what was left out."""
    left_out = {refusal.key for refusal in one.refused}
    return tuple(item for item in one.items if item.kind == kind and item.key not in left_out)


def _look(state: State, one: Transaction, others: tuple[Transaction, ...], *, again: bool) -> Step:
    """Leave out rows to be deleted to which one that stays refers; what is left out stays, too."""
    mine = dict(one.effects)
    found: list[Refusal] = []
    while True:
        after = one._replace(refused=(*one.refused, *found))
        going = {item.key for item in _of_kind(after, "delete")}
        new = [
            Refusal(key, "child", child)
            for key in sorted(going)
            for child, row in enumerate(state.target.rows)
            if child not in going and mine.get(child, row).parent == key + 1 and mine.get(child, row).there
        ]
        found += [one for number, one in enumerate(new) if one.key not in {before.key for before in new[:number]}]
        if not new or not again:
            break
    kept = one._replace(refused=(*one.refused, *found))
    words = ", ".join(f"key {child} refers to key {key}" for key, _, child in found) or "nobody refers to them"
    return ("{} looks: {}", _name(one), words), _with(state, others, kept)


def _mine(scope: SqlScope, state: State, lane: int, epoch: int) -> bool:
    stored = state.target.records[lane][0]
    return stored == epoch or (not scope.announces and stored < epoch)


def blockers(
    scope: SqlScope, state: State, one: Transaction, others: tuple[Transaction, ...]
) -> tuple[Transaction, ...]:
    """List the transactions that this one waits for."""
    name, place = program(scope, one.lanes, one.items)[one.at]
    if name == "enter":
        return tuple(other for other in others if entered(other))
    if name == "lock" and scope.queues:
        lane = one.lanes[place][0]
        asked = any(worker.lanes[lane].stage == "asking" for worker in state.workers)
        return tuple(other for other in others if holds(scope, other, lane, "lock")) if asked else ()
    if name == "record":
        lane = one.lanes[place][0]
        return tuple(other for other in others if holds(scope, other, lane, "record"))
    if name == "item":
        return tuple(_waits(scope, state, one, others, (one.items[place],)))
    if name in {"put", "delete", "hold"}:
        return tuple(_waits(scope, state, one, others, _of_kind(one, "delete" if name == "hold" else name)))
    return ()


def entered(one: Transaction) -> bool:
    """Tell whether a transaction holds the range's row."""
    return not one.lanes and one.at > 0


def holds(scope: SqlScope, one: Transaction, lane: int, what: str) -> bool:
    """Tell whether a transaction has a lane's lock (``lock``, ``share``) or its changed record (``record``)."""
    places = [place for place, (mine, _) in enumerate(one.lanes) if mine == lane]
    done = program(scope, one.lanes, one.items)[: one.at]
    return any((what, place) in done for place in places)


def _waits(
    scope: SqlScope, state: State, one: Transaction, others: tuple[Transaction, ...], items: tuple[Item, ...]
) -> Iterator[Transaction]:
    """List who has uncommitted rows that decide about these items."""
    mine = dict(one.effects)
    rows = state.target.rows
    for other in others:
        theirs = dict(other.effects)
        for kind, key, row in items:
            visible = mine.get(key, rows[key])
            if kind not in {"put", "loosen", "insert"} and not visible.there:
                continue  # it sees no row, and does nothing
            holder = kind == "put" and row.value and _holder(rows, mine, key, row.value)
            children = [child for child, at in enumerate(rows) if mine.get(child, at).parent == key + 1]
            if (
                key in theirs
                or key in other.locked
                or (kind == "put" and row.parent - 1 in other.locked)
                or (kind == "put" and row.value and any(r.value == row.value for r in theirs.values()))
                or (holder and holder - 1 in theirs)
                or (kind == "put" and row.parent and not theirs.get(row.parent - 1, Row(there=True)).there)
                or (kind in REMOVES and any(r.parent == key + 1 for r in theirs.values()))
                or (kind in REMOVES and any(child in theirs for child in children))
            ):
                yield other
                break


def _holder(rows: tuple[Row, ...], mine: dict[int, Row], key: int, value: int) -> int:
    """Find who else has a value: its key plus one, or 0."""
    return next(
        (k + 1 for k, row in enumerate(rows) if k != key and (at := mine.get(k, row)).there and at.value == value), 0
    )


def _execute(
    scope: SqlScope, state: State, one: Transaction, others: tuple[Transaction, ...], items: tuple[Item, ...]
) -> Step:
    """Run a statement; what a constraint refuses is left out, and the rest is run again."""
    rows = state.target.rows
    left, refused = list(items), list(one.refused)
    while True:
        mine = dict(one.effects)
        bad = _apply(scope, rows, mine, left)
        if bad is None:
            break
        refused.append(bad)
        left = [item for item in left if item.key != bad.key]
    after = one._replace(effects=tuple(sorted(mine.items())), refused=tuple(refused))
    words = ", ".join(f"{kind} of key {key}" + (f" (v{row.version})" if row.version else "") for kind, key, row in left)
    new = refused[len(one.refused) :]
    kept_out = "; refused: " + ", ".join(f"key {key}, {why} {other}" for key, why, other in new) if new else ""
    return ("{} runs {}{} (uncommitted)", _name(one), words or "nothing", kept_out), _with(state, others, after)


def _apply(scope: SqlScope, rows: tuple[Row, ...], mine: dict[int, Row], items: list[Item]) -> Refusal | None:
    """Apply items to what a transaction has written; the first refusal, if there is one."""
    for kind, key, row in items:
        visible = mine.get(key, rows[key])
        if kind == "insert" and not visible.there:
            mine[key] = row
        if kind == "put":
            if row.value and (holder := _holder(rows, mine, key, row.value)):
                return Refusal(key, "value", holder - 1)
            mine[key] = row
        elif kind == "loosen":
            mine[key] = row._replace(parent=0, value=0)
        elif kind == "let go" and visible.there:
            mine[key] = visible._replace(parent=0)
        elif kind == "clear" and visible.there:
            mine[key] = visible._replace(value=0)
        elif kind in REMOVES and visible.there:
            mine[key] = Row(row.version)
    for kind, key, row in items:  # foreign keys are checked at the end of the statement
        if kind == "put" and row.parent and not mine.get(row.parent - 1, rows[row.parent - 1]).there:
            return Refusal(key, "parent", row.parent - 1)
        if kind in REMOVES and (refused := _children(scope, rows, mine, key)):
            return refused
    return None


def _children(scope: SqlScope, rows: tuple[Row, ...], mine: dict[int, Row], key: int) -> Refusal | None:
    """Look for records that refer to one that is deleted; a cascade deletes them."""
    for child, row in enumerate(rows):
        if mine.get(child, row).parent == key + 1:
            if not scope.cascades:
                return Refusal(key, "child", child)
            mine[child] = Row()
            _children(scope, rows, mine, child)
    return None


def _commit(scope: SqlScope, state: State, one: Transaction, others: tuple[Transaction, ...]) -> Iterator[Step]:
    rows, seen, records = list(state.target.rows), list(state.target.seen), list(state.target.records)
    kept_out = {refusal.key for refusal in one.refused}
    versions = {item.key: item.row.version for item in one.items if item.kind in {"put", "delete"}}
    back = -1
    for key, row in one.effects:
        if scope.ordered and key in versions and key not in kept_out and versions[key] < seen[key]:
            back = key
        rows[key] = row
    for key, version in versions.items():
        if key in dict(one.effects) or not rows[key].there:
            seen[key] = max(seen[key], version) if key not in kept_out else seen[key]
    for lane, epoch in one.lanes:
        if scope.fence == "record last":
            records[lane] = (epoch, one.number)
    if not one.lanes:
        seen = [max(version, rows[key].version) for key, version in enumerate(seen)]
    target = state.target._replace(rows=tuple(rows), seen=tuple(seen), records=tuple(records))
    after = state._replace(target=target, transactions=others, went_back=back)
    if not one.lanes:
        yield ("{} commits", _name(one)), _copied(after, one)
        return
    answered = after
    if one.client != NOBODY:
        worker = state.workers[one.client]
        for place, batch in enumerate(worker.batches):
            if batch.number == one.number and batch.stage == "sent":
                told = batch._replace(stage="done", refused=one.refused)
                answered = with_worker(after, one.client, worker._replace(batches=put(worker.batches, place, told)))
    yield ("{} commits", _name(one)), answered
    if answered is not after and state.faults and "t" in scope.kinds:
        yield ("{} commits, and its answer is lost", _name(one)), after._replace(faults=state.faults - 1)


def _copied(state: State, one: Transaction) -> State:
    """Note, in the same transaction, that the range is done."""
    mine = one.client == COPIER and state.copy.stage == "sent"
    return state._replace(copy=state.copy._replace(done=True, stage="done" if mine else state.copy.stage))


def _aborted(state: State, one: Transaction, others: tuple[Transaction, ...], lost: frozenset[int]) -> State:
    """Roll back, and tell the client: the batch is dropped, and the lanes that are somebody else's are forgotten."""
    after = state._replace(transactions=others)
    if one.client == NOBODY:
        return after
    if one.client == COPIER:
        return after._replace(copy=after.copy._replace(stage="", items=()))
    worker = after.workers[one.client]
    left = tuple(batch for batch in worker.batches if batch.number != one.number)
    held = frozenset(lane for lane, epoch in one.lanes if lane in lost and worker.lanes[lane].epoch == epoch)
    return forgetting(with_worker(after, one.client, worker._replace(batches=left)), one.client, held)


def in_circle(scope: SqlScope, state: State, one: Transaction) -> bool:
    """Tell whether a transaction waits, over others, for itself."""
    reached: set[Transaction] = set()
    waiting = [one]
    while waiting:
        at = waiting.pop()
        others = tuple(other for other in state.transactions if other is not at)
        for blocker in blockers(scope, state, at, others):
            if blocker == one:
                return True
            if blocker not in reached:
                reached.add(blocker)
                waiting.append(blocker)
    return False
