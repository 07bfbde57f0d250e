"""The second look: whether a difference is damage, or only on its way.

For keys that a first look found different:

1. in one snapshot of the source: the row, and that no mark (due or not), no parked entry and no task concerns the key;
2. the target's document, confirmed by its primary;
3. the source again: the row unchanged, still no mark;
4. the document again, unchanged to the last byte, its ticket included.

Every change that was committed before (1) had its mark removed, so it had been written. Were there a change between (1)
and (3) that has been applied too, it would show in the row, in a mark, or in the document's ticket. So what is still
different is different for good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from syncline.model.canonical import MISSING, differences
from syncline.model.tickets import issued
from syncline.narrowing import narrowed
from syncline.ports import Document, Inspection, Looks, Plan, States, Stored, Why
from syncline.verify.masking import Mask
from syncline.verify.pages import mapped
from syncline.verify.report import Difference, Finding, Kind


@dataclass(slots=True)
class Looked:
    """What a second look says of each key."""

    equal: set[str] = field(default_factory=set)
    parked: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    later: dict[str, Why] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceView:
    """The source's side of some keys in one snapshot."""

    rows: Mapping[str, Document]
    several: Collection[str]
    """Keys of more than one row."""
    unsettled: Mapping[str, Why]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Keys whose row cannot be read, and why."""
    impossible: Collection[str] = ()
    """Keys that no row can have."""


class SecondLook:
    """Looks again at keys of one entity."""

    def __init__(
        self, looks: Looks, inspection: Inspection, plan: Plan, source_name: str, *, mask: Mask | None = None
    ) -> None:
        self._looks = looks
        self._inspection = inspection
        self._plan = plan
        self._source = source_name
        self._mask = mask or Mask(())

    async def look(self, suspects: Mapping[str, datetime], *, keys_only: bool = False) -> Looked:
        """Decide what can be decided.

        Args:
            suspects: keys with the time at which they were first seen to differ.
            keys_only: whether contents matter.

        """
        result = Looked()
        before = await self._view(list(suspects))
        stored = await self._stored(list(suspects))
        wrong = await self._wrong(list(suspects), before, stored, keys_only=keys_only)
        result.equal = suspects.keys() - wrong.keys()
        settled: dict[str, Kind] = {}
        for key, kind in wrong.items():
            why = before.unsettled.get(key)
            if why is None:
                settled[key] = kind
            elif why is Why.PARKED:
                result.parked.add(key)
            else:
                result.later[key] = why
        if settled:
            await self._confirm(settled, before, stored, suspects, result)
        return result

    async def _confirm(
        self,
        settled: Mapping[str, Kind],
        before: SourceView,
        stored: Mapping[str, Stored],
        suspects: Mapping[str, datetime],
        result: Looked,
    ) -> None:
        keys = list(settled)
        after = await self._view(keys)
        again = await self._stored(keys)
        now = datetime.now(UTC)
        for key, kind in settled.items():
            still = _same_rows(key, before, after) and _same_bytes(stored.get(key), again.get(key))
            if key in after.unsettled or not still:
                result.later[key] = Why.MOVED
            else:
                document = stored[key].document if key in stored else None
                found = self._finding(key, kind, before.rows.get(key), document, suspects[key], now)
                result.findings.append(replace(found, reason=before.unreadable.get(key, "")))

    def _finding(
        self, key: str, kind: Kind, row: Document | None, document: Document | None, first: datetime, now: datetime
    ) -> Finding:
        unlike = [] if row is None or document is None else differences(row, document)
        return Finding(
            entity=self._plan.name,
            kind=kind,
            key=key,
            id=self._plan.projection.codec.document_id(key),
            differences=tuple(Difference(path, *self._mask.pair(path, *values)) for path, *values in unlike),
            ticket=MISSING if document is None else document.get("_v", MISSING),
            first_seen=first,
            confirmed=now,
        )

    async def _wrong(
        self, keys: Sequence[str], view: SourceView, stored: Mapping[str, Stored], *, keys_only: bool
    ) -> dict[str, Kind]:
        """Say what is wrong with each key that is not equal."""
        wrong: dict[str, Kind] = {}
        for key in keys:
            row, document = view.rows.get(key), stored.get(key)
            if key in view.impossible:
                wrong |= {key: Kind.FOREIGN} if document is not None else {}
            elif key in view.unreadable:
                wrong[key] = Kind.UNREADABLE
            elif key in view.several:
                wrong[key] = Kind.AMBIGUOUS
            elif row is None and document is not None:
                wrong[key] = Kind.EXTRA
            elif row is not None and document is None:
                wrong[key] = Kind.MISSING
            elif row is not None and document is not None and not keys_only and differences(row, document.document):
                wrong[key] = Kind.DIFFERENT
        if not keys_only and self._inspection.has_tickets:
            alike = [key for key in keys if key in stored and wrong.get(key) in {None, Kind.DIFFERENT}]
            wrong |= dict.fromkeys(await self._unissued(alike, stored), Kind.UNISSUED)
        return wrong

    async def _unissued(self, keys: Sequence[str], stored: Mapping[str, Stored]) -> list[str]:
        """Find documents whose ticket nobody issued.

        The lanes' records are read after the documents: an epoch is announced before anything is written under it.
        """
        if not keys:
            return []
        epochs = await self._inspection.lane_epochs()
        lanes = await self._looks.lanes(self._plan, keys)
        return [
            key for key, lane in zip(keys, lanes, strict=True) if not issued(stored[key].document, epochs.get(lane, 0))
        ]

    async def _view(self, keys: Sequence[str]) -> SourceView:
        async with self._looks.snapshot() as snapshot:

            async def read_(part: list[str]) -> States:
                return await snapshot.read(self._plan, part)

            read = await narrowed(self._plan, read_, keys)
            unsettled = await snapshot.unsettled(self._plan, sorted(set(keys).difference(read.impossible)))
        states, documents, bad = mapped(read.states, self._source)
        counted = Counter(row[-1] for row in states.rows)
        several = {key for key, rows in counted.items() if rows > 1}
        rows = {row[-1]: document for row, document in zip(states.rows, documents, strict=True)}
        return SourceView(rows, several, unsettled, read.bad | bad, read.impossible)

    async def _stored(self, keys: Sequence[str]) -> dict[str, Stored]:
        codec = self._plan.projection.codec
        stored = await self._inspection.confirmed(self._plan, [codec.document_id(key) for key in keys])
        return {key: one for one in stored if (key := codec.key_text(one.id)) is not None}


def _same_rows(key: str, before: SourceView, after: SourceView) -> bool:
    first, second = before.rows.get(key), after.rows.get(key)
    if (key in before.several) != (key in after.several) or (key in before.unreadable) != (key in after.unreadable):
        return False
    if first is None or second is None:
        return first is second
    return not differences(first, second)


def _same_bytes(first: Stored | None, second: Stored | None) -> bool:
    return (first and first.encoded) == (second and second.encoded)
