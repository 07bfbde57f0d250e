"""What our schema consists of, read from the file that makes it, and what of it a database lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any

from psycopg import AsyncConnection

from syncline.errors import DamagedError, SourceError
from syncline.journal.migration import numbers, pending
from syncline.journal.shapes import Shape, restored, shape
from syncline.model.link import UNNAMED, Link, current, entered
from syncline.postgres.dialect import Dialect, dialect_of
from syncline.postgres.sql import blocks, ours, script, statements_of

_CREATE = re.compile(
    r"CREATE (?:OR REPLACE )?(?:UNIQUE )?(?P<kind>TABLE|INDEX|FUNCTION|VIEW) "
    r"(?:IF NOT EXISTS )?(?:syncline\w*\.)?(?P<name>\w+)"
)
_LATER_KEY = re.compile(r"ALTER TABLE syncline\w*\.\w+ ADD CONSTRAINT (\w+) ")
_LATER_COLUMN = re.compile(r"ALTER TABLE syncline\w*\.(\w+) ADD COLUMN IF NOT EXISTS (\w+)")
_OF = re.compile(
    r"(?:COMMENT ON (?:TABLE|INDEX|FUNCTION|VIEW|COLUMN)|INSERT INTO|REVOKE ALL ON FUNCTION) syncline\.(\w+(?:\.\w+)?)"
    r"|ALTER TABLE syncline\.(\w+) ALTER COLUMN (\w+) SET STORAGE"
)
"""What belongs to the making of a part, and to that of its table."""
_COLUMN = re.compile(r'^    (?P<name>[a-z_]+) +(?P<type>["a-z].*?),?$', re.MULTILINE)
_TABLE_KEY = re.compile(r"^    PRIMARY KEY (?P<columns>\(.*\)),?$", re.MULTILINE)
_IDENTITY = re.compile(r"GENERATED ALWAYS AS IDENTITY(?: \(.*?\))?")


class Kind(StrEnum):
    """What another tool can drop of it."""

    TABLE = "table"
    COLUMN = "column"
    IDENTITY = "sequence of"
    KEY = "unique key"
    INDEX = "index"
    FUNCTION = "function"
    VIEW = "view"
    ROWS = "rows of"
    DEFINITION = "the definition of"


@dataclass(frozen=True, slots=True)
class Part:
    """Something of ours, with the statements that make it."""

    kind: Kind
    name: str
    """As the schema has it; of a column with its table."""
    table: str
    """The table that it belongs to; empty: none."""
    statements: tuple[str, ...]
    emptied: bool = False
    """It can come back in an empty table only: nobody knows what stood in its rows."""
    column: str = ""
    """The column that a key comes back with."""
    identity: str = ""
    """The column whose numbers begin anew with it."""
    shape: Shape | None = None
    """Of a column: how it is defined."""

    def __str__(self) -> str:
        return f"{self.kind} {current().schema}.{self.name}"


async def missing_parts(conn: AsyncConnection[Any]) -> list[Part]:
    """List what an installed schema lacks or has otherwise, in the order in which it can be made.

    What a migration will make is not among it.

    Raises:
        DamagedError: what is left does not tell which installation this was; the hint names the commands.
        SourceError: the schema of this name is somebody else's.

    """
    dialect = dialect_of(conn)
    there = {(row[0], row[1]) for row in await (await conn.execute(blocks("registry.sql")["parts"])).fetchall()}
    if not there:
        return []
    whole = parts(dialect)
    lacking = [part for part in whole if (_catalogued(part.kind), part.name) not in there]
    if len(lacking) == len(whole):
        raise SourceError(
            f"there is a schema {current().schema} that is not Syncline's",
            hint=ours("rename it: ALTER SCHEMA syncline RENAME TO …")
            + ("; or give the link another name" if current().name else ""),
        )
    without = {part.name for part in lacking if part.kind in (Kind.TABLE, Kind.COLUMN)}
    lacking = [p for p in lacking if p.kind is Kind.TABLE or (p.table not in without and p.column not in without)]
    lacking = [p for p in lacking if p.kind is not Kind.IDENTITY or p.name not in without]
    applied = await _applied(conn, without)
    coming = _coming(dialect, applied)
    lacking = [part for part in lacking if part.name not in coming]
    lost = [str(p) for p in lacking if "meta" in (p.name, p.table) and p.kind not in (Kind.KEY, Kind.DEFINITION)]
    rows = {} if lost else await _rows(conn, without)
    if not lost and not rows["meta"]:
        if dialect is Dialect.COCKROACHDB and not await _any_entity(conn, without):
            return []  # an installation that broke off there, where it is no transaction: it goes on
        lost = [f"the row of {current().schema}.meta"]
    if lost:
        raise DamagedError(
            f"another tool has dropped {lost[0]}: nobody knows any more which installation this was",
            hint="`syncline uninstall`, then `syncline install`; a worker then marks everything and sweeps the target",
        )
    if dialect is Dialect.POSTGRESQL and applied == numbers():  # else another release may have it otherwise
        lacking = [*await _altered(conn, without), *lacking]
    if not rows["lanes"] or any(part.emptied and part.table == "lane" for part in lacking):
        lacking.append(_lanes(dialect))
    return lacking


async def require_whole(conn: AsyncConnection[Any]) -> None:
    """See that nothing of ours is missing.

    Raises:
        DamagedError: something is; the hint names the command.

    """
    lacking = await missing_parts(conn)
    if lacking:
        raise DamagedError(
            what_is_wrong(lacking), hint="`syncline install` puts it back, and has marked what may have been missed"
        )


def what_is_wrong(lacking: Sequence[Part]) -> str:
    """Say it in a sentence: what is gone, or else what is otherwise."""
    dropped = [part for part in lacking if part.kind is not Kind.DEFINITION]
    shown = dropped or lacking
    more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
    return f"another tool has {'dropped' if dropped else 'altered'} {', '.join(map(str, shown[:3]))}{more}"


def numbers_set_back(tables: Sequence[str]) -> str:
    """Say that sequences of these tables stand below what is there."""
    return f"the numbers of {', '.join(f'{current().schema}.{table}' for table in tables)} have been set back"


def numbered() -> Mapping[str, str]:
    """Name the tables whose rows are numbered, with the column."""
    return {part.name: part.identity for part in parts(Dialect.POSTGRESQL) if part.kind is Kind.TABLE and part.identity}


async def _altered(conn: AsyncConnection[Any], without: set[str]) -> list[Part]:
    """List the columns that are there and defined otherwise."""
    rows = await (await conn.execute(blocks("registry.sql")["shapes"])).fetchall()
    there = {row[0]: row[1:] for row in rows}
    found = []
    for part in parts(Dialect.POSTGRESQL):
        if part.shape is None or part.name in without or part.name not in there:
            continue
        type_, not_null, filled = there[part.name]
        if not part.shape.fits(type_, not_null=not_null, filled=filled):
            column = part.name.partition(".")[2]
            statement = ours(restored(part.table, column, part.shape, part.statements))
            said = tuple(text for text in part.statements if text.startswith("COMMENT"))
            found.append(Part(Kind.DEFINITION, part.name, part.table, (statement, *said), column=part.name))
    return found


async def _rows(conn: AsyncConnection[Any], without: set[str]) -> dict[str, Any]:
    """Tell whether the rows that an installation makes are there."""
    block = blocks("registry.sql")["rows_without_lanes" if "lane" in without else "rows"]
    row = await (await conn.execute(block)).fetchone()
    assert row is not None  # noqa: S101  a SELECT without FROM has one row
    return {"meta": row[0], "lanes": row[1]}


async def _any_entity(conn: AsyncConnection[Any], without: set[str]) -> bool:
    """Tell whether an entity was ever installed."""
    if "entity" in without:
        return False
    row = await (await conn.execute(blocks("registry.sql")["any_entity"])).fetchone()
    return bool(row and row[0])


def _lanes(dialect: Dialect) -> Part:
    """Give what fills the lanes."""
    texts = [text for part in parts(dialect) if part.name == "lane" for text in part.statements]
    return Part(Kind.ROWS, "lane", "lane", tuple(text for text in texts if text.startswith("INSERT")))


async def _applied(conn: AsyncConnection[Any], without: set[str]) -> set[int]:
    """Read the numbers of the migrations that were made."""
    if any(name.partition(".")[0] in ("meta", "migration") for name in without):
        return set()
    rows = await (await conn.execute(blocks("registry.sql")["migrations"])).fetchall()
    return {row[0] for row in rows}


def _coming(dialect: Dialect, applied: set[int]) -> set[str]:
    """Name what the migrations that are still to be made will bring."""
    steps = [step for one in pending(dialect, numbers() - applied) for step in one.steps]
    names = {found["name"] for step in steps for found in _CREATE.finditer(step)}
    names |= {found[1] for step in steps for found in _LATER_KEY.finditer(step)}
    return names | {f"{found[1]}.{found[2]}" for step in steps for found in _LATER_COLUMN.finditer(step)}


def parts(dialect: Dialect) -> tuple[Part, ...]:
    """Read our schema's parts from the file that makes it, in its order."""
    return _of(dialect, current())


