"""The side on which a transaction has begun: it stays there, also where its tables change sides meanwhile.

Otherwise what it does next would go to the other side, outside of it, and stay when it is rolled back. On the side of
before the gate refuses its writes, and the whole of it is run again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db import connections
from psycopg.pq import TransactionStatus

_BEGUN = "_syncline_begun"


class _Begun(NamedTuple):
    block: Any
    """The outermost ``atomic``."""
    names: set[str]
    kept: bool
    """It was noted before the first statement."""


def begun(connection: Any) -> set[str]:
    """Name the databases for whose tables a connection's transaction has been used; none outside of one."""
    if (block := outermost(connection)) is None:
        return set()
    known: _Begun | None = getattr(connection, _BEGUN, None)
    if known is None or known.block is not block or (is_idle(connection) and not known.kept):
        known = _note(connection, _Begun(block, set(), kept=False))
    return known.names


def begin(connection: Any, name: str) -> None:
    """Note for what a transaction that has just begun is."""
    _note(connection, _Begun(outermost(connection), {name}, kept=True))


def stays(name: str, aliases: list[str]) -> str | None:
    """Give the alias on which a transaction has begun for a database's tables; ``None``: there is none."""
    opened = (one for one in connections.all(initialized_only=True) if one.alias in aliases)
    return next((one.alias for one in opened if name in begun(one)), None)


def outermost(connection: Any) -> Any:
    """Give the outermost ``atomic`` of a connection; that of a ``TestCase`` is not the application's."""
    blocks = (one for one in connection.atomic_blocks if not one._from_testcase)  # noqa: SLF001  as Django's own ``durable`` does
    return next(blocks, None)


def is_idle(connection: Any) -> bool:
    """Tell whether no statement has been sent in a connection's transaction yet."""
    opened = connection.connection
    return opened is not None and opened.info.transaction_status is TransactionStatus.IDLE


def _note(connection: Any, one: _Begun) -> _Begun:
    setattr(connection, _BEGUN, one)
    return one
