"""Rows of many documents at once, a list a column: what ``DocumentMapping.rows`` gives, without a step a field. Pure.

Documents whose fields are declared, and hold what their columns say all of, are taken column by column, as most are.
Any other (something is left for the rest, a value is of another type, fields are in another order) is *odd*: it is
for ``rows``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, compress, repeat
from operator import attrgetter
from typing import Any

from bson.int64 import Int64
from bson.objectid import ObjectId

from syncline.errors import UnmappableError
from syncline.model.documents.plans import ArrayPlan, FieldPlan, FlatPlan, InnerPlan, KeyPlan, Level, Node, Plan
from syncline.model.documents.tables import Table

Documents = Sequence[dict[str, Any]]
Values = Sequence[Any]


@dataclass(slots=True)
class Columns:
    """Rows of a table."""

    owners: list[int]
    """Of which document each row is, by its place among those given."""
    values: list[list[Any]]
    """By column; dates are naive, as BSON has them."""


@dataclass(slots=True)
class Split:
    """Rows of documents, by table."""

    tables: tuple[Columns, ...]
    odd: set[int] = field(default_factory=set)
    """Places of the documents of which there are none."""


def split(key: KeyPlan, top: Level, tables: Sequence[Table], documents: Documents) -> Split:
    """Take documents apart that ``read`` has decoded; each has an ``_id``."""
    found = Split(tuple(Columns([], [[] for _ in table.columns]) for table in tables))
    splitter = _Splitter(found.odd, found.tables)
    places = range(len(documents))
    splitter.level(top, documents, places, [splitter.key(key, [one["_id"] for one in documents], places)])
    if found.odd:
        for one in found.tables:
            kept = [owner not in found.odd for owner in one.owners]
            one.owners = [*compress(one.owners, kept)]
            one.values = [[*compress(values, kept)] for values in one.values]
    return found


@dataclass(slots=True)
class _Splitter:
    odd: set[int]
    tables: tuple[Columns, ...]

    def key(self, plan: KeyPlan, column: Values, owners: Sequence[int]) -> Values:
        fast = _FAST.get(plan.type.name)
        if fast is not None and set(map(type, column)) == {fast[0]} and (shown := fast[1](column)) is not None:
            return shown
        return self._each(column, owners, plan.type.fit, empty=False)

    def level(self, level: Level, documents: Documents, owners: Sequence[int], keys: Sequence[Values]) -> None:
        """Add the rows of documents."""
        for places in _alike(level.node, documents):
            if places is None:
                self._rows(level, documents, owners, keys)
            else:
                some = [[column[place] for place in places] for column in (documents, owners, *keys)]
                self._rows(level, some[0], some[1], some[2:])

    def _rows(self, level: Level, documents: Documents, owners: Sequence[int], keys: Sequence[Values]) -> None:
        row: list[Values | None] = [*keys, *(None,) * (level.width - level.keys)]
        self._node(level.node, documents, owners, row, level.keys)
        into = self.tables[level.number]
        into.owners.extend(owners)
        for values, new in zip(into.values, row, strict=True):
            values.extend(repeat(None, len(owners)) if new is None else new)

    def _node(
        self, node: Node, documents: Documents, owners: Sequence[int], row: list[Values | None], keys: int
    ) -> None:
        """Put the fields of documents that have the same ones into their columns."""
        names = [name for name in documents[0] if name not in node.ignored]
        if not _usual(node, names, len(row)):
            self.odd.update(owners)
            return
        columns = dict(zip(documents[0], zip(*map(dict.values, documents), strict=True), strict=True))
        for name in names:
            self._place(node.plans[name], columns[name], owners, row, keys)

    def _place(self, plan: Plan, column: Values, owners: Sequence[int], row: list[Values | None], keys: int) -> None:
        match plan:
            case FieldPlan():
                row[plan.slot] = self._field(plan, column, owners, empty=not plan.field.required)
            case FlatPlan():
                documents = self._only(dict, column, owners, {})
                if all(name in plan.node.ignored for name in documents[0]):
                    self.odd.update(owners)
                else:
                    self._node(plan.node, documents, owners, row, keys)
            case InnerPlan():
                self.level(plan.level, self._only(dict, column, owners, {}), owners, _filled(row[:keys]))
            case ArrayPlan():
                self._array(plan, self._only(list, column, owners, []), owners, _filled(row[:keys]))

    def _array(self, plan: ArrayPlan, column: Values, owners: Sequence[int], keys: Sequence[Values]) -> None:
        lengths = [*map(len, column)]
        if plan.no_rows == "missing" and not all(lengths):
            self.odd.update(owner for owner, length in zip(owners, lengths, strict=True) if not length)
        items = [*chain.from_iterable(column)]
        if not items:
            return
        below = [[*_repeated(values, lengths)] for values in (owners, *keys)]
        key = [*below[1:], [*chain.from_iterable(map(range, lengths))]]
        if isinstance(plan.item, Level):
            self.level(plan.item, self._only(dict, items, below[0], {}), below[0], key)
            return
        into = self.tables[plan.number]
        into.owners.extend(below[0])
        for values, new in zip(into.values, [*key, self._field(plan.item, items, below[0], empty=False)], strict=True):
            values.extend(new)

    def _field(self, plan: FieldPlan, column: Values, owners: Sequence[int], *, empty: bool) -> Values:
        fast = _FAST.get(plan.type.name)
        if fast is not None and set(map(type, column)) == {fast[0]} and (shown := fast[1](column)) is not None:
            if plan.field.values and not {*shown} <= {*plan.field.values}:
                self.odd.update(owner for owner, one in zip(owners, shown, strict=True) if one not in plan.field.values)
            return shown
        return self._each(column, owners, plan.fit, empty=empty)

    def _each(
        self, column: Values, owners: Sequence[int], fit: Callable[[Any], tuple[Any, bool]], *, empty: bool
    ) -> Values:
        found = [*map(fit, column)]
        self.odd.update(
            owner
            for owner, (value, exact) in zip(owners, found, strict=True)
            if not exact or (value is None and not empty)
        )
        return [value for value, _ in found]

    def _only(self, kind: type, column: Values, owners: Sequence[int], instead: Any) -> Values:
        """See that all are documents, or arrays; those of others are odd."""
        if set(map(type, column)) == {kind}:
            return column
        self.odd.update(owner for owner, one in zip(owners, column, strict=True) if type(one) is not kind)
        return [one if type(one) is kind else instead for one in column]


def _alike(node: Node, documents: Documents) -> Iterable[list[int] | None]:
    """Give the places of documents that have the same fields; ``None``: all have."""
    shapes = _shapes(node, documents)
    if len({*shapes}) <= 1:
        return [None] if documents else []
    groups: dict[Any, list[int]] = {}
    for place, shape in enumerate(shapes):
        groups.setdefault(shape, []).append(place)
    return groups.values()


def _shapes(node: Node, documents: Documents) -> list[Any]:
    """Give the names of a document's fields, and of those of flattened ones within it."""
    shapes: list[Any] = [*map(tuple, documents)]
    for name, plan in node.plans.items():
        if isinstance(plan, FlatPlan):
            inner = [_document(document.get(name)) for document in documents]
            shapes = [*zip(shapes, _shapes(plan.node, inner), strict=True)]
    return shapes


