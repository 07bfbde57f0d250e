"""Records that other records stand in the way of, where the target says which: is it so in the source, too?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
MARKED_SECONDS = 10.0
"""So long a record that was marked is not marked again: nothing is to be had by that."""
PARKED_SECONDS = 120.0
"""So long one that was parked is not marked: longer than anybody waits, or two could wake each other for ever."""
MOST = 100_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a record that another one stands in the way of."""

    rejection: Rejection | None = None
    """Why it is to be parked: it is so in the source, too."""
    outdated: tuple[int, str] | None = None
    """Entity and key of the other record, whose row in the target is not what the source has."""


class RowsInTheWay:
    """Looks both records up in the source, and marks the one that is out of date in the target."""

    def __init__(self, source: Source, plans: Mapping[int, Plan]) -> None:
        self.left_alone: dict[tuple[int, str], float] = {}
        """Records that are not marked, until when."""
        self._source = source
        self._plans = {TableName.parse(plan.entity.collection): plan for plan in plans.values()}

    async def judge(self, plan: Plan, conflict: Conflict) -> Verdict:
        """Say why a record is to be parked, or for which one it waits."""
        other = self._plans.get(TableName.parse(conflict.collection))
        key = other.projection.codec.key_text(conflict.other) if other and conflict.other else None
        if other is None or key is None:
            return Verdict()
        mine, theirs = await self._row(plan, conflict.key), await self._row(other, key)
        if _is_real(conflict, mine, theirs):
            why = f"{conflict.index}: {conflict.collection}/{key}: {SAYS[conflict.why]}"
            return Verdict(Rejection(conflict.key, CODES[conflict.why], why))
        return Verdict(outdated=(other.id, key))

    async def mark(self, record: tuple[int, str]) -> None:
        """Have a record written again, unless it was marked or parked just now."""
        if time.monotonic() < self.left_alone.get(record, 0.0):
            return
        self._leave_alone(record, MARKED_SECONDS)
        await self._source.marks.add(record[0], [record[1]], Hint.REPAIR)

    def parked(self, record: tuple[int, str]) -> None:
        """Take in that a record cannot be written."""
        self._leave_alone(record, PARKED_SECONDS)

    def _leave_alone(self, record: tuple[int, str], seconds: float) -> None:
        if len(self.left_alone) > MOST:
            self.left_alone.clear()
        self.left_alone[record] = time.monotonic() + seconds

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
