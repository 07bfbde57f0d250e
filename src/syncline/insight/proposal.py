"""A first ``syncline.toml`` for a database: each table with its key; as comments, what cannot be synced and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syncline.errors import ConfigError, MappingError
from syncline.insight import reach
from syncline.insight.bookkeeping import migration_tool
from syncline.insight.sampling import ROWS, wide_numbers
from syncline.insight.suggestion import (
    Reference,
    Wide,
    array,
    comment,
    embed_lines,
    entity_lines,
    suggest_embeds,
    suggest_entity,
    text,
)
from syncline.model.entity import Entity, Shape, TableName
from syncline.postgres.catalog import read_shapes
from syncline.postgres.connection import Connection
from syncline.postgres.dialect import Dialect, dialect_of

_SECRET = re.compile(r"password|passwd|secret|token|api_?key|private_?key", re.IGNORECASE)
_KINDS = {"v": "a view", "m": "a materialised view", "f": "a foreign table"}
_VIEW = (
    "id",
    "event_type",
    "aggregate_type",
    "aggregate_id",
    "payload",
    "created_at",
    "retry_count",
    "last_error",
    "processed",
    "processed_at",
)
"""Columns of our view for people; its name and schema are settings."""

_HEAD = """\
# Written by `syncline init` from the database {database}. Check it, then: syncline install && syncline worker
# Every setting: docs/reference/configuration.md. The environment wins: SYNCLINE_WORKER__BATCH_SIZE=500, …

[source]
url = "${{DATABASE_URL}}"
{source}# capture = "triggers"        # sees every write, raw SQL too; "session": only those of the SQLAlchemy session

[target]
url = "${{MONGODB_URL}}"
database = {quoted}

# [history]
# keep = "7d"                 # applied changes in the view syncline.changes; "off" is the fastest
"""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A configuration for a database."""

    text: str
    """As TOML; every line that decides something says why."""
    source: str
    """What kind of database it is: ``postgresql`` or ``cockroachdb``."""
    entities: Mapping[str, tuple[TableName, tuple[str, ...]]]
    """By name: the table and the key."""
    left_out: Mapping[TableName, str]
    """Tables that are not synced, and why."""

    @property
    def found(self) -> bool:
        """Tell whether there is anything in it."""
        return bool(self.entities)

    def as_dict(self) -> dict[str, Any]:
        """Give the form that goes over the wire."""
        return {
            "source": self.source,
            "entities": [{"name": n, "table": str(t), "key": list(key)} for n, (t, key) in self.entities.items()],
            "left_out": [{"table": str(table), "reason": reason} for table, reason in self.left_out.items()],
            "text": self.text,
        }


async def propose(connection: Connection, schemas: Sequence[str] | None = None, *, target: str = "") -> Proposal:
    """Look at a database and write a configuration for it.

    Args:
        connection: to the source.
        schemas: only tables of these; ``None``: of all but the system's and our own.
        target: name of the target's database; by default that of the source's.

    Raises:
        ConfigError: a schema has no table.

    """
    shapes = await read_shapes(connection, schemas)
    if empty := sorted(set(schemas or ()) - {shape.table.schema for shape in shapes}):
        raise ConfigError(
            f"no table is in schema {', '.join(empty)}", hint="is the name right, and may this role see it?"
        )
    references = [_reference(row) for row in await reach.rows(connection, "foreign_keys")]
    dialect = dialect_of(connection)
    extensions: dict[TableName, str] = {}
    if dialect is Dialect.POSTGRESQL:
        found = await reach.rows(connection, "extension_tables")
        extensions = {TableName(row["schema"], row["name"]): row["extension"] for row in found}
    tables = [shape for shape in shapes if _reason(shape, extensions) is None]
    wide = {shape.table: await wide_numbers(connection, shape, shape.columns, rows=ROWS) for shape in tables}
    return compose(
        connection.info.dbname,
        shapes,
        references,
        target=target,
        source=dialect.value,
        extensions=extensions,
        wide=wide,
    )


