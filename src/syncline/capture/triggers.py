"""The functions and triggers that capture an entity's changes: what they must look like, composed and not yet executed.

Statement-level triggers read a statement's rows from transition tables, the fast form, where every way of writing a row
is a statement on its table. Partitions, inheritance and subscriptions are written past it: there, one trigger per row.

A changed key is seen by a row-level trigger whose WHEN compares old and new: half the price of keeping the old rows and
joining them. (It makes PostgreSQL refuse to change a key column's type; that would have to be told to the target too.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from syncline.model.entity import Column, TableName
from syncline.model.key_types import key_type
from syncline.model.types import PINNED_SETTINGS
from syncline.outbox.sql import blocks

SCHEMA = "syncline"
_SEARCH_PATH = {"search_path": "pg_catalog, pg_temp"}
_SETTINGS_OF: Mapping[str, tuple[str, ...]] = {
    "date": ("datestyle",),
    "timestamp": ("datestyle",),
    "timestamptz": ("datestyle", "timezone"),
    "bytea": ("bytea_output",),
}
_STABLE_TEXT = frozenset({"enum"})
_COLLATED = frozenset({"text", "varchar", "bpchar"})
ROW, INSERT, DELETE, UPDATE, TRUNCATE = 1, 4, 8, 16, 32
"""Bits of ``pg_trigger.tgtype``."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Changes of this table's rows mark keys of that entity: its own rows, or those of an embedded child."""

    entity: int
    table: TableName
    columns: tuple[Column, ...]
    """The table's columns that make the key text, in its order."""
    embed: int = 0
    """Which embed of the entity the table is, from 1; 0: the entity's own table."""

    @property
    def stem(self) -> str:
        """What the names of its functions and triggers begin with."""
        return f"{self.entity}_embed_{self.embed}" if self.embed else str(self.entity)


@dataclass(frozen=True, slots=True)
class Function:
    """A function as it must be."""

    entity: int
    name: str
    arguments: tuple[str, ...]
    body: str
    settings: Mapping[str, str]
    volatility: str
    definer: bool
    create: tuple[sql.Composed, ...]

    @property
    def identity(self) -> tuple[str, tuple[str, ...]]:
        """Name and argument types."""
        return self.name, self.arguments


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger as it must be."""

    table: TableName
    name: str
    function: str
    type: int
    """``pg_trigger.tgtype``."""
    old_table: str | None = None
    new_table: str | None = None
    when: tuple[str, ...] = ()
    """The columns that its WHEN compares."""
    create: tuple[sql.Composed, ...] = ()


def key_expression(columns: Sequence[Column], row: str) -> sql.Composed:
    """Key text of a row, under pinned settings: ``model.keys`` reads it back."""
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(_of(row, column)) for column in columns)
    if len(columns) == 1:
        return sql.Composed([texts])
    return sql.SQL("jsonb_build_array({})::text").format(texts)


def key_function(entity: int, columns: Sequence[Column]) -> Function:
    """``syncline.key_<id>(column, …)``: the entity's key text, for everybody outside of the triggers.

    Without settings it is inlined into the query that calls it. Where the text follows a setting it is pinned instead.
    """
    name = f"key_{entity}"
    settings = pinned(columns)
    arguments = tuple(key_type(column).sql for column in columns)
    plain = len(columns) == 1 and columns[0].base not in _STABLE_TEXT
    volatility = "IMMUTABLE" if plain or settings else "STABLE"
    texts = ", ".join(f"${place}::pg_catalog.text" for place in range(1, len(columns) + 1))
    body = f"SELECT {texts}" if len(columns) == 1 else f"SELECT pg_catalog.jsonb_build_array({texts})::pg_catalog.text"
    create = _template("key_function").format(
        function=_ours(name),
        arguments=_types(arguments),
        volatility=sql.SQL("IMMUTABLE" if volatility == "IMMUTABLE" else "STABLE"),
        settings=_set_clauses(settings),
        body=dollar_quoted(body),
    )
    return Function(entity, name, arguments, body, settings, volatility, definer=False, create=(create,))


def pinned(columns: Iterable[Column]) -> dict[str, str]:
    """Collect the settings that the text of these columns follows."""
    return {name: PINNED_SETTINGS[name] for column in columns for name in _SETTINGS_OF.get(column.base, ())}


def trigger_functions(watch: Watch, *, by_row: bool) -> tuple[Function, ...]:
    """Compose the functions that one watch needs."""
    own = not watch.embed
    changed = sql.SQL('left(TG_OP, 1)::"char"') if own else sql.SQL("'U'::\"char\"")
    gone = sql.SQL("'D'::\"char\"") if own else sql.SQL("'U'::\"char\"")
    shared = {"id": sql.Literal(watch.entity)}
    old = {"old_key": key_expression(watch.columns, "old"), "old_present": _present(watch, "old")}
    new = {"new_key": key_expression(watch.columns, "new"), "new_present": _present(watch, "new")}
    kind = sql.Literal("sweep" if own else "backfill")
    truncate = _trigger_function(watch, "truncate", shared | {"kind": kind})
    if by_row:
        return _trigger_function(watch, "row", shared | old | new | {"hint": changed, "gone": gone}), truncate
    rows = {
        "key": key_expression(watch.columns, "r"),
        "distinct": sql.SQL("" if own else "DISTINCT "),
        "where": sql.SQL("") if own else sql.SQL(" WHERE {}").format(_present(watch, "r")),
        "hint": changed,
    }
    moved = {"old_key": old["old_key"], "present": old["old_present"], "hint": gone}
    return (
        _trigger_function(watch, "statement", shared | rows),
        _trigger_function(watch, "moved", shared | moved),
        truncate,
    )


def row_triggers(watch: Watch, table: TableName) -> tuple[Trigger, ...]:
    """Triggers for a table that is written past its statements. PostgreSQL copies them to partitions by itself."""
    return (_trigger(watch, table, "row", "row", ROW | INSERT | UPDATE | DELETE), truncate_trigger(watch, table))


def statement_triggers(watch: Watch, table: TableName) -> tuple[Trigger, ...]:
    """Triggers for an ordinary table."""
    return (
        _trigger(watch, table, "statement", "insert", INSERT, new_table="changed"),
        _trigger(watch, table, "statement", "update", UPDATE, new_table="changed"),
        _trigger(watch, table, "statement", "delete", DELETE, old_table="changed"),
        _trigger(watch, table, "moved", "moved", ROW | UPDATE, when=tuple(c.name for c in watch.columns)),
        truncate_trigger(watch, table),
    )


def truncate_trigger(watch: Watch, table: TableName) -> Trigger:
    """The trigger on TRUNCATE, which PostgreSQL copies to no partition."""
    return _trigger(watch, table, "truncate", "truncate", TRUNCATE)


def drop_trigger(table: TableName, name: str) -> sql.Composed:
    """Compose its removal."""
    return _template("trigger_drop").format(trigger=sql.Identifier(name), table=_table(table))


def enable_trigger(table: TableName, name: str) -> sql.Composed:
    """Compose what makes it fire always, in replicas and restores too."""
    return _template("trigger_always").format(trigger=sql.Identifier(name), table=_table(table))


def drop_function(name: str, arguments: Sequence[str]) -> sql.Composed:
    """Compose its removal."""
    return _template("function_drop").format(function=_ours(name), arguments=_types(arguments))


def dollar_quoted(body: str) -> sql.SQL:
    """Quote a function's body so that it stays readable, with a tag that does not occur in it."""
    tag, number = "$$", 0
    while tag in body:
        tag, number = f"$syncline{number}$", number + 1
    return sql.SQL(f"{tag}{body}{tag}")


