"""Capture by SQLAlchemy sessions, sync and async: a flush marks what it writes; what no flush sees is refused.

For databases without triggers, and for teams that do not want any. Three things are outside of its sight and have to be
known: statements on driver cursors (``session.connection().connection.cursor()``), what functions and triggers of the
database do by themselves, and other programs. Where those write, capture with triggers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, MetaData, Pool, event
from sqlalchemy.engine.interfaces import ExecutionContext
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapper, Session, SessionTransaction, UOWTransaction, object_session

from syncline.capture.sqlalchemy.attach import Connections, Sessions, event_target
from syncline.capture.sqlalchemy.bulk import CAPTURE
from syncline.capture.sqlalchemy.cascades import mapped_cascades, mapped_parts, refuse_unseen
from syncline.capture.sqlalchemy.commits import CommitTokens
from syncline.capture.sqlalchemy.flush import Flush
from syncline.capture.sqlalchemy.installed import Installed, load
from syncline.capture.sqlalchemy.permits import Permits
from syncline.capture.sqlalchemy.statements import Write, may_write, writes
from syncline.errors import CaptureError, UnseenWriteError
from syncline.model.entity import Entity

_NO_EXEMPTIONS: Mapping[str, str] = MappingProxyType({})
_MARKED = "marked:"


class SessionCapture:
    """Marks what sessions write, in the same transaction, with one statement for each flush.

    Responsible for every entity that is installed with capture "session", and for those named here (an entity that
    triggers capture as well is marked twice, which is harmless). Everything else that would write one of their tables
    through these sessions or their engines is refused with ``UnseenWriteError``: bulk statements, textual SQL, Core.
    Say how it is marked instead: ``mark_where``, ``execute_marked``, or the execution option
    ``syncline="marked: <why nothing is missed>"``.

        capture = SessionCapture(todo, user)
        capture.attach(SessionLocal, models=Base)
    """

    def __init__(self, *entities: Entity | str, exempt: Mapping[str, str] = _NO_EXEMPTIONS) -> None:
        """Prepare.

        Args:
            entities: as configured; with them ``attach`` can judge the mapped foreign keys before there is a database.
            exempt: foreign keys with an action of the database (``{"todo.user_id": "users are never deleted"}``) that
                do no harm, each with the reason.

        """
        self._entities = tuple(entity for entity in entities if isinstance(entity, Entity))
        self._names = tuple(entity if isinstance(entity, str) else entity.name for entity in entities)
        self._exempt = dict(exempt)
        self._flushes: WeakKeyDictionary[Session, Flush] = WeakKeyDictionary()
        self._transactions: WeakKeyDictionary[Session, SessionTransaction] = WeakKeyDictionary()
        self._installed: WeakKeyDictionary[Pool, Installed] = WeakKeyDictionary()
        self._tokens = CommitTokens()
        self.permits = Permits()
        self._connections = Connections(
            ("before_cursor_execute", self._before_statement),
            ("after_cursor_execute", self.permits.after_statement),
            ("commit", self.permits.before_commit),
            ("prepare_twophase", self.permits.before_commit),
        )
        self._listens_to_objects = False

    def attach(self, sessions: Sessions, *, models: type[DeclarativeBase] | MetaData | None = None) -> None:
        """Capture what these sessions write, and give each commit its token (see ``capture.token``).

        Args:
            sessions: a ``sessionmaker``, an ``async_sessionmaker``, a session class, a scoped or a single session.
            models: the declarative base or its metadata, to judge foreign keys now instead of at the first write.

        Raises:
            CaptureError: PostgreSQL would change synced rows by itself.

        """
        if models is not None:
            metadata = models if isinstance(models, MetaData) else models.metadata
            refuse_unseen(mapped_cascades(metadata), mapped_parts(self._entities, metadata), self._exempt)
        target = event_target(sessions)
        event.listen(target, "after_transaction_create", self._transaction_begins)
        event.listen(target, "after_transaction_end", self._transaction_ends)
        event.listen(target, "before_flush", self._before_flush)
        event.listen(target, "after_flush", self._after_flush)
        self._connections.attach(sessions)
        self._tokens.attach(sessions)
        if not self._listens_to_objects:
            event.listen(Mapper, "after_insert", self._object_inserted)
            event.listen(Mapper, "after_update", self._object_updated)
            self._listens_to_objects = True

    def guard(self, engine: Engine | AsyncEngine) -> None:
        """Refuse unseen writes through this engine, outside of sessions too; those of attached sessions are guarded."""
        self._connections.listen(engine.sync_engine if isinstance(engine, AsyncEngine) else engine)

    def installed(self, connection: Connection) -> Installed:
        """Give what is installed in the connection's database; read once for each engine."""
        pool = connection.engine.pool
        known = self._installed.get(pool)
        if known is None:
            known = self._installed[pool] = load(connection, self._names, self._exempt)
        return known

    def _transaction_begins(self, session: Session, transaction: SessionTransaction) -> None:
        session.info[CAPTURE] = self
        self._transactions[session] = transaction

    def _transaction_ends(self, session: Session, transaction: SessionTransaction) -> None:
        if transaction.parent is not None:
            self._transactions[session] = transaction.parent
        else:
            self._transactions.pop(session, None)
            self._flushes.pop(session, None)

    def _before_flush(self, session: Session, context: UOWTransaction, _: object) -> None:
        self._flushes[session] = Flush(context)

    def _after_flush(self, session: Session, _: UOWTransaction) -> None:
        self._flushes.pop(session).mark()

    def _flush_of(self, connection: Connection) -> Flush | None:
        """Find the flush that runs on the connection right now: not a handler's own work before or inside of it."""
        for session in self._connections.sessions(connection):
            flush = self._flushes.get(session)
            running = getattr(flush.context, "transaction", None) if flush is not None else None
            if running is not None and running is self._transactions.get(session):
                return flush
        return None

    def _object_inserted(self, mapper: Mapper[Any], connection: Connection, instance: object) -> None:
        self._object(mapper, connection, instance, "I")

    def _object_updated(self, mapper: Mapper[Any], connection: Connection, instance: object) -> None:
        self._object(mapper, connection, instance, "U")

    def _object(self, mapper: Mapper[Any], connection: Connection, instance: object, hint: str) -> None:
        session = object_session(instance)
        flush = self._flushes.get(session) if session is not None else None
        if flush is not None:
            flush.object(mapper, connection, instance, hint, self.installed(connection))

    def _before_statement(
        self, connection: Connection, _: Any, statement: str, __: Any, context: ExecutionContext, ___: bool
    ) -> None:
        if not may_write(statement) or _excused(context):
            return
        installed = self.installed(connection)
        for write in writes(statement, context, installed):
            flush = self._flush_of(connection)
            if flush is not None and flush.statement(connection, write, context, installed):
                _require_transaction(connection)
            elif not self.permits.allow(connection, write, context):
                self._refuse(write, installed)

    def _refuse(self, write: Write, installed: Installed) -> None:
        roles: Iterable[Any] = (role for every in installed.roles.values() for role in every)
        role = installed.guard(write.table) if write.table else next((r for r in roles if r.guarded), None)
        if role is None:
            return
        where = f"{write.table} ({role.name})" if write.table else f"a table of {role.name}, as far as is known"
        raise UnseenWriteError(
            f"this statement writes {where} and not through objects of the session: its changes would not be captured",
            hint=f"change objects and flush; or `with mark_where(session, {role.name!r}, <condition>)`; or "
            f"`execute_marked(session, statement)`; or say why nothing is missed: "
            f'execution_options(syncline="{_MARKED} …"); or capture {role.name} with triggers',
        )


def _excused(context: ExecutionContext) -> bool:
    option = context.execution_options.get("syncline")
    if option is None:
        return False
    reason = option.removeprefix(_MARKED).strip() if isinstance(option, str) and option.startswith(_MARKED) else ""
    if not reason:
        raise CaptureError(
            f"not a reason: execution_options(syncline={option!r})",
            hint=f'say how the change is captured: syncline="{_MARKED} resynced by the import job"',
        )
    return True


def _require_transaction(connection: Connection) -> None:
    if getattr(connection.connection.dbapi_connection, "autocommit", False):
        raise CaptureError(
            "this session commits each statement by itself (AUTOCOMMIT): mark and change cannot be one transaction",
            hint="use an engine without isolation_level='AUTOCOMMIT' for writing",
        )
