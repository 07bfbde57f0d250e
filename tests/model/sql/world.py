"""The states of the SQL fence's model, for the search."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.search import Result, search
from tests.model.sql import copying, server, workers
from tests.model.sql.scope import SqlScope, Step
from tests.model.sql.state import Copy, Hold, Lease, Row, Source, State, Target, Worker


class SqlWorld:
    """A scope, as something to search."""

    def __init__(self, scope: SqlScope) -> None:
        self.limit, self.livelocks = scope.limit, scope.livelocks
        self._scope = scope

    def first(self) -> State:
        """Both sides are equal; each lane has its owner."""
        scope = self._scope
        contents = scope.begin_with or (None,) * scope.keys
        version = int(any(content is not None for content in contents))
        rows = tuple(Row() if content is None else Row(version, True, *content) for content in contents)
        owners = scope.owners or (0,) * scope.lanes
        source = Source(rows, frozenset(), tuple(Lease(owner, 1, True) for owner in owners), frozenset(), 0, version)
        there = (Row(),) * scope.keys if scope.copies else rows
        target = Target(there, ((1, 0),) * scope.lanes, tuple(row.version for row in there))
        held = tuple(
            Worker(tuple(Hold(1, "announced") if owner == number else Hold() for owner in owners))
            for number in range(scope.workers)
        )
        return State(source, target, (), held, scope.faults, copy=Copy(declared=not scope.copies))

    def normal(self, state: State) -> State:
        """Only the order of batch numbers matters; what readers saw go back matters at once."""
        numbers = {number for _, number in state.target.records} | {one.number for one in state.transactions}
        numbers |= {batch.number for worker in state.workers for batch in worker.batches}
        new = {old: place for place, old in enumerate(sorted({0, *numbers}))}
        return state._replace(
            target=state.target._replace(records=tuple((e, new[n]) for e, n in state.target.records)),
            transactions=tuple(sorted(one._replace(number=new[one.number]) for one in state.transactions)),
            workers=tuple(
                worker._replace(
                    batches=tuple(sorted(batch._replace(number=new[batch.number]) for batch in worker.batches))
                )
                for worker in state.workers
            ),
        )

    def steps(self, state: State) -> Iterator[Step]:
        """Let the application, the server and the workers do whatever they may do next."""
        parts = (workers.application, server.work, workers.renew, workers.read, workers.expire, copying.copying)
        for actions in parts:
            yield from actions(self._scope, state)

    def at_rest(self, state: State) -> bool:
        """No marks, nothing under way."""
        under_way = state.transactions or any(worker.batches for worker in state.workers)
        return not state.source.marks and not under_way and state.copy.declared

    def violation(self, before: State, after: State) -> str:
        """Say what a step has broken."""
        if after.went_back >= 0:
            return f"readers of the target see key {after.went_back} go back"
        if after.source.parked - before.source.parked and not self._scope.target_only:
            return "a record is parked that the source's own constraints allow"
        if self._scope.queues and any(server.in_circle(self._scope, after, one) for one in after.transactions):
            return "transactions wait for each other"
        if not self.at_rest(after):
            return ""
        for key, (here, there) in enumerate(zip(after.source.rows, after.target.rows, strict=True)):
            if key not in after.source.parked and (here if here.there else None) != (there if there.there else None):
                return f"nothing is left to do, and key {key} is {here} in the source, {there} in the target"
        return ""

    def is_fault(self, before: State, after: State) -> bool:
        """Tell whether something went wrong in a step."""
        return after.faults != before.faults


def explore(scope: SqlScope) -> Result:
    """Visit every state that can be reached."""
    return search(SqlWorld(scope), scope)
