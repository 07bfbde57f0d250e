"""The target's part of a copy: which ranges are done, and what its tables are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from syncline.engines.postgres.copying import select
from syncline.engines.postgres.copying.copies import PACKAGE
from syncline.engines.postgres.copying.types import NONE, signatures
from syncline.engines.postgres.target import gates
from syncline.engines.postgres.target.session import Connection, first_line, translated
from syncline.engines.postgres.target.tables import Table, describe
from syncline.errors import CopyError, PrivilegeError, UnsuitableTargetError
from syncline.model.entity import TableName
from syncline.ports import Plan
from syncline.ports.copying import Bounds, Copy, Destination, Range
from syncline.postgres.connection import Connection as Source
from syncline.postgres.connection import translated as source_translated
from syncline.postgres.sql import blocks


def block(name: str, schema: str) -> sql.Composed:
    """Give a statement on our own table in the target."""
    return sql.SQL(blocks("target.sql", PACKAGE)[name]).format(schema=sql.Identifier(schema))


class SqlRanges:
    """See ``syncline.ports.copying.Ranges``.

    Args:
        connection: to the target, ours alone (``target.session.connect``).
        source: to the source, to see its types.
        schema: ours, in the target.
        link: whose writes these are, for the capture of its way back.

    """

    def __init__(self, connection: Connection, source: Source, schema: str, *, link: str = "syncline") -> None:
        self.schema, self._link = schema, link
        self.tables: dict[int, Table] = {}
        self.binary: set[int] = set()
        """Entities whose values travel in binary form."""
        self._connection, self._source = connection, source
        self._admission = ""
        """What the gates said before this copy began."""

    async def _run(self, name: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        with translated():
            cursor = await self._connection.execute(block(name, self.schema), values)
            return await cursor.fetchall() if cursor.description else []

    async def prepare(self) -> None:
        """Create our table; see that no other copy runs."""
        ((mine,),) = await self._run("turn", {"schema": self.schema})
        if not mine:
            who = await self._run("holder", {"schema": self.schema})
            where = f" (backend {who[0][0]} of the target)" if who else ""
            raise CopyError(
                f"another `syncline copy` is at work on this target{where}",
                hint="wait for it; what a dead one has left is free as soon as the target has noticed",
            )
        with translated():
            self._admission = (await gates.read(self._connection)).admission
        name = sql.SQL("{}.copy_range").format(sql.Identifier(self.schema)).as_string(self._connection)
        ((there,),) = await self._run("exists", {"table": name})
        if there:
            return
        try:
            async with self._connection.transaction():
                await self._connection.execute(block("schema", self.schema))
                await self._connection.execute(block("table", self.schema))
        except psycopg.errors.InsufficientPrivilege as error:
            raise PrivilegeError(
                f"{self.schema}.copy_range cannot be created in the target: {first_line(error)}",
                hint="grant CREATE on the database to the role of [target], or give it a schema of that name",
            ) from error

    async def describe(self, plan: Plan) -> Destination:
        """Look at the target's table, and whether both sides' types have one binary form."""
        name = TableName.parse(plan.entity.collection)
        with translated():
            table = await describe(self._connection, name, plan.projection.codec.names)
        self.tables[plan.id] = table
        fields = select.fields_of(plan, table)
        if missing := [n for n in table.key if n not in {field.column for field in fields}]:
            raise UnsuitableTargetError(f"the key of {name} in the target has a column that is computed: {missing[0]}")
        why = await self._why_text(plan, table, fields)
        if not why:
            self.binary.add(plan.id)
        parents = frozenset(str(one.parent) for one in table.parents)
        children = frozenset(str(one.child) for one in table.children)
        return Destination(str(name), parents, children, not why, why)

    async def _why_text(self, plan: Plan, table: Table, fields: Sequence[select.Field]) -> str:
        with source_translated():
            here = await _forms(self._source, select.rows_of(plan, fields, None))
        with translated():
            there = await _forms(self._connection, select.types_written(table, fields))
        for field, one, other in zip(fields, here, there, strict=True):
            if NONE in {one, other}:
                return f"column {field.column}: its type has no binary form that means the same in two databases"
            if one != other:
                return f"column {field.column}: {one} here, {other} there"
        return ""

    async def of(self, copy: Copy) -> list[Range]:
        """List the ranges of a copy."""
        rows = await self._run("ranges", {"copy": copy.id})
        return [Range(id_, number, _bounds(*bounds), done, count) for id_, number, bounds, done, count in rows]

    async def is_empty(self, plan: Plan) -> bool:
        """Tell whether the target's table has no row."""
        with translated():
            row = await (await self._connection.execute(select.empty(self.tables[plan.id]))).fetchone()
        return bool(row and row[0])

    async def require_unreferred(self, plans: Sequence[Plan]) -> None:
        """See that no row of another table refers to one of these."""
        tables = [self.tables[plan.id] for plan in plans]
        mine = {table.name for table in tables}
        referring = set()
        for one in [one for table in tables for one in table.children if one.child not in mine]:
            with translated():
                row = await (await self._connection.execute(select.refers(one))).fetchone()
            if row and row[0]:
                referring.add(str(one.child))
        if referring:
            raise CopyError(
                f"rows of {', '.join(sorted(referring))} in the target refer to what is to be deleted there",
                hint="`syncline copy --replace` with their entities as well; or empty them, or drop the foreign key",
            )

    async def lay(self, copies: Sequence[tuple[Copy, Plan, Sequence[Bounds]]], *, replace: bool) -> None:
        """Remember the ranges of copies."""
        with translated():
            async with self._connection.transaction():
                await self._run("tag", {"link": self._link, "admission": self._admission})
                if replace:
                    await self._lock_against_references([plan for _, plan, _ in copies])
                for copy, plan, bounds in copies:
                    await self._run("forget", {"entity": plan.id})
                    if replace:
                        await self._connection.execute(select.clear(self.tables[plan.id]))
                    texts = Jsonb([[one.after, one.until] for one in bounds])
                    await self._run("lay", {"copy": copy.id, "entity": plan.id, "bounds": texts})

    async def _lock_against_references(self, plans: Sequence[Plan]) -> None:
        """Keep other tables' rows from coming to refer to these, as a worker may write them; then look once more."""
        for plan in plans:
            await self._connection.execute(select.lock(self.tables[plan.id]))
        await self.require_unreferred(plans)

    async def forget(self, copy: Copy) -> None:
        """Forget the ranges of a copy."""
        await self._run("forget_copy", {"copy": copy.id})


def _bounds(after: list[str] | None, until: list[str] | None) -> Bounds:
    return Bounds(None if after is None else tuple(after), None if until is None else tuple(until))


async def _forms(connection: psycopg.AsyncConnection[Any], query: sql.Composed) -> list[str]:
    """Describe the types of a query's columns; a domain's is its base type's there."""
    cursor = await connection.execute(query)
    oids = [column.type_code for column in cursor.description or ()]
    known = await signatures(connection, oids)
    return [known.get(oid, NONE) for oid in oids]
