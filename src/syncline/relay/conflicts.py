"""Unique values that move between records: who has the value now, and is that still so?"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from syncline.model.canonical import differences
from syncline.model.mark import Hint
from syncline.ports import Absence, Batch, Conflict, Document, Plan, Rejection, Source, Target
from syncline.relay.rows import Rows, read_rows
from syncline.relay.rows_in_the_way import RowsInTheWay, Verdict

PATIENCE = 3
"""Times that a value must be found with the same rightful holder before the conflict counts as real."""
STUCK_SECONDS = 60.0
"""How long a record waits for one that is not found, or that cannot be written: longer than most backlogs last."""
STUCK = timedelta(seconds=STUCK_SECONDS)
MOST = 100_000
REFUSED_SECONDS = 10.0
"""So long a holder that could not be written is left alone: nothing is to be had by marking it again and again."""
FIRST_PAUSE, MOST_PAUSE = 0.02, 1.0
"""Seconds until a record that waits is tried again: the first times, and after many."""
SHOWN = 200
"""Characters of a value in a message."""


class Conflicts:
    """Settles records that a unique index refuses.

    A value that moves from A to B may arrive at B first: then A's record is out of date, is marked, and B waits.
    Where records exchange values, waiting does not help: each takes its own outdated record away and comes back as an
    insert. (For that moment the record is absent for readers; so none does behind one that cannot be written.) When the
    holder has the value in the source too it is a violation, and parked; so is a record that has waited for too long.
    """

    def __init__(self, source: Source, target: Target, plans: Mapping[int, Plan]) -> None:
        self._rows_in_the_way = RowsInTheWay(source, plans, target.reverse)
        self._source = source
        self._target = target
        self._attempts: dict[tuple[int, str], int] = {}
        self._violations: dict[tuple[int, str], int] = {}
        self._since: dict[tuple[int, str], float] = {}
        self._waits: dict[tuple[int, str], int] = {}
        self._marked: set[tuple[int, str]] = set()
        """Holders that were marked since the source has another value for them."""
        self._refused: dict[tuple[int, str], float] = {}
        """Those of them that were parked since, and when."""

    async def settle(
        self, plan: Plan, conflicts: Sequence[Conflict], tickets: Mapping[str, int]
    ) -> tuple[list[Rejection], set[str]]:
        """Decide for each record: parked, or tried again soon.

        Args:
            plan: the entity.
            conflicts: what the target reported.
            tickets: key to the ticket of the batch that met the conflict.

        Returns:
            Rejections, and the keys that wait.

        """
        rejections, waiting = await self._settle_named(plan, [one for one in conflicts if one.collection])
        conflicts = [one for one in conflicts if not one.collection]
        if not conflicts:
            return rejections, waiting
        displaced: list[Absence] = []
        holders = await self._target.holders(plan.entity, [conflict.value for conflict in conflicts])
        verdicts = await self._rightful(plan, conflicts, holders)
        for conflict, holder, rightful in zip(conflicts, holders, verdicts, strict=True):
            if rightful and self._seen_again(plan.id, conflict.key) >= PATIENCE:
                rejections.append(rightful)
                self.settled(plan.id, [conflict.key])
                continue
            if not rightful and self._is_stuck(plan.id, conflict.key):
                rejections.append(_stuck(plan, conflict, holder))
                self.settled(plan.id, [conflict.key])
                continue
            waiting.add(conflict.key)
            self._waits[plan.id, conflict.key] = self._waits.get((plan.id, conflict.key), 0) + 1
            if (
                holder
                and not rightful
                and not self._is_refused(plan, holder)
                and self._tried(plan.id, conflict.key) >= 2
            ):
                id_ = plan.projection.codec.document_id(conflict.key)
                displaced.append(Absence(conflict.key, id_, tickets[conflict.key]))
        if displaced:
            await self._target.apply(Batch(plan.entity, deletes=displaced, admission=self._target.admission))
        return rejections, waiting

    async def _settle_named(self, plan: Plan, conflicts: Sequence[Conflict]) -> tuple[list[Rejection], set[str]]:
        """Settle those of which the target says who is in the way; it lets records give way to each other by itself."""
        rejections: list[Rejection] = []
        waiting: set[str] = set()
        outdated: list[tuple[int, str]] = []
        verdicts = await self._rows_in_the_way.judge(plan, conflicts)
        stuck_ones = await self._stuck(plan, conflicts, verdicts)
        for conflict, verdict, stuck in zip(conflicts, verdicts, stuck_ones, strict=True):
            record = plan.id, conflict.key
            real = verdict.rejection if verdict.rejection and self._seen_again(*record) >= PATIENCE else None
            if verdict.rejection is None and stuck:
                real = Rejection(
                    conflict.key, "conflict", f"{conflict.index}: {conflict.collection}: what is in its way stays"
                )
            if real is not None:
                rejections.append(real)
                self._forget(record)
                self._rows_in_the_way.parked(record)
                continue
            waiting.add(conflict.key)
            self._waits[record] = self._waits.get(record, 0) + 1
            if verdict.outdated and not self._is_waiting(verdict.outdated):
                outdated.append(verdict.outdated)
        await self._rows_in_the_way.mark(outdated)
        return rejections, waiting

    async def _stuck(self, plan: Plan, conflicts: Sequence[Conflict], verdicts: Sequence[Verdict]) -> list[bool]:
        """Tell which of them have waited for too long; those for a table that is being copied have not."""
        stuck = [self._is_stuck(plan.id, conflict.key) for conflict in conflicts]
        if not any(stuck):
            return stuck
        copied = await self._source.journal.entities.copied_lately(STUCK)
        for place, verdict in enumerate(verdicts):
            if stuck[place] and verdict.outdated and verdict.outdated[0] in copied:
                stuck[place] = False
                self._since[plan.id, conflicts[place].key] = time.monotonic()
        return stuck

    def settled(self, entity: int, keys: Iterable[str]) -> None:
        """Forget the attempts of these keys: they are written, or parked for their value."""
        if self._since or self._marked or self._rows_in_the_way.left_alone:
            for key in keys:
                self._forget((entity, key))
                self._marked.discard((entity, key))
                self._refused.pop((entity, key), None)
                self._rows_in_the_way.left_alone.pop((entity, key), None)

    def parked(self, entity: int, keys: Iterable[str]) -> None:
        """Take in that these cannot be written: who waits for the value of one of them need not hurry."""
        if self._since or self._marked or self._rows_in_the_way.left_alone:
            for key in keys:
                self._forget((entity, key))
                if (entity, key) in self._marked:
                    self._refused[entity, key] = time.monotonic()
                if (entity, key) in self._rows_in_the_way.left_alone:
                    self._rows_in_the_way.parked((entity, key))

    def pause(self, record: tuple[int, str]) -> float:
        """Give the seconds until a record that waits is tried again."""
        return float(min(MOST_PAUSE, FIRST_PAUSE * 2 ** min(20, max(0, self._waits.get(record, 0) - PATIENCE))))

    def _forget(self, record: tuple[int, str]) -> None:
        for attempts in (self._since, self._attempts, self._violations, self._waits):
            attempts.pop(record, None)

    def _is_refused(self, plan: Plan, holder: Document) -> bool:
        key = plan.projection.codec.key_text(holder["_id"])
        return time.monotonic() - self._refused.get((plan.id, key or ""), -REFUSED_SECONDS) < REFUSED_SECONDS

    def _is_stuck(self, entity: int, key: str) -> bool:
        now = time.monotonic()
        return now - self._since.setdefault((entity, key), now) > STUCK_SECONDS

    def _is_waiting(self, record: tuple[int, str]) -> bool:
        """Tell whether a record waits here: it has marks. One that waited for longer has another worker by now."""
        since = self._since.get(record)
        return since is not None and time.monotonic() - since < STUCK_SECONDS + MOST_PAUSE

    def _tried(self, entity: int, key: str) -> int:
        if len(self._attempts) > MOST:
            self._attempts.clear()
        count = self._attempts[entity, key] = self._attempts.get((entity, key), 0) + 1
        return count

    def _seen_again(self, entity: int, key: str) -> int:
        self._since.setdefault((entity, key), time.monotonic())
        count = self._violations[entity, key] = self._violations.get((entity, key), 0) + 1
        return count

    async def _rightful(
        self, plan: Plan, conflicts: Sequence[Conflict], holders: Sequence[Document | None]
    ) -> list[Rejection | None]:
        """Say, for each, that the holder has the value in the source too; holders that have not are marked."""
        key_text = plan.projection.codec.key_text
        keys = [None if holder is None else key_text(holder["_id"]) for holder in holders]
        rows = await read_rows(self._source, plan, [key for key in dict.fromkeys(keys) if key is not None])
        verdicts: list[Rejection | None] = []
        outdated: dict[str, None] = {}
        for conflict, holder, key in zip(conflicts, holders, keys, strict=True):
            why = None
            if holder is not None and (key is None or key in rows.impossible):
                why = _rejection(plan, conflict, repr(holder["_id"]), "which is not a record of this entity")
            elif holder is not None and key is not None and key in rows.unreadable:
                why = _rejection(plan, conflict, key, "whose row cannot be read")
            elif holder is not None and key is not None and _have(rows, key, holder, conflict.value):
                why = _rejection(plan, conflict, key, "in the source too")
            elif key is not None and holder is not None:
                if not self._is_refused(plan, holder):
                    outdated[key] = None
                self._violations.pop((plan.id, conflict.key), None)
            verdicts.append(why)
        if outdated:
            self._marked.update((plan.id, key) for key in outdated)
            await self._source.marks.add(plan.id, list(outdated), Hint.REPAIR)
        return verdicts


def _have(rows: Rows, key: str, holder: Document, paths: Iterable[str]) -> bool:
    """Tell whether a record is there, and in these fields what its document is."""
    row = rows.bodies.get(key)
    # Its fields, not the value: the index of an array has a key for each element.
    return row is not None and not any(differences({"": _at(row, path)}, {"": _at(holder, path)}) for path in paths)


def _stuck(plan: Plan, conflict: Conflict, holder: Document | None) -> Rejection:
    if holder is None:
        where, why = "?", "which is not found"
    else:
        where = str(plan.projection.codec.key_text(holder["_id"]))
        why = "which has another one in the source, but cannot be written"
    return _rejection(plan, conflict, where, why)


def _rejection(plan: Plan, conflict: Conflict, holder: str, why: str) -> Rejection:
    value = ", ".join(f"{name} = {_shortened(repr(value))}" for name, value in conflict.value.items())
    return Rejection(
        conflict.key,
        "unique_value",
        f"unique index {conflict.index}: {value} belongs to {plan.entity.collection}/{_shortened(holder)}, {why}",
    )


def _shortened(text: str) -> str:
    """Leave out what nobody reads: a value may have megabytes, and each try leaves a message."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]}...{text[-SHOWN // 2 :]}"


def _at(document: Document, path: str) -> Any:
    """Read a dotted path."""
    value: Any = document
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
