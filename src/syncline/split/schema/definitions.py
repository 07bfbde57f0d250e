"""What moving tables are at a moment: read again while a move is under way, to see whether one has been altered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson
import psycopg
from psycopg import sql

from syncline.split.schema.marks import grant, receiver
from syncline.split.schema.reading import begin, read_block, read_tables, want
from syncline.split.schema.tables import Column, Table
from syncline.split.schema.things import Key

_ATTEMPTS = 20
_LOCK_SECONDS = 5
_NAME = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = %s
"""


@dataclass(frozen=True, slots=True)
class Part:
    """Something that belongs to a table and has a name of its own."""

    kind: str
    """``check``, ``primary key``, ``unique constraint``, ``foreign key``, ``index``, ``trigger``, …"""
    name: str
    """As SQL writes it."""
    text: str
    """What it is, for comparing."""
    make: tuple[str, ...]
    """Statements that make it over there."""
    drop: str
    other: int = 0
    """The table that a foreign key points to."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """Its comment: by the statement that takes it, the one that gives it."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A table, with what belongs to it."""

    table: Table
    parts: tuple[Part, ...]
    marks: Mapping[str, str]
    """Comments and rights: by the statement that takes it, the one that gives it."""

    @property
    def fingerprint(self) -> str:
        """Give the same sixteen characters as long as the table is what it was; values and rewrites change nothing."""
        table = replace(
            self.table, oid=0, file=None, columns=tuple(replace(one, missing=None) for one in self.table.columns)
        )
        parts = sorted((one.kind, one.name, one.text, *one.marks.values()) for one in self.parts)
        told = {"table": asdict(table), "parts": parts, "marks": sorted(self.marks.values())}
        return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    def as_json(self) -> bytes:
        """Write it, to be kept while a move lasts."""
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: bytes) -> Definition:
        """Read what ``as_json`` has written."""
        read: dict[str, Any] = orjson.loads(text)
        columns = tuple(Column(**{**one, "options": tuple(one["options"])}) for one in read["table"]["columns"])
        table = Table(**{**read["table"], "columns": columns, "options": tuple(read["table"]["options"])})
        parts = tuple(Part(**{**one, "make": tuple(one["make"])}) for one in read["parts"])
        return cls(table, parts, read["marks"])


def read_definitions(
    connection: psycopg.Connection[Any], tables: Iterable[int], *, quoting: bool = False
) -> dict[int, Definition]:
    """Read tables by their oids, which a renamed table keeps; one that was dropped is left out.

    Each is read under a reader's lock, in a transaction of its own: the functions that write definitions look at the
    catalog as it is, not as it was when the transaction began, and fail where somebody alters the table meanwhile.

    Raises:
        psycopg.Error: as the driver raises it; ``LockNotAvailable`` where an alteration takes long.

    """
    read = ((oid, _definition(connection, oid, quoting=quoting)) for oid in sorted(set(tables)))
    return {oid: definition for oid, definition in read if definition is not None}


def read_altered(connection: psycopg.Connection[Any], tables: Iterable[int]) -> dict[int, Definition]:
    """Read tables within a transaction that may have altered them; nothing of the reading is left in it."""
    found = {}
    for oid in sorted(set(tables)):
        with connection.transaction(force_rollback=True):
            definition = _under_lock(connection, oid, quoting=False)
        if definition is not None:
            found[oid] = definition
    return found


def _definition(connection: psycopg.Connection[Any], oid: int, *, quoting: bool) -> Definition | None:
    for last in range(_ATTEMPTS - 1, -1, -1):
        name = connection.execute(_NAME, [oid], prepare=False).fetchone()
        if name is None:
            return None
        try:
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
                connection.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(sql.Identifier(*name)))
                return _under_lock(connection, oid, quoting=quoting)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.InternalError_):
            if not last:  # it was renamed, or an index of it was dropped, again and again
                raise
    return None


def _under_lock(connection: psycopg.Connection[Any], oid: int, *, quoting: bool) -> Definition | None:
    begin(connection, quoting=quoting)
    want(connection, [oid])
    attached = [row for row in read_block(connection, "attached") if row[2] == oid]
    want(connection, {oid, *(part for _, part, _ in attached)})
    tables = {one: table for one, table in read_tables(connection).items() if one == oid}
    if not tables:
        return None
    marks = _marks(connection)
    parts = _parts(connection, tables, marks)
    return Definition(tables[oid], tuple(parts[oid]), marks.get(("pg_class", oid), {}))


_KINDS = {"c": "check", "p": "primary key", "u": "unique constraint", "x": "exclusion constraint", "f": "foreign key"}


def _parts(
    connection: psycopg.Connection[Any], tables: Mapping[int, Table], marks: Mapping[Key, dict[str, str]]
) -> dict[int, list[Part]]:
    found: dict[int, list[Part]] = {oid: [] for oid in tables}

    def add(one: str, oid: int, table: int, part: Part) -> None:
        if table in found:
            found[table].append(replace(part, marks=marks.get((one, oid), {})))

    for oid, table, sort, name, text, _, _, _, on, *_, other in read_block(connection, "constraints"):
        make, drop = (
            f"ALTER TABLE {on} ADD CONSTRAINT {name} {text}",
            f"ALTER TABLE {on} DROP CONSTRAINT IF EXISTS {name}",
        )
        add("pg_constraint", oid, table, Part(_KINDS[sort], name, text, (make,), drop, other if sort == "f" else 0))
    for oid, table, name, text, *_, valid, _ in read_block(connection, "indexes"):
        if valid:  # one that is being built is not there yet
            add("pg_class", oid, table, Part("index", name, text, (text,), f"DROP INDEX IF EXISTS {name}"))
    for block, one, kind in (("triggers", "pg_trigger", "TRIGGER"), ("rules", "pg_rewrite", "RULE")):
        for oid, table, name, text, enabled, on, _ in read_block(connection, block):
            both = (text, f"ALTER TABLE {on} DISABLE {kind} {name}")
            add(
                one,
                oid,
                table,
                Part(kind.lower(), name, f"{text} ({enabled})", both, f"DROP {kind} IF EXISTS {name} ON {on}"),
            )
    for oid, table, name, text, roles in read_block(connection, "policies"):
        drop = f"DROP POLICY IF EXISTS {name} ON {tables[table].quoted}"
        add("pg_policy", oid, table, Part("policy", name, f"{text} {roles}", (text,), drop))
    for oid, table, name, texts in read_block(connection, "statistics"):
        part = Part("statistics", name, "; ".join(texts), tuple(texts), f"DROP STATISTICS IF EXISTS {name}")
        add("pg_statistic_ext", oid, table, part)
    return found


def _marks(connection: psycopg.Connection[Any]) -> dict[Key, dict[str, str]]:
    """Read comments and rights of everything that is wanted."""
    found: dict[Key, dict[str, str]] = {}
    for one, oid, head, text in read_block(connection, "comments"):
        found.setdefault((one, oid), {})[f"{head}NULL"] = head + text
    for one, oid, *right in read_block(connection, "grants"):
        word, identity, columns, role, privilege, _ = right
        take = f"REVOKE {privilege}{columns} ON {word} {identity} FROM {receiver(role)}"
        found.setdefault((one, oid), {})[take] = grant(*right)
    return found
