"""A table as verification sees it: hashes that the server computes, and rows with what tells one write from another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from psycopg import sql

from syncline.engines.postgres.projection_sql import commas, named, table_of, type_of
from syncline.engines.postgres.row_hash import row_hash, row_sum
from syncline.engines.postgres.target import statements
from syncline.engines.postgres.target.changes import Value, key_texts
from syncline.engines.postgres.target.tables import Column, Table
from syncline.engines.postgres.target.target import SqlTarget
from syncline.model.entity import Entity
from syncline.ports import Beat, Documents, Plan, Stored, Stretch, Sum, TargetDigests

SORTED = frozenset(
    {"bool", "bytea", "date", "int2", "int4", "int8", "numeric", "oid", "time", "timestamp", "timestamptz", "uuid"}
)
"""Key types that every server sorts alike: no collation has a say."""
INTEGERS = frozenset({"smallint", "integer", "bigint"})


class SqlInspection:
    """See ``syncline.ports.Inspection``."""

    has_tickets = False
    """``xmin`` stands for them: see ``confirmed``."""
    documents: Documents | None = None

    def __init__(self, target: SqlTarget) -> None:
        self._target = target
        self.digests: TargetDigests | None = SqlTargetDigests(target)

    async def lane_epochs(self) -> dict[int, int]:
        """Read the highest epoch that each lane has announced."""
        return await self._target.lane_epochs()

    async def owner(self) -> Beat | None:
        """Tell whose copy this is."""
        return await self._target.read_beat()

    async def confirmed(self, plan: Plan, ids: Sequence[Any]) -> list[Stored]:
        """Read rows by key, with the transaction that wrote each and its place.

        Every write makes another version of the row: a row that was changed and changed back differs in one of them.
        Sessions lead to a primary, which sees every commit that it has acknowledged.
        """
        if not ids:
            return []
        table = await self._target.table_of(plan.entity)
        names = [table.column(name).name for name in plan.projection.names]
        query = statements.read(table, names, more=commas([_key_of(table), _VERSION]))
        rows = await self._target.texts(query, key_texts([[id_[name] for name in table.key] for id_ in ids]))
        found = []
        for row in rows:
            id_ = dict(zip(table.key, row[len(names) :], strict=False))
            found.append(Stored(id_, repr(row).encode(), dict(zip(names, row, strict=False))))
        return found

    async def walk_ids(
        self, entity: Entity, *, size: int = 2000, after: tuple[Any] | None = None
    ) -> AsyncIterator[list[Any]]:
        """Walk every key, or those after one."""
        start = None if after is None else after[0]
        async for page in self._target.walk(entity, after=start, size=size, resume=after is not None):
            yield [one["_id"] for one in page]

    async def sample_ids(self, entity: Entity, size: int) -> list[Any]:
        """Choose keys of random blocks, of all where that gives too few."""
        table = await self._target.table_of(entity)
        for part in (sql.SQL(" TABLESAMPLE SYSTEM (10)"), sql.SQL("")):
            query = sql.SQL("/* syncline: keys */ SELECT {} FROM {} AS t{} ORDER BY pg_catalog.random() LIMIT %s")
            rows = await self._target.texts(query.format(_key_of(table), table_of(table.name), part), [size])
            if len(rows) == size:
                break
        return [dict(zip(table.key, row, strict=True)) for row in rows]

    async def release(self, entity: Entity, seen: Sequence[Mapping[str, Any]]) -> list[bool]:  # noqa: ARG002
        """Do nothing: no row's version keeps a newer state out."""
        return [True for _ in seen]


_VERSION = sql.SQL("t.xmin::text, t.ctid::text, t.tableoid::text")


class SqlTargetDigests:
    """See ``syncline.ports.TargetDigests``."""

    def __init__(self, target: SqlTarget) -> None:
        self._target = target

    async def orders_like(self, plan: Plan) -> bool:
        """Compare the types of the key's columns: those that no collation sorts."""
        table = await self._target.table_of(plan.entity)
        types = {column.name: column.type for column in table.columns}
        pairs = zip(plan.projection.key, plan.projection.codec.names, strict=True)
        return not plan.projection.shape.has_children and all(
            column.base in SORTED and _family(column.type) == _family(types.get(name, "")) for column, name in pairs
        )

    async def sum(self, plan: Plan, stretch: Stretch, *, keys_only: bool) -> Sum:
        """Sum up a stretch."""
        table = await self._target.table_of(plan.entity)
        text = sql.SQL("/* syncline: digest */ SELECT {} FROM {} AS t{}")
        where, values = _where(plan, table, stretch)
        query = text.format(row_sum(_hash(plan, table, keys_only=keys_only)), table_of(table.name), where)
        ((records, digest),) = await self._target.texts(query, values)
        return Sum(int(records or 0), int(digest or 0))

    async def hashes(self, plan: Plan, stretch: Stretch, *, keys_only: bool) -> list[tuple[Any, int]]:
        """Hash the rows of a stretch."""
        table = await self._target.table_of(plan.entity)
        where, values = _where(plan, table, stretch)
        return await self._hashes(plan, table, where, values, keys_only=keys_only)

    async def hashes_of(self, plan: Plan, keys: Sequence[str], *, keys_only: bool) -> list[tuple[Any, int]]:
        """Hash the rows of keys."""
        table = await self._target.table_of(plan.entity)
        ids = [plan.projection.codec.document_id(key) for key in keys]
        values = key_texts([[id_[name] for name in table.key] for id_ in ids])
        return await self._hashes(plan, table, statements.join_keys(table), values, keys_only=keys_only)

    async def _hashes(
        self, plan: Plan, table: Table, which: sql.Composable, values: Sequence[Any], *, keys_only: bool
    ) -> list[tuple[Any, int]]:
        query = sql.SQL("/* syncline: digest */ SELECT {}, {} FROM {} AS t{}").format(
            _key_of(table), _hash(plan, table, keys_only=keys_only), table_of(table.name), which
        )
        rows = await self._target.texts(query, values)
        return [(dict(zip(table.key, row, strict=False)), int(row[-1] or 0)) for row in rows]


def _key_of(table: Table) -> sql.Composed:
    """Compose the key as key texts have it: output functions write ``t`` for ``true``, and fill up ``char(n)``."""
    return commas([statements.as_text("t", name) for name in table.key])


def _hash(plan: Plan, table: Table, *, keys_only: bool) -> sql.Composed:
    names = plan.projection.codec.names if keys_only else plan.projection.names
    return row_hash([named("t", table.column(name).name) for name in names])


def _where(plan: Plan, table: Table, stretch: Stretch) -> tuple[sql.Composable, list[Value]]:
    codec = plan.projection.codec
    columns = [table.column(name) for name in codec.names]
    parts, values = [], list[Value]()
    for key, operator in ((stretch.first, ">" if stretch.passed else ">="), (stretch.end, "<")):
        if key is not None:
            parts.append(_bound(columns, operator))
            values += codec.parse(key)
    return (sql.SQL(" WHERE ") + sql.SQL(" AND ").join(parts) if parts else sql.SQL("")), values


def _bound(columns: Sequence[Column], operator: str) -> sql.Composed:
    names = sql.SQL(", ").join([named("t", column.name) for column in columns])
    values = sql.SQL(", ").join([sql.SQL("%s::text::{}").format(type_of(column.type)) for column in columns])
    return sql.SQL("({}) {} ({})").format(names, sql.SQL(operator), values)


def _family(type_: str) -> str:
    name = type_.partition("(")[0]
    return "integer" if name in INTEGERS else name