def _document(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}


def _usual(node: Node, names: list[str], width: int) -> bool:
    """Tell whether documents of these fields leave nothing to be said of their order, or of fields that are missing."""
    if any(name not in node.plans for name in names):
        return False
    if names == [*node.plans]:
        return True
    scratch: list[Any] = [None] * width
    try:
        noted = [plan.absent(scratch) for name, plan in node.plans.items() if name not in names]
    except UnmappableError:
        return False
    return not any(noted) and not (node.keep_order and names != node.usual(names))


def _filled(keys: Sequence[Values | None]) -> list[Values]:
    return [one for one in keys if one is not None]


def _repeated(values: Iterable[Any], lengths: Iterable[int]) -> Iterable[Any]:
    return chain.from_iterable(map(repeat, values, lengths))


def _texts(column: Values) -> Values | None:
    return None if "\0" in "".join(column) else column


_BINARY = attrgetter("binary")


def _doubles(column: Values) -> Values | None:
    return None if math.isnan(sum(column)) else column


def _as_they_are(column: Values) -> Values:
    return column


_FAST: Mapping[str, tuple[type, Callable[[Values], Values | None]]] = {
    "text": (str, _texts),
    "objectid": (ObjectId, lambda column: [*map(bytes.hex, map(_BINARY, column))]),
    "boolean": (bool, _as_they_are),
    "integer": (int, _as_they_are),
    "bigint": (int, _as_they_are),
    "long": (Int64, lambda column: [*map(int, column)]),
    "double": (float, _doubles),
    "timestamptz": (datetime, _as_they_are),
    "bytea": (bytes, _as_they_are),
}
"""Types whose columns say all of every value of one type: that type, and the column, or ``None`` if it has another."""
