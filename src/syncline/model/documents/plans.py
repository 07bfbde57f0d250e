"""Where each field of a document goes, and where it comes from: one kind of plan for each kind of place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from syncline.errors import UnmappableError
from syncline.model.documents.declaration import Field
from syncline.model.documents.exact_json import (
    NOTES,
    ORDER,
    from_json,
    is_document,
    json_name,
    ordered,
    plain_name,
    stored_order,
    to_json,
)
from syncline.model.documents.kinds import shown
from syncline.model.documents.tables import Row, Rows
from syncline.model.documents.types import Type
from syncline.model.documents.values import NOTHING, Json, same

MISSING = "$missing"
ELEMENTS = "$elements"
Children = tuple[Mapping[Row, list[Row]], ...]
"""Rows of one document, by table, by the key of the row to which they belong."""


class Plan(Protocol):
    """Where one field goes."""

    def take(self, value: Any, row: list[Any], keys: Row, out: Rows) -> Any:
        """Put a value into its place; give what of it has to be kept beside, as JSON, or ``NOTHING``."""
        ...

    def absent(self, row: list[Any]) -> bool:
        """Fill the place of a field that is not there; tell whether that has to be noted."""
        ...

    def give(self, row: Row, left: Any, missing: bool, children: Children) -> Any:
        """Build the value again, of its place and of what was kept beside; ``NOTHING``: the field is not there."""
        ...

    def untouched(self, row: Row, children: Children) -> bool:
        """Tell whether the place is as ``absent`` leaves it."""
        ...


@dataclass(slots=True)
class KeyPlan:
    """``_id``."""

    type: Type

    def key(self, value: Any) -> Any:
        """Give the column's value.

        Raises:
            UnmappableError: it is not of the declared type.

        """
        found, exact = self.type.fit(value)
        if not exact:
            raise UnmappableError(
                "_id",
                f"{shown(value)} is no {self.type.name}",
                hint='id = "any" in the collection takes ids of all types',
            )
        return found

    def take(self, value: Any, row: list[Any], keys: Row, out: Rows) -> Any:  # noqa: ARG002
        row[0] = self.key(value)
        return NOTHING

    def absent(self, row: list[Any]) -> bool:  # noqa: ARG002
        raise UnmappableError("_id", "the document has none")

    def give(self, row: Row, left: Any, missing: bool, children: Children) -> Any:  # noqa: ARG002
        return stood_for("_id", self.type, row[0])

    def untouched(self, row: Row, children: Children) -> bool:  # noqa: ARG002
        return True


@dataclass(slots=True)
class FieldPlan:
    """A value in a column."""

    path: str
    slot: int
    type: Type
    field: Field
    default: Any = None

    def take(self, value: Any, row: list[Any], keys: Row, out: Rows) -> Any:  # noqa: ARG002
        found, exact = self.fit(value)
        if found is None and self.field.required:
            raise UnmappableError(self.path, f"{shown(value)} is no {self._named()}, and the column is required")
        row[self.slot] = found
        return NOTHING if exact else to_json(value)

    def fit(self, value: Any) -> tuple[Any, bool]:
        """Give the column's value, and whether it says all."""
        if value is None and not self.type.any_value:
            return None, self.field.null == "null"
        found, exact = self.type.fit(value)
        if self.field.values and found not in self.field.values:
            return None, False
        return found, exact

    def absent(self, row: list[Any]) -> bool:
        if self.field.required and self.default is None:
            raise UnmappableError(self.path, "the document has no such field, and the column is required")
        row[self.slot] = self.default
        return self.default is not None or self.field.null == "null"

    def give(self, row: Row, left: Any, missing: bool, children: Children) -> Any:  # noqa: ARG002
        value = row[self.slot]
        if left is not NOTHING:
            kept = read(self.path, left)
            if same(self.fit(kept)[0], value):
                return kept
        elif missing and same(value, self.default):
            return NOTHING
        if value is None:
            return None if self.field.null == "null" else NOTHING
        return stood_for(self.path, self.type, value)

    def untouched(self, row: Row, children: Children) -> bool:  # noqa: ARG002
        return row[self.slot] is None or same(row[self.slot], self.default)

    def _named(self) -> str:
        return f"one of {', '.join(self.field.values)}" if self.field.values else self.type.name


