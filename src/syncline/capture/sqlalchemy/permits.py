"""Which bulk statements are covered at present, and whether they kept to what was marked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import ExecutionContext

from syncline.capture.sqlalchemy.statements import Write
from syncline.errors import CaptureError
from syncline.model.entity import TableName


@dataclass(slots=True)
class Permit:
    """One UPDATE or DELETE of a table may run, and must change this many rows."""

    table: TableName
    rows: int
    running: ExecutionContext | None = None
    changed: int | None = None


class Permits:
    """Which statements are covered by ``mark_where`` at present, and whether they kept to it."""

    def __init__(self) -> None:
        """Begin with none."""
        self._open: WeakKeyDictionary[Connection, list[Permit]] = WeakKeyDictionary()
        self._broken: WeakKeyDictionary[Connection, str] = WeakKeyDictionary()

    def allow(self, connection: Connection, write: Write, context: ExecutionContext) -> bool:
        """Whether a permit covers the statement: one UPDATE or DELETE of its table."""
        for permit in self._open.get(connection, ()):
            fits = write.statement is not None and write.table == permit.table and not write.statement.is_insert
            if fits and permit.running in (None, context):
                permit.running = context
                return True
        return False

    def after_statement(
        self, connection: Connection, cursor: Any, _: str, __: Any, context: ExecutionContext, ___: bool
    ) -> None:
        """Compare what was changed with what was marked."""
        for permit in self._open.get(connection, ()):
            if permit.running is context and permit.changed is None:
                permit.changed = cursor.rowcount
                if permit.changed != permit.rows:
                    message = (
                        f"the statement changed {permit.changed} rows of {permit.table}, the condition of mark_where "
                        f"matched {permit.rows}"
                    )
                    self.break_(connection, message)
                    raise CaptureError(
                        message,
                        hint="give mark_where the statement's own condition; if rows came in between, retry",
                    )

    def before_commit(self, connection: Connection, *_: object) -> None:
        """Stop a transaction that holds changes without a mark."""
        message = self._broken.get(connection)
        if message is not None:
            raise CaptureError(f"{message}; this transaction must not commit", hint="roll back")

    def break_(self, connection: Connection, message: str) -> None:
        """Let this connection's transaction never commit."""
        self._broken[connection] = message

    @contextmanager
    def opened(self, connection: Connection, table: TableName, rows: int) -> Iterator[Permit]:
        """Permit one statement for the time of the block."""
        permit = Permit(table, rows)
        permits = self._open.setdefault(connection, [])
        permits.append(permit)
        try:
            yield permit
        finally:
            permits.remove(permit)
