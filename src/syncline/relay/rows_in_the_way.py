"""Records that other records stand in the way of, where the target says which: is it so in the source, too?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from syncline.errors import SourceError, TableLockedError
from syncline.model.entity import TableName
from syncline.model.mark import Hint
from syncline.ports import Conflict, Plan, Rejection, Source

CODES = {"value": "unique_value", "parent": "foreign_key", "child": "foreign_key"}
SAYS = {
    "value": "another record of the source has the value, too",
    "parent": "the source has no such record either",
    "child": "a record of the source refers to it, too",
}


class RowsInTheWay:
    """Looks both records up in the source, and marks the one that is out of date in the target."""

    def __init__(self, source: Source, plans: Mapping[int, Plan]) -> None:
        self._source = source
        self._plans = {TableName.parse(plan.entity.collection): plan for plan in plans.values()}

    async def judge(self, plan: Plan, conflict: Conflict) -> Rejection | None:
        """Say why a record is to be parked; ``None``: it waits, and the other one is marked."""
        other = self._plans.get(TableName.parse(conflict.collection))
        key = other.projection.codec.key_text(conflict.other) if other and conflict.other else None
        if other is None or key is None:
            return None
        mine, theirs = await self._row(plan, conflict.key), await self._row(other, key)
        if _is_real(conflict, mine, theirs):
            return Rejection(
                conflict.key,
                CODES[conflict.why],
                f"{conflict.index}: {conflict.collection}/{key}: {SAYS[conflict.why]}",
            )
        await self._source.marks.add(other.id, [key], Hint.REPAIR)
        return None

    async def _row(self, plan: Plan, key: str) -> Mapping[str, Any] | None:
        """Read a record as it is now; ``{}``: it cannot be read."""
        try:
            states = await self._source.records.read(plan, [key])
        except SourceError as error:
            if error.retryable or isinstance(error, TableLockedError):
                raise
            return {}
        found: Sequence[Mapping[str, Any]] = [state.body for state in states.present(0)]
        return found[0] if found else None


def _is_real(conflict: Conflict, mine: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None) -> bool:
    def has(row: Mapping[str, Any] | None) -> bool:
        return bool(row and conflict.value) and conflict.value.items() <= (row or {}).items()

    if conflict.why == "value":
        return has(mine) and has(theirs)
    if conflict.why == "parent":
        return has(mine) and theirs is None
    return mine is None and has(theirs)