@dataclass(slots=True)
class Node:
    """The fields of a document of which each has a plan, or goes to the rest."""

    path: str
    keep_order: bool
    plans: dict[str, Plan] = field(default_factory=dict)
    ignored: set[str] = field(default_factory=set)

    def split(self, document: Mapping[str, Any], row: list[Any], keys: Row, out: Rows) -> dict[str, Any]:
        """Put each field into its place; give what is left, as JSON."""
        left, plans = {}, self.plans
        names = [name for name in document if name not in self.ignored] if self.ignored else list(document)
        for name in names:
            value, plan = document[name], plans.get(name)
            kept = to_json(value) if plan is None else plan.take(value, row, keys, out)
            if kept is not NOTHING:
                left[json_name(name)] = kept
        if names == list(plans):
            return left
        missing = [name for name, plan in plans.items() if name not in document and plan.absent(row)]
        if missing:
            left[MISSING] = missing
        if self.keep_order and names != self.usual(names):
            left[ORDER] = names
        return left

    def join(self, row: Row, left: Mapping[str, Any], children: Children) -> dict[str, Any]:
        """Build the document again."""
        found, missing = {}, left.get(MISSING) or ()
        for name, plan in self.plans.items():
            value = plan.give(row, left.get(json_name(name), NOTHING), name in missing, children)
            if value is not NOTHING:
                found[name] = value
        for key, item in left.items():
            other = None if key in NOTES else plain_name(key)
            if other is not None and other not in self.plans:
                found[other] = read(f"{self.path}{other}", item)
        return ordered(found, [*(left.get(ORDER) or ()), *self.plans])

    def usual(self, names: list[str]) -> list[str]:
        """Give the order that need not be said."""
        there = set(names)
        return [name for name in self.plans if name in there] + stored_order(there - self.plans.keys())


@dataclass(slots=True)
class FlatPlan:
    """A document within another one, whose fields are columns beside those of the other."""

    node: Node

    def take(self, value: Any, row: list[Any], keys: Row, out: Rows) -> Any:
        if type(value) is not dict:
            self.absent(row)
            return to_json(value)
        left = self.node.split(value, row, keys, out)
        return left if left or not value.keys() - self.node.ignored else NOTHING

    def absent(self, row: list[Any]) -> bool:
        noted = [plan.absent(row) for plan in self.node.plans.values()]
        return any(noted)

    def give(self, row: Row, left: Any, missing: bool, children: Children) -> Any:
        kept = left if is_document(left) else {}
        if left is not NOTHING and kept is not left and self.untouched(row, children):
            return read(self.node.path.removesuffix("."), left)
        if missing and self.untouched(row, children):
            return NOTHING
        return self.node.join(row, kept, children) or ({} if kept is left else NOTHING)

    def untouched(self, row: Row, children: Children) -> bool:
        return all(plan.untouched(row, children) for plan in self.node.plans.values())


@dataclass(slots=True)
class Level:
    """A table whose rows are documents, or documents within them."""

    number: int
    width: int
    keys: int
    rest: int | None
    node: Node

    def split(self, document: Mapping[str, Any], keys: Row, out: Rows) -> None:
        """Add the row of a document, and of what is in it."""
        row = [*keys, *(None,) * (self.width - self.keys)]
        left = self.node.split(document, row, keys, out)
        if left:
            if self.rest is None:
                raise _without_rest(self.node, left)
            row[self.rest] = Json(left)
        out[self.number].append(tuple(row))

    def join(self, row: Row, children: Children) -> dict[str, Any]:
        """Build the document of a row."""
        rest = row[self.rest] if self.rest is not None else None
        left = rest.value if rest is not None else {}
        if not isinstance(left, dict):
            raise UnmappableError(self.node.path or "the rest", "the rest is no object of JSON")
        return self.node.join(row, left, children)


