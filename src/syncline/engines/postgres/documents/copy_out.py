"""What COPY TO STDOUT writes, as it comes: no value of it becomes an object of Python."""

from __future__ import annotations

from psycopg import errors, generators, sql, waiting
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn

from syncline.engines.postgres.target.session import Connection


async def copied_out(connection: Connection, statement: sql.Composed) -> bytes:
    """Run a COPY TO STDOUT, which has no parameters.

    Raises:
        psycopg.Error: the server refuses it.

    """
    async with connection.lock:
        return await connection.wait(_lines(connection.pgconn, statement.as_bytes(connection)))


def _lines(pgconn: PGconn, statement: bytes) -> PQGen[bytes]:
    """Do what ``cursor.copy()`` does, without its step through a generator for each row."""
    pgconn.send_query(statement)
    result = (yield from generators.execute(pgconn))[-1]
    if result.status != ExecStatus.COPY_OUT:
        raise errors.error_from_result(result, encoding="utf-8")
    parts = []
    while True:
        size, line = pgconn.get_copy_data(1)
        if size > 0:
            parts.append(line)
        elif size < 0:
            break
        else:
            while not (yield waiting.Wait.R):
                continue
            pgconn.consume_input()
    result = (yield from generators.fetch_many(pgconn))[-1]
    if result.status != ExecStatus.COMMAND_OK:
        raise errors.error_from_result(result, encoding="utf-8")
    return b"".join(parts)
