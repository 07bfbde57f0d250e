"""Explicit events: a mark with a name and a payload, written by the application in its own transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson
import psycopg
from psycopg.rows import tuple_row

from syncline.capture.key_values import key_texts
from syncline.errors import CaptureError, NotInstalledError, PrivilegeError, SynclineError
from syncline.model.link import entered, link_called
from syncline.postgres.sql import ours

if TYPE_CHECKING:
    from sqlalchemy import Connection as CoreConnection
    from sqlalchemy.ext.asyncio import AsyncConnection as AsyncCoreConnection
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session

Key = Any
"""The value of the key column; for a key of several columns a sequence, or a mapping of column to value."""

_FIND = "/* syncline */ SELECT id, key_columns, key_types FROM syncline.entity WHERE name = {}"
_OURS = MappingProxyType({"syncline": "marked: this is Syncline"})
_NAME = re.compile(r"[^\x00-\x20\x7f]{1,200}")


@dataclass(frozen=True, slots=True)
class _Event:
    entity: str
    type: str
    key: Key
    payload: str | None


def record(
    on: Session | CoreConnection | psycopg.Connection[Any],
    event: str,
    key: Key,
    payload: Any = None,
    *,
    entity: str | None = None,
    link: str = "",
) -> None:
    """Write an event into the outbox, in the transaction of ``on``: it is there if and only if that commits.

    The event also marks the record, so that its present state is applied. The payload is for people and for consumers
    of events (``"Outbox"`` in SQL); it is never taken for the state.

        record(session, "todo.completed", todo.id, {"by": user.email})

    Args:
        on: a SQLAlchemy session or connection, or a psycopg connection.
        event: its name; what stands before the first dot names the entity, unless ``entity`` does.
        key: the record's key: a value, or one for each column of the key. Flush first when the database makes it.
        payload: anything that JSON can hold, with dates, UUIDs and decimals.
        entity: name of the entity.
        link: of which link the outbox is; by default of the one without a name.

    Raises:
        CaptureError: the event's name or payload is not possible; nothing was sent.
        ConfigError: no link can be called so; nothing was sent.
        NotInstalledError: no such entity is installed.
        KeyFormatError: this cannot be a key of the entity; nothing was written.

    """
    event_ = _event(event, key, payload, entity)
    with entered(link_called(link)):
        if isinstance(on, psycopg.Connection):
            _record_psycopg(on, event_)
        else:
            _record_sqlalchemy(on, event_)


async def arecord(
    on: AsyncSession | AsyncCoreConnection | psycopg.AsyncConnection[Any],
    event: str,
    key: Key,
    payload: Any = None,
    *,
    entity: str | None = None,
    link: str = "",
) -> None:
    """Write an event into the outbox: ``record`` for async sessions and connections."""
    event_ = _event(event, key, payload, entity)
    with entered(link_called(link)):
        if isinstance(on, psycopg.AsyncConnection):
            await _arecord_psycopg(on, event_)
        else:
            await on.run_sync(_record_sqlalchemy, event_)


def _event(event: str, key: Key, payload: Any, entity: str | None) -> _Event:
    if _NAME.fullmatch(event) is None:
        raise CaptureError(
            f"{event!r} is not an event's name", hint='like "todo.completed": no spaces, 200 characters at most'
        )
    prefix, dot, _ = event.partition(".")
    if entity is None and not (prefix and dot):
        raise CaptureError(f"{event!r} names no entity", hint='like "todo.completed", or give entity="todo"')
    return _Event(entity or prefix, event, key, None if payload is None else _json(payload))


def _json(payload: Any) -> str:
    try:
        text = orjson.dumps(payload, default=_plain).decode()
    except (TypeError, ValueError) as error:
        raise CaptureError(
            f"the payload is not JSON: {error}", hint="give plain values: dict, list, str, int, …"
        ) from error
    if r"\u0000" in text:
        raise CaptureError("the payload holds a NUL character, which PostgreSQL cannot store", hint="leave it out")
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} in it")


def _record_psycopg(connection: psycopg.Connection[Any], event: _Event) -> None:
    with _translated(), connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(ours(_FIND).format("%s"), [event.entity])
        statement, values = _mark(event, cursor.fetchone(), "%s")
        cursor.execute(statement, values)


async def _arecord_psycopg(connection: psycopg.AsyncConnection[Any], event: _Event) -> None:
    with _translated():
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(ours(_FIND).format("%s"), [event.entity])
            statement, values = _mark(event, await cursor.fetchone(), "%s")
            await cursor.execute(statement, values)


def _record_sqlalchemy(on: Session | CoreConnection, event: _Event) -> None:
    from sqlalchemy import bindparam, text
    from sqlalchemy.exc import DBAPIError

    def statement(sql: str, values: Sequence[Any]) -> Any:
        escaped = sql.replace(":", r"\:")
        names = [f"p{place}" for place in range(len(values))]
        clause = text(escaped.replace("\0", "{}").format(*(f":{name}" for name in names)))
        return clause.bindparams(*(bindparam(name, value) for name, value in zip(names, values, strict=True)))

    try:
        row = on.execute(statement(ours(_FIND).format("\0"), [event.entity]), execution_options=_OURS).first()
        on.execute(statement(*_mark(event, row, "\0")), execution_options=_OURS)
    except DBAPIError as error:
        raise _ours(error, getattr(error.orig, "sqlstate", None)) from error


def _mark(event: _Event, row: Sequence[Any] | None, place: str) -> tuple[str, list[str | None]]:
    """Compose the statement that marks, with ``place`` wherever a value goes."""
    if row is None:
        raise NotInstalledError(
            f"no entity {event.entity!r} is installed (event {event.type!r})",
            hint='run `syncline install`, or name another: record(…, entity="…")',
        )
    number, columns, types = row
    texts = key_texts(event.entity, event.key, columns, types)
    key = ", ".join(f"CAST(CAST({place} AS text) AS {type_})" for type_ in types)
    statement = ours(
        f"/* syncline */ SELECT syncline.mark(CAST({number} AS smallint), ARRAY[syncline.key_{number}({key})], "
        f"CAST('E' AS \"char\"), CAST({place} AS text), CAST({place} AS jsonb))"
    )
    return statement, [*texts, event.type, event.payload]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise _ours(error, error.sqlstate) from error


def _ours(error: Exception, state: str | None) -> SynclineError:
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    if state in {"42P01", "3F000"}:
        return NotInstalledError(hint="run `syncline install`")
    if state == "42501":
        return PrivilegeError(
            line, hint=ours("GRANT USAGE ON SCHEMA syncline, SELECT ON syncline.entity to the application's role")
        )
    return CaptureError(f"the event could not be written: {line}")
