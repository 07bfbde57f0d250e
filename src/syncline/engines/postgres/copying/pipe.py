"""Rows as bytes, from one server's COPY into another's: nothing is decoded, and no more is held than a chunk.

The loop works on libpq's calls. psycopg's own iterators do the same, with some microseconds of Python for each row.
"""

from __future__ import annotations

import select
from typing import Any, NoReturn

import psycopg
from psycopg import errors
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from syncline.ports.copying import Tell

CHUNK = 32 * 1024
"""Bytes that are handed on together: the sockets' own buffers keep both servers at work meanwhile."""
LOOK_SECONDS = 0.25
"""How often a pipe that waits looks whether it is to stop."""

Connection = psycopg.Connection[Any]


def pour(source: Connection, read: bytes, target: Connection, write: bytes, tell: Tell) -> tuple[int, int]:
    """Run a COPY TO STDOUT and a COPY FROM STDIN, and hand everything on; rows and bytes.

    Args:
        source: where ``read`` is executed.
        read: COPY … TO STDOUT.
        target: where ``write`` is executed, in a transaction of the caller.
        write: COPY … FROM STDIN of the same format.
        tell: told how much has passed; what it raises ends both.

    Raises:
        psycopg.Error: of either side; ``is_of_target`` tells which.

    """
    _begin(target, write, ExecStatus.COPY_IN, of_target=True)
    try:
        _begin(source, read, ExecStatus.COPY_OUT, of_target=False)
        size = _hand_on(source.pgconn, target.pgconn, tell)
        _finish(source, of_target=False)
    except BaseException:
        _abandon(target)
        raise
    target.pgconn.put_copy_end()
    _flush(target.pgconn, tell)
    return _finish(target, of_target=True, tell=tell), size


def is_of_target(error: psycopg.Error) -> bool:
    """Tell on which side it was raised."""
    return bool(getattr(error, "of_target", False))


def _begin(connection: Connection, statement: bytes, wanted: ExecStatus, *, of_target: bool) -> None:
    result = connection.pgconn.exec_(statement)
    if result.status != wanted:
        _fail(connection, result, of_target=of_target)


def _hand_on(out: PGconn, into: PGconn, tell: Tell) -> int:
    get, put = out.get_copy_data, into.put_copy_data
    passed = size = 0
    parts: list[Any] = []
    append = parts.append
    poll = select.poll()
    poll.register(out.socket, select.POLLIN)
    before = -1
    while True:
        count, data = get(1)
        if count > 0:
            append(data)
            size += count
            if size < CHUNK:
                continue
        elif count == 0:
            # Only where the last look has brought nothing: mostly there is something, and the call is saved.
            if len(parts) == before and not poll.poll(LOOK_SECONDS * 1000):
                tell(0, 0)
            before = len(parts)
            out.consume_input()
            continue
        if parts:
            put(b"".join(parts))
            rows = len(parts)
            parts.clear()
            before = -1
            _flush(into, tell)
            tell(rows, size)
            passed += size
            size = 0
        if count < 0:
            return passed


def _flush(into: PGconn, tell: Tell) -> None:
    """Wait until the server has taken everything; what it says meanwhile is taken in, or both would wait."""
    while into.flush():
        poll = select.poll()
        poll.register(into.socket, select.POLLIN | select.POLLOUT)
        ready = poll.poll(LOOK_SECONDS * 1000)
        if not ready:
            tell(0, 0)
        elif ready[0][1] & ~select.POLLOUT:
            into.consume_input()


def _finish(connection: Connection, *, of_target: bool, tell: Tell | None = None) -> int:
    """Take the answer to a COPY; the number of rows."""
    pgconn = connection.pgconn
    poll = select.poll()
    poll.register(pgconn.socket, select.POLLIN)
    rows = 0
    failed: PGresult | None = None
    while True:
        while pgconn.is_busy():
            if not poll.poll(LOOK_SECONDS * 1000) and tell is not None:
                tell(0, 0)
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            break
        if result.status == ExecStatus.COMMAND_OK:
            rows = result.command_tuples or 0
        else:
            failed = failed or result
            if result.status in {ExecStatus.COPY_IN, ExecStatus.COPY_OUT}:
                break  # a statement that has not ended: the connection is of no use any more
    if failed is not None:
        _fail(connection, failed, of_target=of_target)
    return rows


def _abandon(target: Connection) -> None:
    """End a COPY so that nothing of it stays; a connection that does not take that is closed by the caller."""
    try:
        target.pgconn.put_copy_end(b"the copy was stopped")
        _flush(target.pgconn, lambda _rows, _bytes: None)
        while target.pgconn.get_result() is not None:
            pass
    except psycopg.Error:
        target.close()


def _fail(connection: Connection, result: PGresult, *, of_target: bool) -> NoReturn:
    error = errors.error_from_result(result, encoding="utf-8")
    error.of_target = of_target  # type: ignore[attr-defined]
    if connection.pgconn.transaction_status == 1:  # active: it cannot be used for anything else
        connection.close()
    raise error