def compose(
    database: str,
    shapes: Iterable[Shape],
    references: Sequence[Reference],
    *,
    target: str = "",
    source: str = Dialect.POSTGRESQL.value,
    extensions: Mapping[TableName, str] | None = None,
    wide: Wide | None = None,
) -> Proposal:
    """Write the configuration for these tables.

    Args:
        database: name of the source's database.
        shapes: its tables and views.
        references: its foreign keys.
        target: name of the target's database; by default the source's.
        source: kind of the source.
        extensions: which extension a table belongs to.
        wide: columns that hold numbers of more digits than a Decimal128.

    """
    kind = "" if source == Dialect.POSTGRESQL.value else f"name = {text(source)}\n"
    parts = [_HEAD.format(database=comment(database), quoted=text(target or database), source=kind)]
    names: set[str] = set()
    entities: dict[str, tuple[TableName, tuple[str, ...]]] = {}
    left_out: dict[TableName, str] = {}
    extensions, wide = extensions or {}, wide or {}
    shapes = list(shapes)
    synced = {shape.table: shape for shape in shapes if _reason(shape, extensions) is None}
    for shape in shapes:
        reason = _reason(shape, extensions)
        if reason is None:
            entity = suggest_entity(_name(shape.table, names), shape, wide)
            entities[entity.name] = shape.table, entity.key or shape.primary_key
            parts.append("\n".join(_section(entity, shape, references, synced, wide)) + "\n")
        elif not shape.is_partition and not _ours(shape):
            left_out[shape.table] = comment(reason)
    if left_out:
        lines = (f"# {comment(str(table))}: {reason}\n" for table, reason in left_out.items())
        parts.append("# Not synced:\n" + "".join(lines))
    return Proposal("\n".join(parts), source, entities, left_out)


def _reference(row: Mapping[str, Any]) -> Reference:
    child, parent = TableName(row["child_schema"], row["child"]), TableName(row["parent_schema"], row["parent"])
    return Reference(child, tuple(row["columns"]), parent, tuple(row["refers_to"]))


def _ours(shape: Shape) -> bool:
    return shape.kind == "v" and tuple(column.name for column in shape.columns) == _VIEW


def _reason(shape: Shape, extensions: Mapping[TableName, str]) -> str | None:
    """Say why a table is left out; ``None`` when it need not be."""
    if shape.table in extensions:
        return f"belongs to the extension {extensions[shape.table]}"
    if shape.is_partition:
        return "a partition; its parent is synced"
    if shape.kind in _KINDS:
        return f"{_KINDS[shape.kind]}; sync the tables behind it"
    if tool := migration_tool(shape):
        return f"bookkeeping of a tool ({tool})"
    try:
        suggest_entity("it", shape, {})
    except MappingError as error:
        return f"{error.message.partition(': ')[2] or error.message}" + (f" ({error.hint})" if error.hint else "")
    return None


def _section(
    entity: Entity, shape: Shape, references: Sequence[Reference], shapes: Mapping[TableName, Shape], wide: Wide
) -> Iterator[str]:
    key = entity.key or shape.primary_key
    rows = f"about {shape.estimated_rows} rows, " if shape.estimated_rows > 0 else ""
    yield f"[entities.{entity.name}]"
    yield f"# {rows}key: {comment(', '.join(key))}"
    yield f"table = {text(str(shape.table))}"
    yield f"collection = {text(entity.name)}"
    if shape.row_security:
        yield "# row security is on: the worker's role needs BYPASSRLS, or it would take hidden rows for deleted"
    yield from entity_lines(entity, shape, wide)
    secret = [column.name for column in shape.columns if _SECRET.search(column.name) and column.name not in key]
    if secret:
        yield f"# exclude = {array(secret)}  # a secret that nobody reads in the target need not be there"
    for embed in suggest_embeds(entity, shape, references, shapes, wide):
        yield from (f"# {line}" for line in embed_lines(entity, embed, shapes[embed.table], wide))


def _name(table: TableName, names: set[str]) -> str:
    """Name an entity after its table, with the schema where that is needed."""
    plain = re.sub(r"\W", "_", table.name, flags=re.ASCII)
    plain = plain if re.match("[A-Za-z]", plain) else f"t{plain}"
    for candidate in (plain[:40], f"{table.schema}_{plain}"[:40], *(f"{plain[:36]}_{n}" for n in range(2, 1000))):
        if candidate not in names and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", candidate):
            names.add(candidate)
            return candidate
    raise MappingError(f"no name is left for {table}")
