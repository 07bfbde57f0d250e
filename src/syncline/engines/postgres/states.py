"""Reading records as they now are, by key: what every write to the target is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from psycopg import sql

from syncline.engines.postgres.projection_sql import embed_query, state_query, together_query
from syncline.errors import SourceError
from syncline.model.entity import Entity, Shape, TableName
from syncline.model.mapping import Row
from syncline.model.mark import Mark, most_blocks, there_may_be_more
from syncline.model.projections import projection_of, served
from syncline.ports import Plan as Plan  # noqa: PLC0414  for the relay, for now
from syncline.ports import States as States  # noqa: PLC0414
from syncline.postgres.arrays import texts
from syncline.postgres.connection import Connection, begin, translated
from syncline.postgres.dialect import dialect_of, statements
from syncline.postgres.loaders import fetch_rows
from syncline.postgres.sql import identifier

Query = str
MARK_COLUMNS = 7
"""Columns of ``read_marks``."""


@dataclass(frozen=True, slots=True)
class Queries:
    """The statements that read an entity's states."""

    by_key: Query
    embeds: tuple[Query, ...]
    together: Query | None
    """Reads marks and states at once; ``None`` for composite keys and embedded rows."""


def queries_of(plan: Plan) -> Queries:
    """Give the statements of a plan that ``compile_plan`` has made."""
    queries: Queries = plan.statements
    return queries


def compile_plan(
    entity_id: int,
    entity: Entity,
    shape: Shape,
    children: Mapping[TableName, Shape],
    *,
    context: Connection,
    path: str | None = None,
) -> Plan:
    """Compile an entity against its tables; ``path`` is the ``search_path`` of its SQL.

    Raises:
        MappingError: it does not fit them.

    """
    projection = projection_of(entity, shape, children, path=path)
    key_function = identifier(f"key_{entity_id}")

    def text(query: sql.Composed) -> Query:
        return query.as_string(context)

    marks = sql.SQL(statements("queries.sql", dialect_of(context))["read_marks"])
    together = together_query(projection, key_function, entity=entity_id, marks=marks)
    queries = Queries(
        text(state_query(projection, key_function)),
        tuple(text(embed_query(embed, key_function)) for embed in projection.embeds),
        None if together is None else text(together),
    )
    return Plan(entity_id, served(projection), projection, queries)


async def read_states(connection: Connection, plan: Plan, keys: Sequence[str]) -> States:
    """Read the records of these keys; parent and children in one snapshot.

    Keys without a row are absent from the result: deleted, never there, or outside the entity's filter.

    Raises:
        KeyFormatError: a text is not a key of this entity.
        SourceUnavailableError: the source cannot be reached.

    """
    if not plan.projection.embeds:
        return await read_states_within(connection, plan, keys)
    with translated():
        async with snapshot(connection):
            return await read_states_within(connection, plan, keys)


async def read_states_within(connection: Connection, plan: Plan, keys: Sequence[str]) -> States:
    """Read like ``read_states``, in the caller's ``snapshot``."""
    parameters = [texts(column) for column in plan.projection.codec.parameters(keys)]
    queries = queries_of(plan)
    with translated():
        rows = await _fetch(connection, queries.by_key, parameters)
        return States(plan, rows, [await _fetch(connection, query, parameters) for query in queries.embeds])


async def read_together(connection: Connection, plan: Plan, values: Mapping[str, Any]) -> tuple[list[Mark], States]:
    """Read marks, and in the same statement the states of those of one entity.

    Args:
        connection: to the source.
        plan: the entity; it has a statement for this.
        values: the parameters of ``read_marks``.

    Raises:
        KeyFormatError: a text is not a key of this entity.
        SourceError: a record cannot be read, or more than one row has its key.

    """
    together = queries_of(plan).together
    assert together is not None  # noqa: S101  the caller has looked
    with translated():
        async with connection.cursor(binary=True) as cursor:
            await cursor.execute(together, values)
            found = await fetch_rows(cursor)
    marks = as_marks([row[:MARK_COLUMNS] for row in found], values["limit"])
    if len({mark[0] for mark in marks}) < len(marks):
        raise SourceError(f"entity {plan.name}: more than one row has a key")
    plan.projection.codec.parameters([mark[3] for mark in marks if mark[2] == plan.id and mark[6] is None])
    rows = {row[-1]: row[MARK_COLUMNS:] for row in found if row[-1] is not None}
    return marks, States(plan, list(rows.values()), ())


def marks_wanted(*, after: int, lanes: int, limit: int, without: Sequence[int]) -> dict[str, Any]:
    """Give the parameters of ``read_marks``."""
    return {"after": after, "lanes": lanes, "limit": limit, "except": list(without), "blocks": most_blocks(limit)}


def as_marks(rows: list[Row], limit: int) -> list[Mark]:
    """Make marks of what ``read_marks`` has found: of rows and of blocks, each as far as there was room."""
    blocks = [row for row in rows if row[6] is not None]
    if not blocks:
        return rows  # type: ignore[return-value]  # they have Mark's layout
    ends = [blocks[-1][0]] if there_may_be_more(blocks, limit) else []  # type: ignore[arg-type]  # likewise
    if len(rows) - len(blocks) >= limit:
        ends.append(next(row[0] for row in reversed(rows) if row[6] is None))
    end = min(ends, default=rows[-1][0])  # beyond it there may be others between them
    return [row if row[6] is None else Mark._make((*row[:3], "", *row[4:], True)) for row in rows if row[0] <= end]  # type: ignore[misc]


async def read_page(connection: Connection, plan: Plan, query: Query, keys: Sequence[str], limit: int) -> States:
    """Read records by a statement of ``range_query``, whose bounds are these key texts, with their children."""
    codec = plan.projection.codec
    with translated():
        rows = await _fetch(connection, query, [*(text for key in keys for text in codec.parse(key)), limit])
        embeds = queries_of(plan).embeds
        if not embeds:
            return States(plan, rows, ())
        parameters = [texts(column) for column in codec.parameters([row[-1] for row in rows])]
        return States(plan, rows, [await _fetch(connection, embed, parameters) for embed in embeds])


class snapshot:  # noqa: N801  reads as a verb at the place of use
    """A read-only transaction whose statements all see the same state.

    Written out because ``connection.transaction()`` would take the level of the connection, not one of its own.
    """

    begin: sql.SQL | sql.Composed = sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def __aenter__(self) -> None:
        await begin(self._connection, self.begin)

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if not self._connection.closed:
            await self._connection.execute("COMMIT" if kind is None else "ROLLBACK")


class as_of(snapshot):  # noqa: N801  reads as a preposition at the place of use
    """A snapshot of the past, on CockroachDB.

    Args:
        connection: to a cluster.
        when: how long ago (``-500ms``), or a time as ``cluster_logical_timestamp()`` gives it; ``None``: now.

    """

    def __init__(self, connection: Connection, when: Decimal | str | None) -> None:
        super().__init__(connection)
        if when is not None:
            # A constant in the statement's text: placeholders are not allowed there.
            self.begin = sql.SQL("BEGIN AS OF SYSTEM TIME {}").format(sql.Literal(when))


async def _fetch(connection: Connection, query: Query, parameters: Iterable[Any]) -> list[Row]:
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(query, tuple(parameters))
        return await fetch_rows(cursor)
