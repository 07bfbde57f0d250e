"""The initial copy of the table beside the relay: its marks wait, it is one range, a copier may crash at any point."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.sql.scope import SqlScope, Step
from tests.model.sql.server import entered, holds
from tests.model.sql.state import COPIER, Copy, Item, State, Transaction, orphaned


def copying(scope: SqlScope, state: State) -> Iterator[Step]:
    """Begin, fence, copy the range, declare; crash."""
    copy = state.copy
    if not scope.copies or copy.declared:
        return
    if not copy.begun:
        yield ("the copy begins: marks wait",), _begun(scope, state)
        return
    if copy.fencing:
        yield from _fence(scope, state)
        return
    yield from _step(scope, state, copy)
    if copy.stage and state.faults and "c" in scope.kinds:
        gone = orphaned(state.transactions, COPIER)
        idle = copy._replace(stage="", mine=0, items=())
        yield ("the copier crashes",), state._replace(transactions=gone, copy=idle, faults=state.faults - 1)


def _begun(scope: SqlScope, state: State) -> State:
    """Note it in the source; in the same transaction every lane is taken from its worker."""
    begun = state.copy._replace(begun=True, fencing=scope.copy_fences)
    if not scope.copy_fences:
        return state._replace(copy=begun)
    leases = tuple(lease._replace(epoch=lease.epoch + 1, live=False) for lease in state.source.leases)
    return state._replace(source=state.source._replace(leases=leases), copy=begun)


def _fence(scope: SqlScope, state: State) -> Iterator[Step]:
    """Announce the lanes' epochs in the target, when no batch of theirs is open; a higher one does as well."""
    if any(holds(scope, one, lane, what) for one in state.transactions if one.lanes
           for lane in range(scope.lanes) for what in ("lock", "share", "record")):  # fmt: skip
        return
    leases = state.source.leases
    records = tuple(max(record, (leases[lane].epoch, 0)) for lane, record in enumerate(state.target.records))
    target = state.target._replace(records=records)
    yield ("the copy announces its epochs",), state._replace(target=target, copy=state.copy._replace(fencing=False))


def _step(scope: SqlScope, state: State, copy: Copy) -> Iterator[Step]:
    if copy.stage == "" and copy.done:
        yield ("the copier finds the range done",), state._replace(copy=copy._replace(stage="done"))
    elif copy.stage == "":
        if scope.range_entered and any(entered(one) for one in state.transactions):
            return  # it waits for the range's row
        attempt = copy.attempt + scope.range_entered
        begun = copy._replace(stage="attempt", mine=attempt, attempt=attempt)
        yield ("the copier begins attempt {}", attempt), state._replace(copy=begun)
    elif copy.stage == "attempt":
        items = tuple(Item("insert", key, row) for key, row in enumerate(state.source.rows) if row.there)
        read = copy._replace(stage="read", items=items)
        yield ("the copier reads the table",), state._replace(copy=read)
    elif copy.stage == "read":
        one = Transaction(COPIER, 0, (), copy.items, attempt=copy.mine)
        sent = state._replace(copy=copy._replace(stage="sent"))
        yield ("the copier sends the range",), sent._replace(transactions=tuple(sorted((*state.transactions, one))))
    elif copy.stage == "sent" and not any(one.client == COPIER for one in state.transactions):
        yield ("the copier has lost its connection",), state._replace(copy=copy._replace(stage="", items=()))
    elif copy.stage == "done":
        yield ("the table is declared copied",), state._replace(copy=copy._replace(declared=True))
