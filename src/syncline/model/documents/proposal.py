"""From a survey to a declaration: which field becomes a column, which array a table, what stays in the rest. Pure."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from syncline.model.documents.declaration import Array, Collection, Field, Part
from syncline.model.documents.survey import LONGEST_TEXT, MOST_TEXTS, SMALL, WHOLE, DocumentSurvey, FieldSurvey
from syncline.model.documents.tables import MAX_NAME, OURS, POSITION
from syncline.model.words import counted

RARE = 0.01
"""Fields of fewer documents have no column."""
MOST_COLUMNS = 800
"""Columns of a table at most (PostgreSQL takes 1,600, fewer where rows are wide)."""
MANY_NAMES = 100
"""A document within others with more names, each of them rare, is a map from names to values."""
LONG_ARRAY = 1000
LARGE_DOCUMENT = 1 << 20
SHOWN = 8
"""So many rare fields are named."""
LEVELS = 6
"""So deep arrays of documents have tables; below they are JSON."""

_OF_KIND: Mapping[str, str] = {
    "boolean": "boolean",
    "string": "text",
    "ObjectId": "objectid",
    "date": "timestamptz",
    "UUID": "uuid",
    "binary": "bytea",
}
_EXACT: Mapping[str, set[str]] = {"bigint": {"int32", "int64"}, "number": {"int32", "double"}}
"""Types of columns that stand for several types of BSON."""
_NUMBERS = ("int32", "int64", "double", "decimal")


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about a field that whoever reads the declaration should know."""

    path: str
    text: str


@dataclass(slots=True)
class Proposed:
    """A declaration, and what to say of it."""

    collection: Collection
    remarks: list[Remark] = field(default_factory=list)

    def of(self, path: str) -> str:
        """Join what is said of a path."""
        return "; ".join(remark.text for remark in self.remarks if remark.path == path)


def propose(name: str, survey: DocumentSurvey, tables: set[str] | None = None) -> Proposed:
    """Declare a collection as its documents are.

    Args:
        name: the collection's.
        survey: of its documents.
        tables: names of tables that others have; those of this one are added.

    """
    proposer = _Proposer(set() if tables is None else tables)
    table = proposer.table(f"postgres_{_plain(name)}")
    ids = survey.fields.get("_id", FieldSurvey())
    fields = replace(survey, fields={name: one for name, one in survey.fields.items() if name != "_id"})
    part = proposer.part(fields, "", {"mongo_id", *OURS}, 0, table)
    for why, count in survey.odd.items():
        proposer.say("", f"{counted(count, 'document')}: {why}; such ones are whole in the rest")
    if survey.largest > LARGE_DOCUMENT:
        proposer.say("", f"too large for quick changes: the largest document has {survey.largest // 1024:,} KB")
    given = "" if table == f"postgres_{name}" else table
    return Proposed(Collection(name, given, _id_type(ids.kinds, ids.also), part=part), proposer.remarks)


def number_type(kinds: Mapping[str, int], also: Mapping[str, int]) -> str:
    """Choose the type for numbers: that of which most are exact."""
    int32, int64, double, decimal = (kinds.get(kind, 0) for kind in _NUMBERS)
    small, whole = also.get(SMALL, 0), also.get(WHOLE, 0)
    exact = {
        "numeric": decimal,
        "bigint": int32 + int64 - small,
        "long": int64,
        "number": int32 + double - whole,
        "double": double,
    }
    if not int32 and not int64:
        exact.pop("number")
    return max(exact, key=lambda name: exact[name])


def _id_type(kinds: Counter[str], also: Counter[str]) -> str:
    if not kinds or set(kinds) == {"ObjectId"}:
        return "objectid"
    if set(kinds) <= {"int32", "int64"}:
        return "long" if set(kinds) == {"int64"} and also[SMALL] else "bigint" if not also[SMALL] else "any"
    return {frozenset({"string"}): "text", frozenset({"UUID"}): "uuid"}.get(frozenset(kinds), "any")


