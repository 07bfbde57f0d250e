"""A first ``syncline.toml`` for a database: each table with its key; as comments, what cannot be synced and why."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syncline.errors import MappingError
from syncline.insight import reach
from syncline.model.entity import Entity, Shape, TableName
from syncline.model.keys import choose_key
from syncline.model.types import default_reading
from syncline.outbox.catalog import read_shapes
from syncline.outbox.connection import Connection
from syncline.outbox.dialect import Dialect, dialect_of

_BOOKKEEPING = frozenset(
    {"alembic_version", "django_migrations", "schema_migrations", "flyway_schema_history", "spatial_ref_sys"}
)
_SECRET = re.compile(r"password|passwd|secret|token|api_?key|private_?key", re.IGNORECASE)
_KINDS = {"v": "a view", "m": "a materialised view", "f": "a foreign table"}

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
# keep = "7d"                 # applied changes in the view syncline."Outbox"; "off" is the fastest
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

    def as_dict(self) -> dict[str, Any]:
        """Give the form that goes over the wire."""
        return {
            "source": self.source,
            "entities": [{"name": n, "table": str(t), "key": list(key)} for n, (t, key) in self.entities.items()],
            "left_out": [{"table": str(table), "reason": reason} for table, reason in self.left_out.items()],
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key."""

    child: TableName
    columns: tuple[str, ...]
    parent: TableName
    refers_to: tuple[str, ...]


async def propose(connection: Connection, schemas: Sequence[str] | None = None, *, target: str = "") -> Proposal:
    """Look at a database and write a configuration for it.

    Args:
        connection: to the source.
        schemas: only tables of these; ``None``: of all but the system's and our own.
        target: name of the target's database; by default that of the source's.

    """
    shapes = await read_shapes(connection, schemas)
    references = [_reference(row) for row in await reach.rows(connection, "foreign_keys")]
    dialect = dialect_of(connection)
    return compose(connection.info.dbname, shapes, references, target=target, source=dialect.value)


def compose(
    database: str,
    shapes: Iterable[Shape],
    references: Sequence[Reference],
    *,
    target: str = "",
    source: str = Dialect.POSTGRESQL.value,
) -> Proposal:
    """Write the configuration for these tables."""
    kind = "" if source == Dialect.POSTGRESQL.value else f"name = {_text(source)}\n"
    parts = [_HEAD.format(database=_plain(database), quoted=_text(target or database), source=kind)]
    names: set[str] = set()
    entities: dict[str, tuple[TableName, tuple[str, ...]]] = {}
    left_out: dict[TableName, str] = {}
    for shape in shapes:
        reason = _reason(shape)
        if reason is None:
            name = _name(shape.table, names)
            entities[name] = shape.table, _key(shape)
            parts.append("\n".join(_entity(shape, name, references)) + "\n")
        elif not shape.is_partition and not _ours(shape):
            left_out[shape.table] = _plain(reason)
    if left_out:
        lines = (f"# {_plain(str(table))}: {reason}\n" for table, reason in left_out.items())
        parts.append("# Not synced:\n" + "".join(lines))
    return Proposal("\n".join(parts), source, entities, left_out)


def _reference(row: Mapping[str, Any]) -> Reference:
    child, parent = TableName(row["child_schema"], row["child"]), TableName(row["parent_schema"], row["parent"])
    return Reference(child, tuple(row["columns"]), parent, tuple(row["refers_to"]))


def _ours(shape: Shape) -> bool:
    return shape.kind == "v" and shape.table.name == "Outbox"


def _reason(shape: Shape) -> str | None:
    """Say why a table is left out; ``None`` when it need not be."""
    if shape.is_partition:
        return "a partition; its parent is synced"
    if shape.kind in _KINDS:
        return f"{_KINDS[shape.kind]}; sync the tables behind it"
    if shape.table.name in _BOOKKEEPING:
        return "bookkeeping of a tool"
    try:
        _key(shape)
    except MappingError as error:
        return f"{error.message.partition(': ')[2] or error.message}" + (f" ({error.hint})" if error.hint else "")
    return None


def _key(shape: Shape) -> tuple[str, ...]:
    """Choose the key: the primary key, else the first unique one that can be."""
    entity = Entity("it", shape.table, "it")
    try:
        return tuple(column.name for column in choose_key(entity, shape))
    except MappingError:
        for unique in shape.unique_keys:
            try:
                return tuple(c.name for c in choose_key(Entity("it", shape.table, "it", key=unique), shape))
            except MappingError:
                continue
        raise


def _entity(shape: Shape, name: str, references: Sequence[Reference]) -> Iterator[str]:
    key = _key(shape)
    rows = f"about {shape.estimated_rows} rows, " if shape.estimated_rows > 0 else ""
    yield f"[entities.{name}]"
    yield f"# {rows}key: {_plain(', '.join(key))}"
    yield f"table = {_text(str(shape.table))}"
    yield f"collection = {_text(name)}"
    if key != shape.primary_key:
        yield f"key = {_list(key)}  # the primary key cannot be one: its equality is not equality of text"
    if shape.row_security:
        yield "# row security is on: the worker's role needs BYPASSRLS, or it would take hidden rows for deleted"
    strange = [column for column in shape.columns if default_reading(column) is None]
    if strange:
        pairs = ", ".join(f'{_bare(column.name)} = "text"' for column in strange)
        kinds = ", ".join(column.type for column in strange)
        yield f"types = {{ {pairs} }}  # {_plain(kinds)}: no form of their own in documents"
    secret = [column.name for column in shape.columns if _SECRET.search(column.name) and column.name not in key]
    if secret:
        yield f"# exclude = {_list(secret)}  # a secret that nobody reads in the target need not be there"
    yield from _embeds(shape, name, key, references)


def _embeds(shape: Shape, name: str, key: tuple[str, ...], references: Sequence[Reference]) -> Iterator[str]:
    """Suggest the tables that refer to this one as arrays in its documents."""
    taken: set[str] = set()
    for reference in references:
        if reference.parent != shape.table or reference.child == shape.table or set(reference.refers_to) != set(key):
            continue
        child = reference.child.name
        field = "_".join((child, *reference.columns)) if child in taken else child
        taken.add(field)
        column_of = dict(zip(reference.refers_to, reference.columns, strict=True))
        yield f"# [entities.{name}.embed.{_bare(field)}]  # its rows as an array in each document (few per parent)"
        yield f"# table = {_text(str(reference.child))}"
        yield f"# on = {_list([column_of[column] for column in key])}"


def _name(table: TableName, names: set[str]) -> str:
    """Name an entity after its table, with the schema where that is needed."""
    plain = re.sub(r"\W", "_", table.name, flags=re.ASCII)
    plain = plain if re.match("[A-Za-z]", plain) else f"t{plain}"
    for candidate in (plain[:40], f"{table.schema}_{plain}"[:40], *(f"{plain[:36]}_{n}" for n in range(2, 1000))):
        if candidate not in names and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", candidate):
            names.add(candidate)
            return candidate
    raise MappingError(f"no name is left for {table}")


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _list(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _bare(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _plain(text: str) -> str:
    """Keep a comment on its line."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text)
