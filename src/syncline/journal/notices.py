"""Leaving a message for the operators."""

from __future__ import annotations

from syncline.model.notice import Notice
from syncline.postgres.connection import Connection, sayable, translated
from syncline.postgres.dialect import dialect_of, statements


async def leave_notice(
    connection: Connection, name: Notice, severity: str, message: str, *, entity: str | None = None
) -> None:
    """Leave a notice, once: one of a name is open for an entity, with the newest message."""
    queries = statements("queries.sql", dialect_of(connection))
    values = {"name": name, "severity": severity, "message": sayable(connection, message), "entity": entity}
    with translated():
        if entity is not None:
            await connection.execute(queries["notice_again"], values)
        await connection.execute(queries["notice"], values)
