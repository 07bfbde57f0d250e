"""A condition that somebody adds to a backfill: checked before it is believed."""

from __future__ import annotations

import psycopg
from psycopg import sql

from syncline.errors import ConditionError
from syncline.ports import Plan
from syncline.postgres.connection import Connection, first_line, translated

_SHAPES = (
    "/* syncline */ EXPLAIN SELECT FROM {} WHERE ({})",
    "/* syncline */ EXPLAIN SELECT FROM {} WHERE CASE WHEN {} THEN true END",
)
"""What is no whole expression (``true) OR (true``) does not fit into both."""


_REFUSED = (
    psycopg.ProgrammingError,
    psycopg.DataError,
    psycopg.NotSupportedError,
    psycopg.errors.ProtocolViolation,  # a parameter ($1), which there is none for
)


async def check_condition(connection: Connection, plan: Plan, where: str) -> None:
    """Have the database parse a condition and plan with it; nothing is executed.

    Raises:
        ConditionError: it is no condition over this table.

    """
    table = plan.projection.shape.table
    name, condition = sql.Identifier(table.schema, table.name), sql.SQL(where + "\n")
    with translated():
        for shape in _SHAPES:
            try:
                async with connection.cursor(binary=True) as cursor:  # binary: one statement, and no parameters
                    await cursor.execute(sql.SQL(shape).format(name, condition))
            except psycopg.errors.InsufficientPrivilege:
                raise
            except _REFUSED as error:
                raise ConditionError(
                    f"the condition does not fit {table}: {first_line(error)}",
                    hint=f"--where takes what may stand after WHERE, over the columns of {table}",
                ) from error
