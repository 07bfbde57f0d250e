"""The application's half of a trace: a transaction that writes says which span it belongs to."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from sqlalchemy import Connection

from syncline.capture.sqlalchemy.attach import Connections, Sessions
from syncline.capture.sqlalchemy.statements import may_write

SETTING = "syncline.traceparent"
_STATEMENT = f"/* syncline */ SELECT pg_catalog.set_config('{SETTING}', %s, true)"


def traceparent() -> str | None:
    """Write the current span's context as W3C ``traceparent``; ``None`` where there is none that is sampled.

    For writers without SQLAlchemy: ``SELECT set_config('syncline.traceparent', <it>, true)`` in the transaction.
    """
    context = trace.get_current_span().get_span_context()
    if not (context.is_valid and context.trace_flags.sampled):
        return None
    return f"00-{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}-01"


def attach_traces(sessions: Sessions) -> None:
    """Have transactions of these sessions tell their trace to Syncline, whatever captures the changes.

    It costs one small statement for each transaction that writes within a sampled span, and nothing for the others. It
    sets a variable of the transaction, which cannot fail; it has an effect where ``syncline tracing on`` was run.
    """
    _Traces().attach(sessions)


class _Traces:
    """Sets the variable before the first statement of a transaction that may write."""

    def __init__(self) -> None:
        self._connections = Connections(("before_cursor_execute", self._before_statement))

    def attach(self, sessions: Sessions) -> None:
        self._connections.attach(sessions)

    def _before_statement(
        self, connection: Connection, cursor: Any, statement: str, _: Any, __: Any, ___: bool
    ) -> None:
        del cursor
        transaction = connection.get_transaction()
        if transaction is None or connection.info.get(SETTING) is transaction or not may_write(statement):
            return
        if connection.dialect.name != "postgresql" or not self._connections.sessions(connection):
            return
        found = traceparent()
        if found is None:
            return
        own = connection.connection.cursor()
        try:
            own.execute(_STATEMENT, (found,))
        finally:
            own.close()
        connection.info[SETTING] = transaction
