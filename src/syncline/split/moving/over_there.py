"""A table on the other side: altered as it was here, and compared with what it is here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg

from syncline.errors import SchemaMoveError
from syncline.split.schema.definitions import Definition
from syncline.split.schema.target import target_sql

_THERE = ("42701", "42710", "42P07", "42P16", "42723")
"""What is to be made is there already: a run that was killed had done it."""


def shared(now: Definition, there: Definition | None) -> Definition:
    """Leave out of a table what the other side lacks: it came since this one was opened, and is yet to be followed."""
    if there is None:
        return now
    types = {one.name: one.type for one in there.table.columns}
    columns = tuple(replace(one, type=types[one.name]) for one in now.table.columns if one.name in types)
    # Whether it was rewritten is not known then: without its file, a default of a row's own stops the table.
    return now if columns == now.table.columns else replace(now, table=replace(now.table, columns=columns, file=None))


def alter(there: psycopg.Connection[Any], statements: Sequence[str]) -> None:
    """Alter a table over there, in one transaction; what is so already stays.

    Raises:
        SchemaMoveError: a statement is refused.

    """
    if not statements:
        return
    with there.transaction():
        there.execute(target_sql("making"), prepare=False)
        for statement in statements:
            try:
                with there.transaction():
                    there.execute(statement.encode(there.info.encoding), prepare=False)
            except psycopg.OperationalError:
                raise
            except psycopg.Error as error:
                if error.sqlstate not in _THERE:
                    more = (
                        f" ({'; '.join(error.diag.message_detail.splitlines()[:3])})"
                        if error.diag.message_detail
                        else ""
                    )
                    raise SchemaMoveError(f"{statement}: {error.diag.message_primary or error}{more}") from None
