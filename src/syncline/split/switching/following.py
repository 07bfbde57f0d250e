"""Following the gates: which of an application's databases serves the tables of each, without a restart."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from syncline.clock import boottime
from syncline.errors import NamedDatabaseError
from syncline.forking import after_fork, leave_to_parent
from syncline.split.address import Address
from syncline.split.connecting import told
from syncline.split.switching.gate import GateRow, Mode, gate_row, sql
from syncline.split.switching.limited import LimitedConnection
from syncline.split.switching.seen import Closings, SeenMove
from syncline.split.switching.serving import given_up, see_that_it_serves, serving_side
from syncline.split.switching.standby import Standby

EVERY_SECONDS = 0.4
"""How often a thread looks, once there is a gate: a read is never older than a second."""
_OLD_SECONDS = 0.8
_UNMOVED_SECONDS = 60.0
"""Without a gate it is looked again so seldom: it is there long before anything is switched."""
_BUSY_SECONDS = 0.1
"""So long whoever asks about tables that do not move waits for a question about others; the next one asks again."""


class Following:
    """What the gates of all databases say; cached, and read again when a write was refused."""

    def __init__(
        self,
        addresses: Mapping[str, Address],
        *,
        split: bool,
        standby: Standby | None = None,
        beside: Callable[[], None] = lambda: None,
    ) -> None:
        self._split = split
        self._beside = beside
        """Called at each turn of the thread; it must not block."""
        self._standby = standby or Standby([])
        self._addresses = dict(addresses) if split else dict(list(addresses.items())[:1])
        self._names = tuple(addresses)
        self._connections: dict[str, psycopg.Connection[Any]] = {}
        self._rows: dict[str, dict[str, GateRow]] = {}
        self._fresh_until: dict[str, float] = {}
        self._asked_at: dict[str, float] = {}
        self._others_due: dict[str, float] = {}
        self._away: dict[str, NamedDatabaseError] = {}
        """Why a side could not be asked the last time."""
        self._closings = Closings()
        self._elsewhere: set[str] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        after_fork(self._begin_anew)

    def _begin_anew(self) -> None:
        """In a forked process: a thread of the parent may have the lock, and the connections are the parent's."""
        leave_to_parent(self._connections)
        self._lock, self._connections, self._thread = threading.Lock(), {}, None
        self._fresh_until.clear()

    def stale(self, database: str) -> bool:
        """Tell whether the next question asks a server: asyncio sends it to a thread."""
        return boottime() >= self._fresh_until.get(database, 0.0)

    def serving(self, database: str) -> str:
        """Say whose server has a database's tables at present: its own, or the side that it moves from or to.

        Raises:
            MovedError: this process is in single mode, and they are not in its database any more; or it is in split
                mode, and their move was given up.
            GateClosedError: it is in single mode, and they are changing sides.
            NamedDatabaseError: no server can be asked.

        """
        if self.stale(database):
            self.look_again(database)
        sides = self._rows.get(database)
        if not sides:
            if database in self._elsewhere:
                raise given_up(database)
            return database
        if not self._split:
            see_that_it_serves(database, next(iter(sides.values())))
            return database
        if sides.keys() == {database} and sides[database].mode is Mode.LINK:
            self._refuse_old_copy(database)
        return serving_side(database, sides)

    def _refuse_old_copy(self, database: str) -> None:
        """Refuse a side that does not serve where no other side's gate is known: its rows are old.

        Raises:
            NamedDatabaseError: another side could not be asked.
            MovedError: none has a gate: the move was given up.

        """
        for side, failure in list(self._away.items()):
            if side != database:
                raise failure
        raise given_up(database)

    def seen(self) -> dict[str, SeenMove]:
        """Say what is known of moves; nobody is asked."""
        return {
            database: SeenMove(
                serving_side(database, sides),
                self._split and database in sides and sides[database].mode is Mode.APPLICATION,
                self._closings.seconds(database),
            )
            for database, sides in list(self._rows.items())
        }

    @property
    def last_opening(self) -> int:
        """The number of the last opening of a side that is known: it is another one when writes are accepted again."""
        return max((row.opened for sides in list(self._rows.values()) for row in list(sides.values())), default=0)

    def asked_within(self, seconds: float) -> bool:
        """Tell whether the servers of all that move were asked so short a time ago."""
        since = boottime() - seconds
        return all(self._asked_at.get(database, 0.0) > since for database in list(self._rows))

    def look_again(self, *databases: str, fresh_seconds: float = 0.0) -> None:
        """Ask the servers now, unless somebody has begun to since; by default about all that move.

        Args:
            databases: which of them.
            fresh_seconds: what was asked so short a time ago is new enough.

        Raises:
            NamedDatabaseError: none could be asked, and none ever was.

        """
        wanted = boottime() - fresh_seconds
        if not self._lock.acquire(timeout=_BUSY_SECONDS if self._are_unmoved(databases) else -1):
            return
        try:
            for database in databases or tuple(self._rows) or self._names:
                if self._asked_at.get(database, 0.0) > wanted:
                    continue  # many are refused at once, and one answer is enough
                self._asked_at[database] = boottime()
                failure = self._ask(database)
                self._closings.note(self._rows)
                self._note_where(database)
                if failure is not None and database not in self._fresh_until:
                    raise failure
                known = self._rows.get(database)
                self._fresh_until[database] = boottime() + (_OLD_SECONDS if known else _UNMOVED_SECONDS)
            if not self._rows:
                self._disconnect()
            elif self._thread is None:
                self._stop = threading.Event()
                self._thread = threading.Thread(target=self._look, args=[self._stop], name="syncline gate", daemon=True)
                self._thread.start()
        finally:
            self._lock.release()

    def _are_unmoved(self, databases: tuple[str, ...]) -> bool:
        """Tell whether the tables of these do not move, as far as is known: a server that hangs delays nobody else."""
        return bool(databases) and all(one in self._fresh_until and one not in self._rows for one in databases)

    def _note_where(self, database: str) -> None:
        """Remember that another side has its tables: when all gates are gone then, they have stayed there."""
        sides = self._rows.get(database) if self._split else None
        if sides:
            is_there = sides.keys() != {database} or sides[database].mode is Mode.APPLICATION
            serves = is_there and serving_side(database, sides) == database
            (self._elsewhere.discard if serves else self._elsewhere.add)(database)

    def _ask(self, database: str) -> NamedDatabaseError | None:
        """Ask the server that served last, at first its own, and the others only where that does not serve any more.

        One that is away, or hangs, delays nobody whose tables it does not serve.
        """
        own = database if self._split else next(iter(self._addresses))
        sides = self._rows.get(database)
        first = serving_side(database, sides) if sides and self._split else own
        failure = self._noted(first)
        row = self._rows.get(database, {}).get(first)
        if failure is None and (row.mode is Mode.APPLICATION if row else database not in self._rows):
            return None
        others = [self._noted(side) for side in self._addresses if side != first]
        return None if any(each is None for each in others) and database in self._rows else failure

    def _noted(self, side: str) -> NamedDatabaseError | None:
        try:
            rows = self._read(side, self._addresses[side])
        except NamedDatabaseError as error:
            self._away[side] = error
            return error
        self._away.pop(side, None)
        for move in self._names:
            if move in rows:
                self._rows.setdefault(move, {})[side] = rows[move]
            elif side in self._rows.get(move, {}):
                del self._rows[move][side]
        self._rows = {move: sides for move, sides in self._rows.items() if sides}
        return None

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._thread = None
        with self._lock:
            self._disconnect()
            self._fresh_until.clear()

    def _read(self, side: str, address: Address) -> dict[str, GateRow]:
        with told(address):
            try:
                return _rows_of(self._connected(side, address))
            except psycopg.OperationalError:
                if side in self._connections:
                    self._connections.pop(side).close()
                raise

    def _connected(self, side: str, address: Address) -> psycopg.Connection[Any]:
        connection = self._connections.get(side)
        if connection is None or connection.closed:
            connection = self._connections[side] = _connected(address)
        return connection

    def _look(self, stop: threading.Event) -> None:
        while True:
            self._keep_others_ready()
            self._beside()
            if stop.wait(EVERY_SECONDS):
                return
            with contextlib.suppress(NamedDatabaseError):
                self.look_again()

    def _find_others(self) -> None:
        """Find the other sides of databases that serve their own tables; nobody asks there but for ``Standby``."""
        for database in [name for name, sides in list(self._rows.items()) if len(sides) == 1]:
            if boottime() < self._others_due.get(database, 0.0):
                continue
            self._others_due[database] = boottime() + _UNMOVED_SECONDS
            for side, address in self._addresses.items():
                with contextlib.suppress(NamedDatabaseError), told(address), _connected(address) as connection:
                    row = _rows_of(connection).get(database)
                    with self._lock:
                        if row is not None and database in self._rows:
                            self._rows[database].setdefault(side, row)

    def _keep_others_ready(self) -> None:
        if self._split:
            self._find_others()
        moving = list(self._rows.items())
        for database, sides in moving if self._split else ():
            self._standby.look(serving_side(database, sides), list(sides))
        if not moving:
            self._standby.over()

    def _disconnect(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()


def _connected(address: Address) -> psycopg.Connection[Any]:
    given = {**address.arguments(), "prepare_threshold": None, "application_name": "syncline gate"}
    return LimitedConnection.connect(address.conninfo, autocommit=True, **given)


def _rows_of(connection: psycopg.Connection[Any]) -> dict[str, GateRow]:
    row = connection.execute(sql("exists")).fetchone()
    rows = connection.execute(sql("rows")).fetchall() if row and row[0] else []
    return {name: gate_row(rest) for name, *rest in rows}