@dataclass(slots=True)
class InnerPlan:
    """A document within another one, with a row in a table of its own."""

    level: Level

    def take(self, value: Any, row: list[Any], keys: Row, out: Rows) -> Any:  # noqa: ARG002
        if type(value) is not dict:
            return to_json(value)
        self.level.split(value, keys, out)
        return NOTHING

    def absent(self, row: list[Any]) -> bool:  # noqa: ARG002
        return False

    def give(self, row: Row, left: Any, missing: bool, children: Children) -> Any:  # noqa: ARG002
        rows = children[self.level.number].get(row[: self.level.keys])
        if rows:
            return self.level.join(rows[0], children)
        return NOTHING if left is NOTHING else read(self.level.node.path.removesuffix("."), left)

    def untouched(self, row: Row, children: Children) -> bool:
        return not children[self.level.number].get(row[: self.level.keys])


@dataclass(slots=True)
class ArrayPlan:
    """An array with a row for each element: a value, or a document."""

    path: str
    number: int
    keys: int
    """Columns of the key of the row around it."""
    item: FieldPlan | Level
    no_rows: str

    def take(self, value: Any, row: list[Any], keys: Row, out: Rows) -> Any:  # noqa: ARG002
        if type(value) is not list:
            return to_json(value)
        left = {}
        for place, item in enumerate(value):
            kept = self._element(item, (*keys, place), out)
            if kept is not NOTHING:
                left[str(place)] = kept
        if left:
            return {ELEMENTS: left}
        return NOTHING if value or self.no_rows == "empty" else []

    def _element(self, item: Any, keys: Row, out: Rows) -> Any:
        if isinstance(self.item, Level):
            if type(item) is not dict:
                return to_json(item)
            self.item.split(item, keys, out)
            return NOTHING
        found, exact = self.item.fit(item)
        if found is not None:
            out[self.number].append((*keys, found))
        return NOTHING if exact and found is not None else to_json(item)

    def absent(self, row: list[Any]) -> bool:  # noqa: ARG002
        return self.no_rows == "empty"

    def give(self, row: Row, left: Any, missing: bool, children: Children) -> Any:
        rows = children[self.number].get(row[: self.keys], [])
        if isinstance(left, dict) and ELEMENTS in left:
            return self._merged(rows, left[ELEMENTS], children)
        if rows:
            return [self._value(one, children) for one in rows]
        if left is not NOTHING:
            return read(self.path, left)
        return NOTHING if missing or self.no_rows == "missing" else []

    def _merged(self, rows: list[Row], left: Mapping[str, Any], children: Children) -> list[Any]:
        found = {row[self.keys]: row for row in rows}
        kept = {int(place): read(f"{self.path}.{place}", item) for place, item in left.items()}
        values = []
        for place in sorted({*found, *kept}):
            row = found.get(place)
            value = None if isinstance(self.item, Level) or place not in kept else self.item.fit(kept[place])[0]
            if place in kept and same(value, None if row is None else row[-1]):
                values.append(kept[place])
            elif row is not None:
                values.append(self._value(row, children))
        return values

    def _value(self, row: Row, children: Children) -> Any:
        if isinstance(self.item, Level):
            return self.item.join(row, children)
        return stood_for(f"{self.path}.{row[self.keys]}", self.item.type, row[-1])

    def untouched(self, row: Row, children: Children) -> bool:
        return not children[self.number].get(row[: self.keys])


def read(path: str, left: Any) -> Any:
    """Read what was kept of a field.

    Raises:
        UnmappableError: somebody has put there what is no value of BSON.

    """
    try:
        return from_json(left)
    except ValueError as error:
        raise UnmappableError(path, f"what the rest keeps of it is no value of BSON: {error}") from error


def stood_for(path: str, type_: Type, value: Any) -> Any:
    """Give the value of BSON for a column's.

    Raises:
        UnmappableError: there is none.

    """
    try:
        return type_.stand_for(value)
    except Exception as error:
        raise UnmappableError(path, f"the column's value is no {type_.name}: {error}") from error


def _without_rest(node: Node, left: Mapping[str, Any]) -> UnmappableError:
    name = next((plain_name(key) or key for key in left if key not in NOTES), None)
    where = f"{node.path}{name}" if name else f"{node.path}{', '.join(left[MISSING])}" if MISSING in left else node.path
    reason = "no column holds it exactly" if name else "only a rest can say that it is missing"
    if name is None and MISSING not in left:
        where, reason = where or "the document", "only a rest can say the order of its fields"
    return UnmappableError(
        where, f"{reason}, and there is no rest", hint='rest = "rest" keeps it; `ignore` gives a field up'
    )
