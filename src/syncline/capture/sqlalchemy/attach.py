"""Where SQLAlchemy's events are listened to: session factories of both kinds, and the engines that they use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import Connection, Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, SessionTransaction, scoped_session, sessionmaker

from syncline.errors import CaptureError

Sessions = (
    sessionmaker[Any]
    | async_sessionmaker[Any]
    | scoped_session[Any]
    | async_scoped_session[Any]
    | type[Session]
    | type[AsyncSession]
    | Session
    | AsyncSession
)
"""What can be attached to: a factory, a class or one session, sync or async."""


def event_target(sessions: Sessions) -> Any:
    """Find whose events all sessions of this factory or class share, and nobody else's.

    An async factory whose sessions would be plain ``Session`` objects inside gets a class of its own for them.

    Raises:
        CaptureError: this makes no sessions.

    """
    if isinstance(sessions, (scoped_session, async_scoped_session)):
        return event_target(sessions.session_factory)
    if isinstance(sessions, AsyncSession):
        return sessions.sync_session
    if isinstance(sessions, async_sessionmaker):
        inner = sessions.kw.get("sync_session_class") or sessions.class_.sync_session_class
        if inner is Session:
            inner = type("Session", (Session,), {})
            sessions.configure(sync_session_class=inner)
        return inner
    if isinstance(sessions, type) and issubclass(sessions, AsyncSession):
        if sessions is AsyncSession:
            raise CaptureError("AsyncSession itself is everybody's", hint="attach to a subclass of it or to a factory")
        if sessions.sync_session_class is Session:
            sessions.sync_session_class = type("Session", (Session,), {})
        return sessions.sync_session_class
    if isinstance(sessions, (sessionmaker, Session)) or (isinstance(sessions, type) and issubclass(sessions, Session)):
        return sessions
    raise CaptureError(f"{sessions!r} makes no sessions", hint="attach to a sessionmaker or an async_sessionmaker")


def engine_of(sessions: Sessions) -> Engine | None:
    """Find the engine that the factory was given, if it was given one."""
    bind = getattr(sessions, "kw", {}).get("bind")
    if isinstance(bind, AsyncEngine):
        return bind.sync_engine
    return bind if isinstance(bind, Engine) else None


class Connections:
    """Knows the connections of sessions, and listens to engines from the first connection on.

    Connections come to be known when their session begins; they are forgotten with their last reference.
    """

    def __init__(self, *listeners: tuple[str, Callable[..., Any]]) -> None:
        """Take pairs of an event of ``sqlalchemy.events.ConnectionEvents`` and its listener."""
        self._listeners = listeners
        self._sessions: WeakKeyDictionary[Connection, WeakSet[Session]] = WeakKeyDictionary()
        self._engines: WeakSet[Engine] = WeakSet()

    def attach(self, sessions: Sessions) -> None:
        """Follow these sessions."""
        event.listen(event_target(sessions), "after_begin", self._after_begin)
        engine = engine_of(sessions)
        if engine is not None:
            self.listen(engine)

    def listen(self, engine: Engine) -> bool:
        """Listen to everything that goes through an engine; false when that is done already."""
        if engine in self._engines:
            return False
        for name, listener in self._listeners:
            event.listen(engine, name, listener)
        self._engines.add(engine)
        return True

    def sessions(self, connection: Connection) -> list[Session]:
        """Find the followed sessions that use this connection."""
        return list(self._sessions.get(connection, ()))

    def _after_begin(self, session: Session, _: SessionTransaction, connection: Connection) -> None:
        self._sessions.setdefault(connection, WeakSet()).add(session)
        if self.listen(connection.engine):
            # A connection that is older than its engine's first listener does not hear of it.
            for name, listener in self._listeners:
                event.listen(connection, name, listener)
