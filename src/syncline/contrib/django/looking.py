"""Looks at each statement that Django is about to send, and keeps a ledger of each ``atomic`` block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connections
from psycopg import sql as composed

from syncline.contrib.django.database_settings import alias_of
from syncline.contrib.django.router import configured
from syncline.contrib.django.staying import begun, is_idle
from syncline.split.routing import Ledger
from syncline.split.statements import Placeholders

_LEDGER = "_syncline_ledger"


def watch(connection: Any, **_: Any) -> None:
    """Have a connection's statements looked at; for the signal ``connection_created``."""
    if connection.vendor == "postgresql" and look not in connection.execute_wrappers:
        connection.execute_wrappers.append(look)


def look(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Look at a statement, then run it.

    Raises:
        RoutingError: it belongs to another database, to several, or its transaction has written to another one.

    """
    databases, connection = configured(), context["connection"]
    own, others = _ledger(connection), set[str]()
    for other in connections.all(initialized_only=True):
        if other is not connection and _transaction(other) is not None:
            others |= _ledger(other).changed
    together = Ledger(own.changed | others)
    text = sql.as_string(connection.connection) if isinstance(sql, composed.Composable) else str(sql)
    style = Placeholders.NONE if params is None and not many else Placeholders.PERCENT
    name = _name(databases, connection.alias)
    if name is not None and databases.split:
        name = _moving(databases, name, text, style, begun(connection))
    verdict = databases.routing.look(text, style, database=name, ledger=together)
    own.changed |= verdict.changed
    return execute(sql, params, many, context)


def _name(databases: Any, alias: str) -> str | None:
    if not databases.split and alias == "default":
        return None
    return next((each.name for each in databases if alias_of(databases, each.name) == alias), None)


def _moving(databases: Any, name: str, text: str, style: Placeholders, stay: set[str]) -> str:
    """Give the database whose tables a statement names, where this one serves them while they move, or did."""
    here = {each.name for each in databases if each.name != name and databases.serving(each.name) == name}
    here |= stay - {name}
    return min(here & databases.routing.verdict(text, style).owners, default=name) if here else name


def _ledger(connection: Any) -> Ledger:
    """Give the ledger of a connection's transaction: a fresh one where another has begun."""
    transaction = _transaction(connection)
    known, ledger = getattr(connection, _LEDGER, (None, None))
    if ledger is None or transaction is None or transaction != known or is_idle(connection):
        ledger = Ledger()
        setattr(connection, _LEDGER, (transaction, ledger))
    return ledger


def _transaction(connection: Any) -> tuple[int, str | None] | None:
    """Tell transactions apart; those of a ``TestCase`` are not the application's."""
    for place, block in enumerate(connection.atomic_blocks):
        if not block._from_testcase:  # noqa: SLF001  as Django's own ``durable`` does
            return id(block), connection.savepoint_ids[place - 1] if place else None
    return None
