"""Reading from the source what is to be made on the other side, in one transaction that changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from syncline.errors import SchemaMoveError
from syncline.postgres.sql import blocks
from syncline.split.catalogue import Catalogue
from syncline.split.schema.selection import Graph, Selection, graph, select
from syncline.split.schema.tables import Column, Table
from syncline.split.schema.things import Address, Key, Sequence, Size

Rows = list[tuple[Any, ...]]

SIMPLE = (
    "schemas", "extensions", "collations", "enums", "composites", "domains", "ranges", "functions", "sequences",
)  # fmt: skip
"""Blocks that give whole statements: catalog, oid, kind, statements."""
OWN = ("enums", "composites", "domains", "ranges", "functions", "sequences")
"""Those of them that may be there under the same name and be something else."""
_PARTS = (
    "owned", "constraints", "indexes", "triggers", "rules", "policies", "statistics", "views", "comments", "grants",
    "closed",
)  # fmt: skip
_TRIES = 10
"""How often tables are read that are altered meanwhile."""


class _AlteredError(Exception):
    """Something that was there is gone."""


@dataclass(frozen=True, slots=True)
class Source:
    """What was read."""

    graph: Graph
    selection: Selection
    moving: frozenset[int]
    addresses: Mapping[Key, tuple[Address, str]]
    """With the identity for people."""
    tables: Mapping[int, Table]
    blocks: Mapping[str, Rows]
    oddities: Rows
    sizes: tuple[Size, ...]
    sequences: tuple[Sequence, ...]
    drawn: tuple[tuple[str, str], ...]
    """Sequences that no moving column owns or draws from: functions do, or applications by hand; schema and name."""

    def label(self, key: Key) -> str:
        """Name a thing for people."""
        found = self.addresses.get(key)
        return f"{found[0].type} {found[1]}" if found else f"{key[0]} {key[1]}"


def read_source(
    connection: psycopg.Connection[Any],
    catalogue: Catalogue,
    moving: frozenset[int],
    sequences: frozenset[int] = frozenset(),
    *,
    quoting: bool = False,
) -> Source:
    """Read what moves with tables.

    Args:
        connection: to the source; behind a pooler, too.
        catalogue: what ties its tables.
        moving: the oids of the tables.
        sequences: those of sequences that move with them, and are no table's.
        quoting: write every name in quotes, for a server that knows other reserved words.

    Raises:
        SchemaMoveError: these tables are altered all the time.
        psycopg.Error: as the driver raises it.

    """
    for _ in range(_TRIES):
        try:
            return _read(connection, catalogue, moving, sequences, quoting=quoting)
        except (_AlteredError, psycopg.errors.InternalError_):  # "cache lookup failed for constraint 16543"
            continue
    raise SchemaMoveError("the tables were altered while they were read, again and again", hint="run it again")


def _read(
    connection: psycopg.Connection[Any],
    catalogue: Catalogue,
    moving: frozenset[int],
    sequences: frozenset[int],
    *,
    quoting: bool,
) -> Source:
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        begin(connection, quoting=False)  # what is called what, for people
        found = graph(_rows(connection, "edges"), _rows(connection, "homes"), _rows(connection, "attached"), catalogue)
        selection = select(found, catalogue, moving, sequences)
        known = selection.things | set(found.homes)
        want(connection, (oid for _, oid in known))
        labels = {(one, oid): identity for one, oid, *_, identity in _rows(connection, "addresses")}
        if quoting:
            quote(connection)
        addresses = _addresses(connection, labels)
        parts = {key for key in found.homes if found.home(key) in selection.things}
        want(connection, (oid for _, oid in selection.things | parts))
        read = {name: _rows(connection, name) for name in (*SIMPLE, *_PARTS)}
        tables = read_tables(connection)
        want(connection, moving)
        source = Source(
            found, selection, moving, addresses, tables, read, _rows(connection, "oddities"),
            tuple(Size(tables[oid].quoted, count, size) for oid, count, size in _rows(connection, "sizes")),
            tuple(Sequence(*(*row[:10], tuple(row[10]))) for row in _rows(connection, "move_sequences")),
            _drawn(connection, addresses, read["sequences"]),
        )  # fmt: skip
        want(connection, (oid for _, oid in known))
        _addresses(connection, labels)  # definitions of what is gone by now were empty
        return source


def _drawn(
    connection: psycopg.Connection[Any], addresses: Mapping[Key, tuple[Address, str]], made: Rows
) -> tuple[tuple[str, str], ...]:
    """Name the sequences that come along and are no moving column's."""
    of_columns = {oid for (oid,) in _rows(connection, "column_sequences")}
    names = (addresses[one, oid][0].names for one, oid, *_ in made if oid not in of_columns)
    return tuple(sorted((schema, name) for schema, name in names))


def _addresses(connection: psycopg.Connection[Any], labels: Mapping[Key, str]) -> dict[Key, tuple[Address, str]]:
    """Read what things are called. The server looks a name up as it is now: what is gone since has none."""
    found = {}
    for one, oid, kind, names, args, _ in _rows(connection, "addresses"):
        if names is None or labels[one, oid] is None:
            raise _AlteredError
        found[one, oid] = (Address(kind, tuple(names), tuple(args)), labels[one, oid])
    return found


def begin(connection: psycopg.Connection[Any], *, quoting: bool) -> None:
    """Let this transaction read definitions the same way on every server."""
    connection.execute(_sql("session"), prepare=False)
    if quoting:
        quote(connection)


def quote(connection: psycopg.Connection[Any]) -> None:
    """Let the server write every name in quotes, for the rest of this transaction."""
    connection.execute("SELECT set_config('quote_all_identifiers', 'on', true)", prepare=False)


def want(connection: psycopg.Connection[Any], oids: Iterable[int]) -> None:
    """Say what the next blocks are to read."""
    listed = "{" + ",".join(map(str, sorted(set(oids)))) + "}"
    connection.execute("SELECT set_config('syncline.oids', %s, true)", [listed], prepare=False)


def read_tables(connection: psycopg.Connection[Any]) -> dict[int, Table]:
    """Read the tables that are wanted, with their columns."""
    columns: dict[int, list[Column]] = {}
    for row in _rows(connection, "columns"):
        columns.setdefault(row[0], []).append(Column.of(row[1:]))
    return {row[0]: Table.of(row, columns.get(row[0], ())) for row in _rows(connection, "tables")}


def read_block(connection: psycopg.Connection[Any], name: str) -> Rows:
    """Read one block of what is wanted."""
    return _rows(connection, name)


def _rows(connection: psycopg.Connection[Any], name: str) -> Rows:
    return connection.execute(_sql(name), prepare=False).fetchall()


def _sql(name: str) -> str:
    return blocks("source.sql", "syncline.split.schema")[name]