@cache
def _of(dialect: Dialect, link: Link) -> tuple[Part, ...]:
    with entered(UNNAMED):
        read = _read(dialect)
    with entered(link):
        return tuple(replace(part, statements=tuple(map(ours, part.statements))) for part in read)


def _read(dialect: Dialect) -> tuple[Part, ...]:
    made: list[Part] = []
    for statement in _statements(dialect):
        if found := _CREATE.match(statement):
            made += _parts_of(statement, Kind(found["kind"].lower()), found["name"], dialect)
        elif of := _OF.match(statement):
            name = ".".join(filter(None, of.groups()))
            made = [part if _stranger(part, name) else _with(part, statement) for part in made]
    return tuple(made)


def _stranger(part: Part, name: str) -> bool:
    if part.kind in (Kind.IDENTITY, Kind.KEY):
        return True
    return part.name not in (name, name.partition(".")[0])


def _with(part: Part, statement: str) -> Part:
    return replace(part, statements=(*part.statements, statement))


def _parts_of(statement: str, kind: Kind, name: str, dialect: Dialect) -> Iterator[Part]:
    if kind is not Kind.TABLE:
        yield Part(kind, name, "", (statement,))
        return
    columns = [(column["name"], column["type"]) for column in _COLUMN.finditer(statement)]
    numbered = {column: found[0] for column, type_ in columns if (found := _IDENTITY.search(type_))}
    yield Part(kind, name, "", (statement,), identity="".join(numbered))
    whole = _TABLE_KEY.search(statement)
    keyed = re.findall(r"\w+", whole["columns"]) if whole else []
    for column, type_ in columns:
        yield _column(name, column, type_, keyed=column in keyed)
    if dialect is Dialect.POSTGRESQL:  # CockroachDB names its keys otherwise, from release to release
        yield from _keys(statement, name, columns)
        for column, identity in numbered.items():
            add = f"ALTER TABLE syncline.{name} ALTER COLUMN {column} ADD {identity}"
            yield Part(Kind.IDENTITY, f"{name}.{column}", name, (add,), identity=column)