class _Proposer:
    def __init__(self, tables: set[str]) -> None:
        self.remarks: list[Remark] = []
        self._tables = tables

    def table(self, name: str) -> str:
        """Name a table like this, and like no other."""
        return _unique(name, self._tables)

    def say(self, path: str, text: str) -> None:
        self.remarks.append(Remark(path, text))

    def part(self, survey: DocumentSurvey, path: str, taken: set[str], level: int, table: str) -> Part:
        """Declare the fields of a table."""
        names = {*taken, "rest", POSITION, *(f"{POSITION}_{n}" for n in range(1, level + 1))}
        draft = _Draft(table, names, level)
        self._fields(survey, path, "", draft)
        order = () if draft.order == [*draft.columns, *draft.arrays] else tuple(draft.order)
        return Part(columns=draft.columns, arrays=draft.arrays, order=order)

    def _fields(self, survey: DocumentSurvey, path: str, inner: str, draft: _Draft) -> None:
        rare = []
        for name, one in survey.in_order():
            within, shown = f"{inner}{name}", f"{path}{inner}{name}"
            if one.there < survey.count * RARE:
                rare.append(f"{shown} ({one.there})")
                continue
            if why := self._no_place(name, one, draft):
                self.say(shown, f"{why}: in the rest")
                continue
            self._frequency(shown, one, survey.count)
            kind = _most(one.kinds)
            if kind == "document" and one.document is not None and not _is_map(one.document):
                self._drift(shown, one, "document")
                self.say(shown, "nested: its fields are columns")
                self._fields(one.document, path, f"{within}.", draft)
                continue
            array = self._array(shown, within, one, survey, draft) if kind == "array" else None
            if array is not None:
                draft.arrays[within] = array
            else:
                draft.columns[within] = self._column(shown, within, one, survey, draft.names)
            draft.order.append(within)
        if rare:
            more = f" and {len(rare) - SHOWN:,} more" if len(rare) > SHOWN else ""
            fields = ", ".join(rare[:SHOWN])
            self.say("", f"in fewer than {RARE:.0%} of {survey.count:,} documents, in the rest: {fields}{more}")

    def _no_place(self, name: str, one: FieldSurvey, draft: _Draft) -> str:
        if not name or "." in name or name.startswith("$"):
            return "a name that is no part of a path"
        if set(one.kinds) == {"null"}:
            return "always null"
        if set(one.kinds) <= {"array", "null"} and one.items is not None and not one.items.there:
            return "always an empty array"
        if len(draft.columns) >= MOST_COLUMNS:
            return f"more than {MOST_COLUMNS} columns"
        if type_of(one) is None and not {"document", "array"} & set(one.kinds):
            return f"{', '.join(one.kinds)}: of no type of columns"
        return ""

    def _frequency(self, path: str, one: FieldSurvey, count: int) -> None:
        missing, null = count - one.there, one.kinds["null"]
        said = [f"{what} in {share(part, count)}" for what, part in (("missing", missing), ("null", null)) if part]
        if said:
            self.say(path, ", ".join(said))

    def _drift(self, path: str, one: FieldSurvey, kept: str) -> None:
        """Say which types there are beside the one that the column has."""
        total = one.there - one.kinds["null"]
        if (
            one.kinds.keys() - {"null"} <= _EXACT.get(kept, set())
            and not one.also[SMALL if kept == "bigint" else WHOLE]
        ):
            return
        kinds = [f"{kind} in {share(part, total)}" for kind, part in one.kinds.most_common() if kind != "null"]
        if len(kinds) > 1:
            self.say(path, f"drifts in type: {', '.join(kinds)}; what is no {kept} stays in the rest")

    def _column(self, path: str, inner: str, one: FieldSurvey, survey: DocumentSurvey, names: set[str]) -> Field:
        kind, type_ = _most(one.kinds), type_of(one) or "jsonb"
        if kind in ("document", "array"):
            type_ = "jsonb"
            what = "a map from names to values" if kind == "document" else "an array of arrays or of several types"
            self.say(path, f"nested: {what}")
        else:
            self._drift(path, one, type_)
        if type_ == "double" and one.also[WHOLE] == one.kinds["double"]:
            self.say(path, "whole numbers that are doubles")
        missing = survey.count - one.there
        null = "null" if one.kinds["null"] > missing and type_ != "jsonb" else "missing"
        column = _unique(inner.replace(".", "_"), names)
        if values := _values(one):
            self.say(path, f"values seen: {', '.join(values)}")
        return Field(type_, column="" if column == inner.replace(".", "_") else column, null=null)

    def _array(self, path: str, inner: str, one: FieldSurvey, survey: DocumentSurvey, draft: _Draft) -> Array | None:
        items = one.items or FieldSurvey()
        kind, no_rows = _most(items.kinds), "empty" if one.empty > survey.count - one.there else "missing"
        of = counted(one.longest, "element")
        if one.longest > LONG_ARRAY:
            self.say(path, f"too large for quick changes: an array of up to {of}")
        flat = kind == "document" and items.document is not None and not _is_map(items.document)
        type_ = type_of(items)
        if not (flat and draft.level < LEVELS) and (type_ is None or kind in ("document", "array")):
            return None
        table = self.table(usual := f"{draft.table}_{inner.replace('.', '_')}")
        given = "" if table == usual else table
        self._drift(path, one, "array")
        if flat and items.document is not None:
            self.say(path, f"an array of documents, of up to {of}: a child table")
            self._drift(f"{path}[]", items, "document")
            part = self.part(items.document, f"{path}[].", {"mongo_id"}, draft.level + 1, table)
            return Array(given, part=part, no_rows=no_rows)
        self.say(path, f"an array of up to {of}: a child table")
        self._drift(f"{path}[]", items, type_ or "")
        name = inner.rpartition(".")[2]
        column = _unique(name, {"mongo_id", POSITION, *(f"{POSITION}_{n}" for n in range(1, draft.level + 2))})
        return Array(given, value=Field(type_ or "", column="" if column == name else column), no_rows=no_rows)


