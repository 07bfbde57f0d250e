"""``syncline schema check``: which queries of repositories no index serves. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from syncline.engines.postgres.documents import definitions
from syncline.engines.postgres.documents.definitions import Index
from syncline.engines.postgres.documents.inspection import There
from syncline.insight.checks.finding import Finding, warning
from syncline.model.documents import DocumentMapping, Table
from syncline.model.documents.query_shapes import QueryShape
from syncline.model.entity import TableName


@dataclass(frozen=True, slots=True)
class _Column:
    """Where the values of a path are."""

    table: Table
    name: str
    is_text: bool


def judge_queries(
    mappings: Sequence[DocumentMapping], there: Mapping[TableName, There], shapes: Iterable[QueryShape]
) -> list[Finding]:
    """Name the queries for which a table is read whole.

    Args:
        mappings: of the collections.
        there: their tables.
        shapes: what repositories were asked for, in whichever process.

    """
    of = {mapping.collection.name: mapping for mapping in mappings}
    return [
        found
        for one in sorted(set(shapes))
        if one.collection in of
        for found in _judged(of[one.collection], one, there)
    ]


def _judged(mapping: DocumentMapping, shape: QueryShape, there: Mapping[TableName, There]) -> Iterator[Finding]:
    places = _places(mapping)
    equal = [places[path] for path in shape.equal if path in places]
    # Texts are compared by their code points, which an index in the order of the database's language does not know.
    ranged = [one for path in shape.ranged if (one := places.get(path)) and not one.is_text]
    wanted = [*equal, *ranged]
    if not wanted or any(one.name in _firsts(there.get(one.table.name)) for one in wanted):
        return
    first = wanted[0]
    columns = tuple(one.name for one in wanted if one.table is first.table)
    index = definitions.index(Index(first.table.name, columns)).as_string(None)
    yield warning(
        "queries",
        f"no index serves queries of {shape}",
        why=f"each of them reads all of {first.table.name}",
        fix=index.replace("INDEX IF NOT EXISTS", "INDEX CONCURRENTLY", 1)
        + "; then declare it: `indexes`, or `index = true`",
    )


def _places(mapping: DocumentMapping) -> dict[str, _Column]:
    top, *children = mapping.tables
    found = {
        column.path: _Column(top, column.name, column.type.sql == "text")
        for place, column in enumerate(top.columns)
        if column.path and place != top.rest
    }
    for table in children:
        column = table.columns[-1]
        if table.parent == 0 and column.path.endswith("[]") and table.rest is None:
            found[column.path.removesuffix("[]")] = _Column(table, column.name, column.type.sql == "text")
    return found


def _firsts(there: There | None) -> set[str]:
    """Give the columns with which an index begins; of a table that is not there another finding says so."""
    if there is None:
        return set()
    keys = (there.shape.primary_key, *there.shape.unique_keys, *there.unique, *there.indexes)
    return {columns[0] for columns in keys if columns}
