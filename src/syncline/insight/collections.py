"""A first ``syncline.toml`` for documents of a MongoDB: each collection with its columns and child tables, and why."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from syncline.errors import ConfigError, UnmappableError
from syncline.insight.suggestion import array, bare, comment, text
from syncline.model.documents import Array, DocumentMapping, Field, Part
from syncline.model.documents.proposal import Proposed, Remark, propose, share
from syncline.model.documents.survey import DocumentSurvey
from syncline.model.words import counted

SAMPLE = 1000
_KEPT = 200
"""Documents of a sample that are mapped, to see how many of them need the rest."""

_HEAD = """\
# Written by `syncline init --from mongodb`. Check it, then: syncline schema sql | psql
# How documents become rows: docs/explanation/documents-as-rows.md. Every setting: docs/reference/configuration.md

[source]
url = "${MONGODB_URL}"

[target]
url = "${DATABASE_URL}"
"""


class Documents(Protocol):
    """Where documents are looked at."""

    async def names(self) -> list[str]:
        """List the collections."""
        ...

    async def estimated(self, name: str) -> int:
        """Tell how many documents a collection has, roughly."""
        ...

    def documents(self, name: str, size: int) -> AsyncIterator[bytes]:
        """Read some."""
        ...


@dataclass(slots=True)
class Surveyed:
    """A collection that was looked at."""

    proposed: Proposed
    documents: int
    sampled: int
    tables: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Give the form that goes over the wire."""
        return {
            "name": self.proposed.collection.name,
            "documents": self.documents,
            "sampled": self.sampled,
            "tables": self.tables,
            "remarks": [{"path": one.path, "text": one.text} for one in self.proposed.remarks],
        }


@dataclass(frozen=True, slots=True)
class Proposal:
    """A configuration for a database of documents."""

    text: str
    collections: Sequence[Surveyed]
    left_out: Mapping[str, str]

    @property
    def found(self) -> bool:
        """Tell whether there is anything in it."""
        return bool(self.collections)

    def as_dict(self) -> dict[str, Any]:
        """Give the form that goes over the wire."""
        return {
            "source": "mongodb",
            "collections": [one.as_dict() for one in self.collections],
            "left_out": [{"collection": name, "reason": reason} for name, reason in self.left_out.items()],
            "text": self.text,
        }


async def propose_collections(
    documents: Documents, names: Sequence[str] | None = None, *, sample: int = SAMPLE
) -> Proposal:
    """Look at a database and write a configuration for its collections.

    Args:
        documents: where they are.
        names: only these; ``None``: all.
        sample: so many documents of each are looked at.

    Raises:
        ConfigError: there is no such collection.

    """
    there = await documents.names()
    if missing := sorted(set(names or ()) - set(there)):
        raise ConfigError(f"there is no collection {missing[0]!r}", hint=f"there are: {', '.join(there) or 'none'}")
    found: list[Surveyed] = []
    left_out: dict[str, str] = {}
    tables: set[str] = set()
    for name in dict.fromkeys(names or there):
        if not name.startswith("_syncline"):
            one = await _survey(documents, name, sample, tables)
            if one.sampled:
                found.append(one)
            else:
                left_out[name] = "it has no document"
    parts = [_HEAD, *("\n".join(_section(one)) + "\n" for one in found)]
    parts += (
        ["".join(f"# not declared: {comment(name)}: {why}\n" for name, why in left_out.items())] if left_out else []
    )
    return Proposal("\n".join(parts), found, left_out)


async def _survey(documents: Documents, name: str, sample: int, tables: set[str]) -> Surveyed:
    survey = DocumentSurvey()
    kept: list[bytes] = []
    async for document in documents.documents(name, sample):
        survey.add_stored(document)
        if len(kept) < _KEPT:
            kept.append(document)
    proposed = propose(name, survey, tables)
    surveyed = Surveyed(proposed, max(await documents.estimated(name), survey.count), survey.count)
    if kept:
        mapping = DocumentMapping(proposed.collection)
        surveyed.tables = [str(table.name) for table in mapping.tables]
        proposed.remarks += _tried(mapping, kept)
    return surveyed


def _tried(mapping: DocumentMapping, kept: Sequence[bytes]) -> Iterator[Remark]:
    """Map the documents, and say how many need the rest."""
    rest = mapping.tables[0].rest or 0
    with_rest, refused = 0, 0
    for document in kept:
        try:
            with_rest += mapping.rows(document)[0][0][rest] is not None
        except UnmappableError:
            refused += 1
    if with_rest:
        yield Remark("", f"{share(with_rest, len(kept))} of the documents have something in the rest")
    if refused:
        yield Remark("", f"{share(refused, len(kept))} of the documents would be parked")


def _section(one: Surveyed) -> Iterator[str]:
    collection, proposed = one.proposed.collection, one.proposed
    path = f"collections.{bare(collection.name)}"
    yield f"[{path}]"
    yield f"# {counted(one.documents, 'document')}, {one.sampled:,} looked at"
    yield from (f"# {comment(remark.text)}" for remark in proposed.remarks if not remark.path)
    if collection.table:
        yield f"table = {text(collection.table)}"
    yield f"id = {text(collection.id)}"
    yield from _part(path, "", collection.part, proposed)
    declared = set(_declared("", collection.part))
    for remark in proposed.remarks:
        if remark.path and remark.path not in declared:
            yield f"# {comment(remark.path)}: {comment(remark.text)}"


def _part(path: str, inner: str, part: Part, proposed: Proposed) -> Iterator[str]:
    if part.order:
        yield f"order = {array(part.order)}"
    if part.columns:
        yield f"[{path}.columns]"
        for name, column in part.columns.items():
            yield f"{bare(name)} = {_column(column)}{_why(proposed, f'{inner}{name}')}"
    for name, one in part.arrays.items():
        yield f"[{path}.arrays.{bare(name)}]{_why(proposed, f'{inner}{name}')}"
        yield from _array(f"{path}.arrays.{bare(name)}", f"{inner}{name}", one, proposed)


def _array(path: str, inner: str, one: Array, proposed: Proposed) -> Iterator[str]:
    if one.table:
        yield f"table = {text(one.table)}"
    if one.no_rows != "missing":
        yield f"no_rows = {text(one.no_rows)}"
    if one.value is None:
        yield from _part(path, f"{inner}[].", one.part, proposed)
        return
    yield f"type = {text(one.value.type)}{_why(proposed, f'{inner}[]')}"
    if one.value.column:
        yield f"column = {text(one.value.column)}"


def _column(column: Field) -> str:
    more = {"column": column.column, "null": "null" if column.null == "null" else ""}
    said = [f"{name} = {text(value)}" for name, value in more.items() if value]
    return f"{{ {', '.join([f'type = {text(column.type)}', *said])} }}" if said else text(column.type)


def _why(proposed: Proposed, path: str) -> str:
    said = proposed.of(path)
    return f"  # {comment(said)}" if said else ""


def _declared(inner: str, part: Part) -> Iterator[str]:
    yield from (f"{inner}{name}" for name in part.columns)
    for name, one in part.arrays.items():
        yield f"{inner}{name}"
        yield f"{inner}{name}[]"
        yield from _declared(f"{inner}{name}[].", one.part)