@dataclass(slots=True)
class _Draft:
    """A table under way."""

    table: str
    names: set[str]
    level: int
    columns: dict[str, Field] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)


def type_of(one: FieldSurvey) -> str | None:
    """Choose the type of a column for most of a field's values; ``None``: there is none."""
    kinds = Counter({kind: count for kind, count in one.kinds.items() if kind != "null"})
    numbers = sum(kinds[kind] for kind in _NUMBERS)
    found = {type_: kinds[kind] for kind, type_ in _OF_KIND.items()} | {"": numbers}
    best = max(found, key=lambda name: found[name])
    if not found[best]:
        return None
    return best or number_type(kinds, one.also)


def share(part: int, whole: int) -> str:
    """Say a share in percent, a small one as such."""
    percent = 100 * part / max(1, whole)
    return f"{percent:.0f} %" if percent >= 1 else "less than 1 %"


def _most(kinds: Counter[str]) -> str:
    found = [(kind, count) for kind, count in kinds.most_common() if kind != "null"]
    return found[0][0] if found else "null"


def _is_map(survey: DocumentSurvey) -> bool:
    """Tell a map from names to values: many names, most of them in few of the documents."""
    if survey.overflowed:
        return True
    if len(survey.fields) < MANY_NAMES:
        return False
    return sum(one.there for one in survey.fields.values()) < survey.count * len(survey.fields) * 0.1


def _values(one: FieldSurvey) -> list[str]:
    """List the few texts of a field that always has one of them."""
    few = 1 < len(one.texts) <= MOST_TEXTS and one.kinds["string"] >= 10 * len(one.texts)
    plain = all(re.fullmatch(r"[\w -]{1,40}", text) and len(text) <= LONGEST_TEXT for text in one.texts)
    return sorted(one.texts) if few and plain else []


def _plain(name: str) -> str:
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def _unique(name: str, taken: set[str]) -> str:
    """Find a name like this one that no other column, or table, has."""
    while (found := _fitting(name)) in taken:
        name += "_"
    taken.add(found)
    return found


def _fitting(name: str) -> str:
    if len(name.encode()) <= MAX_NAME:
        return name
    return f"{name.encode()[:50].decode(errors='ignore')}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
