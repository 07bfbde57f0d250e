"""What a second look says of one document and its rows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, auto
from typing import Any

from syncline.capture.documents.field import FLOOR
from syncline.engines.mongo.marked import apart, marked_document
from syncline.engines.mongo.stored_marks import taken_apart
from syncline.engines.postgres.documents.comparing import texts
from syncline.engines.postgres.documents.reading import Record
from syncline.errors import MappingError
from syncline.model.canonical import MISSING, differences
from syncline.model.documents import DocumentMapping, Rows
from syncline.model.documents.reading import read
from syncline.model.documents.values import same
from syncline.model.strict_bson import Odd, decoded
from syncline.verify.report import Difference, Finding, Kind

_SHOWN = 20
"""So many fields of a document are named."""


class State(Enum):
    """How a document and its rows stand."""

    EQUAL = auto()
    MOVED = auto()
    """One of them has changed between two readings."""
    WAITING = auto()
    """The document is marked: it is on its way."""
    PARKED = auto()
    """It is marked, and was rejected as it is."""
    DIVERGENT = auto()


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of one."""

    state: State
    key: str | None
    finding: Finding | None = None


def judged(
    mapping: DocumentMapping,
    id_: Any,
    key: str | None,
    raw: bytes | None,
    record: Record | None,
    rejected: tuple[str, str] | None,
    *,
    moved: bool,
) -> Look:
    """Judge a document as it is stored, and all that PostgreSQL has of its key, read in between."""
    body = b""
    if raw is not None:
        body, state = taken_apart(id_, raw)
        if state is None and "mark" not in decoded(apart(raw)[1]):
            raw = None  # a tombstone of the way back, which stays for a while: nobody is to carry it
        elif state is None or state[0] < FLOOR or state[1]:
            parked = rejected is not None and rejected[0] == (state[1] if state else marked_document(raw).mark)
            return Look(State.PARKED if parked else State.WAITING, key)
    if moved:
        return Look(State.MOVED, key)
    if raw is None:
        there = record is not None and record.there
        return _found(mapping, Kind.EXTRA, id_, key) if there else Look(State.EQUAL, key)
    try:
        rows = mapping.rows(body)
    except MappingError as error:
        return _found(mapping, Kind.UNREADABLE, id_, key, reason=error.message)
    if record is None or record.rows is None:
        return _found(mapping, Kind.MISSING, id_, key)
    wanted = [{*texts([*zip(*table, strict=True)])} if table else set() for table in rows]
    if wanted == record.texts or _equal(mapping, rows, record.rows):
        return Look(State.EQUAL, key)
    return _found(mapping, Kind.DIFFERENT, id_, key, fields=[*_differences(mapping, body, rows, record.rows)][:_SHOWN])


def _found(
    mapping: DocumentMapping,
    kind: Kind,
    id_: Any,
    key: str | None,
    *,
    fields: Sequence[Difference] = (),
    reason: str = "",
) -> Look:
    now = datetime.now(UTC)
    name = mapping.collection.name
    return Look(State.DIVERGENT, key, Finding(name, kind, key, id_, fields, None, now, now, reason))


def _equal(mapping: DocumentMapping, wanted: Rows, there: Rows) -> bool:
    """Tell whether rows hold the same values, whatever their texts: 1.10 is not 1.1."""
    for table, ours, theirs in zip(mapping.tables, wanted, there, strict=True):
        mine, its = ({row[: table.keys]: row for row in rows} for rows in (ours, theirs))
        if mine.keys() != its.keys() or not all(all(map(_exactly, row, its[key])) for key, row in mine.items()):
            return False
    return True


def _exactly(one: Any, other: Any) -> bool:
    return same(one, other) and (not isinstance(one, Decimal) or one.is_nan() or one.as_tuple() == other.as_tuple())


def _differences(mapping: DocumentMapping, body: bytes, wanted: Rows, there: Rows) -> Iterator[Difference]:
    """Name fields of the document that differ; where its rows differ and it does not, their columns."""
    document = read(body)
    try:
        other = read(mapping.document(there))
    except MappingError:
        other = Odd("", 0, b"")
    fields: list[tuple[str, Any, Any]] = []
    if not isinstance(document, Odd) and not isinstance(other, Odd):
        fields = differences(document, other)
    if fields:
        yield from (Difference(*one) for one in fields)
        return
    for table, ours, theirs in zip(mapping.tables, wanted, there, strict=True):
        mine, its = ({row[: table.keys]: row for row in rows} for rows in (ours, theirs))
        for key in dict.fromkeys((*mine, *its)):
            place = "".join(f"[{position}]" for position in key[1:])
            if key not in mine or key not in its:
                sides = [MISSING if key not in side else [*map(str, side[key])] for side in (mine, its)]
                yield Difference(f"{table.name}{place}", *sides)
                continue
            for column, left, right in zip(table.columns, mine[key], its[key], strict=True):
                if not _exactly(left, right):
                    yield Difference(f"{table.name}{place}.{column.name}", _shown(left), _shown(right))


def _shown(value: Any) -> Any:
    return getattr(value, "value", value)