def _column(table: str, column: str, type_: str, *, keyed: bool) -> Part:
    known = "DEFAULT" in type_ or "GENERATED" in type_ or not ("NOT NULL" in type_ or "PRIMARY KEY" in type_)
    add = f"ALTER TABLE syncline.{table} ADD COLUMN IF NOT EXISTS {column} {type_}"
    statements = (add,) if known else (f"TRUNCATE syncline.{table}", add)
    identity = column if "GENERATED" in type_ else ""
    wanted = shape(type_, keyed=keyed)
    return Part(Kind.COLUMN, f"{table}.{column}", table, statements, emptied=not known, identity=identity, shape=wanted)


def _keys(statement: str, table: str, columns: list[tuple[str, str]]) -> Iterator[Part]:
    add = "ALTER TABLE syncline.{table} ADD CONSTRAINT {name} {definition}"
    whole = _TABLE_KEY.search(statement)
    if whole is not None:
        name = f"{table}_pkey"
        definition = f"PRIMARY KEY {whole['columns']}"
        yield Part(Kind.KEY, name, table, (add.format(table=table, name=name, definition=definition),))
    for column, type_ in columns:
        for word, name in (("PRIMARY KEY", f"{table}_pkey"), ("UNIQUE", f"{table}_{column}_key")):
            if word in type_:
                text = add.format(table=table, name=name, definition=f"{word} ({column})")
                yield Part(Kind.KEY, name, table, (text,), column=f"{table}.{column}")


def _catalogued(kind: Kind) -> str:
    return "relation" if kind in (Kind.TABLE, Kind.VIEW, Kind.INDEX, Kind.KEY) else kind.name.lower()


def _statements(dialect: Dialect) -> Iterator[str]:
    if dialect is Dialect.COCKROACHDB:
        yield from (text.removesuffix(";") for text in blocks("cockroach.sql", comment=False).values())
    else:
        yield from statements_of(script("schema.sql"))