def _trigger_function(watch: Watch, role: str, parts: Mapping[str, sql.Composable]) -> Function:
    name = f"capture_{watch.stem}_{role}"
    settings = _SEARCH_PATH | pinned(watch.columns)
    body = "\n" + _template(role).format(**parts).as_string(None) + "\n"
    create = _template("trigger_function").format(
        function=_ours(name), settings=_set_clauses(settings), body=dollar_quoted(body)
    )
    revoke = _template("revoke_function").format(function=_ours(name), arguments=sql.SQL(""))
    return Function(watch.entity, name, (), body, settings, "VOLATILE", definer=True, create=(create, revoke))


def _trigger(
    watch: Watch,
    table: TableName,
    role: str,
    suffix: str,
    type_: int,
    *,
    old_table: str | None = None,
    new_table: str | None = None,
    when: tuple[str, ...] = (),
) -> Trigger:
    name, function = f"syncline_{watch.stem}_{suffix}", f"capture_{watch.stem}_{role}"
    event = {INSERT: sql.SQL("INSERT"), UPDATE: sql.SQL("UPDATE"), DELETE: sql.SQL("DELETE")}.get(type_, sql.SQL(""))
    create = _template(f"trigger_{role}").format(
        trigger=sql.Identifier(name),
        function=_ours(function),
        table=_table(table),
        event=event,
        rows=sql.SQL("NEW" if new_table else "OLD"),
        moved=_moved(watch.columns),
    )
    always = enable_trigger(table, name)
    return Trigger(table, name, function, type_, old_table, new_table, when, (create, always))


def _moved(columns: Sequence[Column]) -> sql.Composed:
    """Compare keys as their texts would; under a lax collation equal values have different texts."""
    pairs = []
    for column in columns:
        collate = sql.SQL(' COLLATE pg_catalog."C"') if column.base in _COLLATED else sql.SQL("")
        old, new = (sql.Composed([_of(row, column), collate]) for row in ("old", "new"))
        pairs.append(sql.SQL("{} IS DISTINCT FROM {}").format(old, new))
    return sql.SQL(" OR ").join(pairs)


def _present(watch: Watch, row: str) -> sql.Composable:
    """A child without a parent has no key to mark; the entity's own key is never null."""
    if not watch.embed:
        return sql.SQL("true")
    return sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(_of(row, column)) for column in watch.columns)


def _template(name: str) -> sql.SQL:
    return sql.SQL(blocks("triggers.sql", "syncline.capture")[name])


def _set_clauses(settings: Mapping[str, str]) -> sql.Composable:
    clauses = []
    for name, value in settings.items():
        values = sql.SQL(", ").join(map(sql.Literal, value.split(", ")))
        clauses.append(sql.SQL("\n    SET {} = {}").format(sql.Identifier(name), values))
    return sql.Composed(clauses)


def _of(row: str, column: Column) -> sql.Composed:
    return sql.SQL("{}.{}").format(sql.SQL(row), sql.Identifier(column.name))


def _ours(name: str) -> sql.Identifier:
    return sql.Identifier(SCHEMA, name)


def _table(table: TableName) -> sql.Identifier:
    return sql.Identifier(table.schema, table.name)


def _types(names: Iterable[str]) -> sql.Composed:
    """Types as the catalog prints them: quoted where they need it."""
    return sql.SQL(", ").join([sql.SQL(name) for name in names])
