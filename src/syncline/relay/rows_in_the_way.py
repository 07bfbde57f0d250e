"""Records that other records stand in the way of, where the target says which: is it so in the source, too?"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syncline.model.entity import TableName
from syncline.model.mark import Hint
from syncline.ports import Conflict, Plan, Rejection, Reverse, Source
from syncline.relay.rows import read_rows

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

    def __init__(self, source: Source, plans: Mapping[int, Plan], reverse: Reverse | None = None) -> None:
        self.left_alone: dict[tuple[int, str], float] = {}
        """Records that are not marked, until when."""
        self._source = source
        self._reverse = reverse
        self._plans = {TableName.parse(plan.entity.collection): plan for plan in plans.values()}

    async def judge(self, plan: Plan, conflicts: Sequence[Conflict]) -> list[Verdict]:
        """Say of each record of an entity why it is to be parked, or for which one it waits."""
        others = [self._other(conflict) for conflict in conflicts]
        wanted: dict[int, dict[str, None]] = {}
        for conflict, other in zip(conflicts, others, strict=True):
            if other is not None:
                wanted.setdefault(plan.id, {})[conflict.key] = None
                wanted.setdefault(other[0].id, {})[other[1]] = None
        plans = {plan.id: plan} | {other[0].id: other[0] for other in others if other is not None}
        rows = {number: await self._rows(plans[number], list(keys)) for number, keys in wanted.items()}
        return [
            Verdict()
            if other is None
            else _verdict(conflict, rows[plan.id].get(conflict.key), rows[other[0].id].get(other[1]), other)
            for conflict, other in zip(conflicts, others, strict=True)
        ]

    def _other(self, conflict: Conflict) -> tuple[Plan, str] | None:
        """Find the record that stands in the way, if it is one of ours."""
        other = self._plans.get(TableName.parse(conflict.collection))
        key = other.projection.codec.key_text(conflict.other) if other and conflict.other else None
        return None if other is None or key is None else (other, key)

    async def mark(self, records: Iterable[tuple[int, str]]) -> None:
        """Have records written again, but for those that were marked or parked just now.

        While the link's way back serves, their rows may be newer than what this side has: who waits for one waits until
        its own change comes, from whichever side.
        """
        now, keys = time.monotonic(), defaultdict[int, list[str]](list)
        for entity, key in dict.fromkeys(records):
            if now >= self.left_alone.get((entity, key), 0.0):
                self._leave_alone((entity, key), MARKED_SECONDS)
                keys[entity].append(key)
        entities = {plan.id: plan.entity for plan in self._plans.values()}
        for entity, marked in keys.items():
            if self._reverse is None or await self._reverse.serving(entities[entity], fresh=False) is None:
                await self._source.marks.add(entity, marked, Hint.REPAIR)

    def parked(self, record: tuple[int, str]) -> None:
        """Take in that a record cannot be written."""
        self._leave_alone(record, PARKED_SECONDS)

    def _leave_alone(self, record: tuple[int, str], seconds: float) -> None:
        if len(self.left_alone) > MOST:
            self.left_alone.clear()
        self.left_alone[record] = time.monotonic() + seconds

    async def _rows(self, plan: Plan, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Read records as they are now: ``{}`` for one that cannot be read."""
        rows = await read_rows(self._source, plan, keys)
        return {**rows.bodies, **{key: {} for key in rows.unreadable | rows.impossible}}


def _verdict(
    conflict: Conflict, mine: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None, other: tuple[Plan, str]
) -> Verdict:
    if _is_real(conflict, mine, theirs):
        why = f"{conflict.index}: {conflict.collection}/{other[1]}: {SAYS[conflict.why]}"
        return Verdict(Rejection(conflict.key, CODES[conflict.why], why))
    return Verdict(outdated=(other[0].id, other[1]))


def _is_real(conflict: Conflict, mine: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None) -> bool:
    def has(row: Mapping[str, Any] | None) -> bool:
        return bool(row and conflict.value) and conflict.value.items() <= (row or {}).items()

    if conflict.why == "value":
        return has(mine) and has(theirs)
    if conflict.why == "parent":
        return has(mine) and theirs is None
    return mine is None and has(theirs)
