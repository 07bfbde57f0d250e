"""Bulk statements in captured sessions: marked by a condition, or by what they return."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol, overload

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Insert,
    Table,
    Update,
    and_,
    case,
    func,
    literal_column,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.schema import Column
from sqlalchemy.sql import visitors

from syncline.capture.sqlalchemy.installed import OURS, Installed, Role
from syncline.capture.sqlalchemy.permits import Permits
from syncline.errors import CaptureError
from syncline.model.entity import TableName

CAPTURE = "syncline_capture"
"""Where ``session.info`` keeps the capture that the session is attached to."""


class mark_where:  # noqa: N801  reads as the statement it is
    """Cover one bulk UPDATE or DELETE: marks the keys of the rows that match, before it and after it.

    The rows are locked first. The condition must be the statement's own: if another number of rows is changed (a wider
    or narrower statement, rows that somebody committed in between), ``CaptureError`` is raised and the transaction
    cannot commit. For an embedded table give a condition on the child's columns.

        with mark_where(session, "todo", Todo.user_id == 5):
            session.execute(update(Todo).where(Todo.user_id == 5).values(completed=True))

    With an ``AsyncSession`` it is ``async with``.
    """

    def __init__(self, session: Session | AsyncSession, entity: str, condition: ColumnElement[bool]) -> None:
        """Prepare; nothing is sent before the block begins.

        Args:
            session: attached to a ``SessionCapture``.
            entity: the entity's name.
            condition: on mapped attributes or columns of one of the entity's tables.

        """
        self._session = session
        self._entity = entity
        self._condition = condition
        self._block: Any = None

    def __enter__(self) -> int:
        """Mark and lock; give the number of rows that match."""
        if isinstance(self._session, AsyncSession):
            raise CaptureError("this is an AsyncSession", hint="async with mark_where(…)")
        return self._enter(self._session)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._block.__exit__(kind, error, trace)

    async def __aenter__(self) -> int:
        """Mark and lock; give the number of rows that match."""
        if not isinstance(self._session, AsyncSession):
            raise CaptureError("this is not an AsyncSession", hint="with mark_where(…)")
        return await self._session.run_sync(self._enter)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert isinstance(self._session, AsyncSession)  # noqa: S101  it was when the block began
        await self._session.run_sync(lambda _: self._block.__exit__(kind, error, trace))

    def _enter(self, session: Session) -> int:
        self._block = _covered(session, self._entity, self._condition)
        rows: int = self._block.__enter__()
        return rows


@overload
def execute_marked(session: Session, statement: Insert | Update | Delete) -> int: ...
@overload
async def execute_marked(session: AsyncSession, statement: Insert | Update | Delete) -> int: ...
def execute_marked(session: Session | AsyncSession, statement: Insert | Update | Delete) -> Any:
    """Execute one INSERT, UPDATE or DELETE and mark exactly the rows that it returns, in the same statement.

    An UPDATE must not change the columns of a key (nor, for an embedded table, those that name the parent): the old key
    would not be known; use ``mark_where``. Objects in the session are not refreshed: ``session.expire_all()``.

    Returns:
        the number of rows; with an ``AsyncSession`` an awaitable of it.

    Raises:
        CaptureError: the statement cannot be marked by what it returns.

    """
    if isinstance(session, AsyncSession):
        return session.run_sync(_execute_marked, statement)
    return _execute_marked(session, statement)


def _execute_marked(session: Session, statement: Insert | Update | Delete) -> int:
    capture = _capture(session)
    session.flush()
    connection = session.connection()
    installed = capture.installed(connection)
    table = statement.table
    name = installed.find(table.schema, table.name) if isinstance(table, Table) else None
    roles = installed.roles.get(name, ()) if name is not None else ()
    if not roles or not isinstance(table, Table):
        raise CaptureError(f"{table} belongs to no captured entity", hint="execute the statement as it is")
    _refuse_new_keys(statement, roles)
    hint = {"insert": "I", "update": "U", "delete": "D"}[statement.__visit_name__]
    if hint == "I" and getattr(statement, "_post_values_clause", None) is not None:
        hint = "U"
    keys = [_key(connection, table, role).label(f"k{place}") for place, role in enumerate(roles)]
    written = statement.returning(*keys).cte("written")
    marks = [
        _mark(role, func.array_agg(written.c[f"k{place}"].distinct()).filter(written.c[f"k{place}"].is_not(None)), hint)
        for place, role in enumerate(roles)
    ]
    row = connection.execute(select(func.count(), *marks).select_from(written), execution_options=OURS).one()
    return int(row[0])


@contextmanager
def _covered(session: Session, entity: str, condition: ColumnElement[bool]) -> Iterator[int]:
    capture = _capture(session)
    session.flush()
    connection = session.connection()
    installed = capture.installed(connection)
    table, name = _table_of(condition, entity, installed)
    rows = _mark_matching(connection, table, installed.roles[name], condition, lock=True)
    with capture.permits.opened(connection, name, rows) as permit:
        try:
            yield rows
            session.flush()
            _mark_matching(connection, table, installed.roles[name], condition, lock=False)
        except BaseException:
            if permit.running is not None:
                capture.permits.break_(connection, f"the block of mark_where for {name} was left by an error")
            raise


def _mark_matching(
    connection: Connection, table: Table, roles: tuple[Role, ...], condition: ColumnElement[bool], *, lock: bool
) -> int:
    keys = [_key(connection, table, role).label(f"k{place}") for place, role in enumerate(roles)]
    matching = select(*keys).select_from(table).where(condition)
    if lock:
        matching = matching.with_for_update(of=table)
    found = matching.cte("matching")
    marks = [
        _mark(role, func.array_agg(found.c[f"k{place}"].distinct()).filter(found.c[f"k{place}"].is_not(None)), "U")
        for place, role in enumerate(roles)
    ]
    row = connection.execute(select(func.count(), *marks).select_from(found), execution_options=OURS).one()
    return int(row[0])


def _key(connection: Connection, table: Table, role: Role) -> ColumnElement[str]:
    preparer = connection.dialect.identifier_preparer
    options = connection.get_execution_options().get("schema_translate_map")
    where = preparer.quote(table.name) if options or not table.schema else preparer.format_table(table)
    values: list[ColumnElement[Any]] = [
        literal_column(f"CAST({where}.{preparer.quote(name)} AS {type_})")
        for name, type_ in zip(role.columns, role.key_types, strict=True)
    ]
    present = [literal_column(f"{where}.{preparer.quote(name)}").is_not(None) for name in role.columns]
    key = getattr(func.syncline, f"key_{role.entity}")(*values)
    result: ColumnElement[str] = case((and_(*present), key))
    return result


def _mark(role: Role, keys: Any, hint: str) -> ColumnElement[Any]:
    own_hint = hint if role.own else "U"
    call: ColumnElement[Any] = func.syncline.mark(
        literal_column(f"CAST({role.entity} AS smallint)"),
        func.coalesce(keys, literal_column("CAST('{}' AS text[])")),
        literal_column(f"CAST('{own_hint}' AS \"char\")"),
    )
    return call


def _refuse_new_keys(statement: Insert | Update | Delete, roles: tuple[Role, ...]) -> None:
    if isinstance(statement, Delete) or (isinstance(statement, Insert) and statement._post_values_clause is None):  # noqa: SLF001
        return
    sets = getattr(statement, "_post_values_clause", None) if isinstance(statement, Insert) else statement
    touched = _assigned(sets)
    keys = {name for role in roles for name in role.columns}
    if touched & keys:
        raise CaptureError(
            f"this statement changes {', '.join(sorted(touched & keys))}: the old keys would not be marked",
            hint="use mark_where",
        )


def _assigned(clause: Any) -> set[str]:
    pairs = getattr(clause, "update_values_to_set", None)
    if pairs is None:
        pairs = [*(getattr(clause, "_values", None) or {}).items(), *(getattr(clause, "_ordered_values", None) or ())]
    elif isinstance(pairs, dict):
        pairs = list(pairs.items())
    return {getattr(column, "name", str(column)) for column, _ in pairs}


def _table_of(condition: ColumnElement[bool], entity: str, installed: Installed) -> tuple[Table, TableName]:
    for element in visitors.iterate(condition):
        if isinstance(element, Column) and isinstance(element.table, Table):
            name = installed.find(element.table.schema, element.table.name)
            if name is not None and any(role.name == entity for role in installed.roles.get(name, ())):
                return element.table, name
    raise CaptureError(
        f"the condition names no column of a table of {entity!r}",
        hint=f"use mapped attributes: mark_where(session, {entity!r}, Todo.user_id == 5)",
    )


class _Capture(Protocol):
    """What a session is attached to, as far as it is needed here."""

    @property
    def permits(self) -> Permits:
        """Which rows a statement may change."""
        ...

    def installed(self, connection: Connection) -> Installed:
        """Give what is installed there."""
        ...


def _capture(session: Session) -> _Capture:
    session.connection()
    capture: _Capture | None = session.info.get(CAPTURE)
    if capture is None:
        raise CaptureError(
            "this session is not attached to a SessionCapture", hint="SessionCapture(…).attach(<its sessionmaker>)"
        )
    return capture
