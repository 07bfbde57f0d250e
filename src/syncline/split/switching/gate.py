"""The gate of one side: the row in its database that says who may write the moved tables there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.abc import Params
from psycopg.rows import TupleRow
from psycopg.sql import Composed, Identifier

from syncline.errors import NotMovingError, PrivilegeError, SupersededError, SwitchError
from syncline.model.entity import TableName
from syncline.postgres import pins
from syncline.postgres.sql import blocks
from syncline.split.address import Address
from syncline.split.connecting import clean, refusal

Here = TypeVar("Here")
There = TypeVar("There")
PACKAGE = "syncline.split.switching"
BUSY = (psycopg.errors.LockNotAvailable, psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
"""Others were in the way; nothing was changed, and the same may be tried again at once."""


class Mode(StrEnum):
    """Who may write the moved tables on a side."""

    APPLICATION = "a"
    LINK = "l"
    NOBODY = "n"


class Verb(StrEnum):
    """What a coordinator does to a gate; each notes its number."""

    NUMBER = "number"
    CLOSE = "close"
    """To nobody, where applications wrote."""
    LINK = "link"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class GateRow:
    """What a gate says."""

    mode: Mode
    number: int
    """The highest coordinator that wrote here."""
    opened: int
    """The coordinator that last opened this side to applications: where it is higher, there is the truth."""
    link: int
    """The coordinator that last gave this side to the link."""


def gate_row(row: Sequence[Any]) -> GateRow:
    """Read a row of the four columns."""
    return GateRow(Mode(row[0]), *row[1:])


def sql(name: str) -> str:
    """Give a statement of ours."""
    return blocks("gate.sql", PACKAGE)[name]


def gate_in(connection: psycopg.Connection[Any], move: str, *, known: bool = False) -> GateRow | None:
    """Read the gate of a move in a database; ``None``: there is none. ``known``: there was one a moment ago."""
    there = None if known else connection.execute(sql("exists"), prepare=False).fetchone()
    if not known and not (there and there[0]):
        return None
    row = connection.execute(sql("row"), {"name": move}, prepare=False).fetchone()
    return gate_row(row) if row else None


def quoted(table: TableName) -> str:
    """Write a table's name as SQL has it."""
    return Identifier(table.schema, table.name).as_string()


class GateBusyError(Exception):
    """Writers that have passed the gate, or others that hold a table, had not ended in time; nothing was changed.

    Its text names them, where it is known who they are.
    """


class Session:
    """A connection to one side, opened when it is needed, in autocommit; its errors are ours.

    Its settings are ours, too, unless a pooler lends it: above READ COMMITTED a statement that has waited for a gate's
    lock would see what the gate said before, and without limits of time a coordinator might wait with its lease gone.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._connection: AsyncConnection[TupleRow] | None = None

    async def rows(self, statement: str, values: Mapping[str, Any]) -> list[TupleRow]:
        """Run a statement that is a transaction of its own.

        Raises:
            NamedDatabaseUnavailableError: there is no answer; what became of it is not known.
            SwitchError: the answer is a refusal; nothing was changed.

        """
        async with self.connected() as connection:
            return await (await connection.execute(statement, values)).fetchall()

    async def together(self, *asked: tuple[str | Composed, Params | None]) -> list[list[TupleRow]]:
        """Run statements one after the other in one round trip and one transaction.

        Raises:
            NamedDatabaseUnavailableError: there is no answer; what became of them is not known.
            SwitchError: an answer is a refusal; nothing was changed.

        """
        async with self.connected() as connection:
            try:
                async with connection.pipeline():
                    cursors = [await connection.execute(statement, values) for statement, values in asked]
                return [await cursor.fetchall() for cursor in cursors]
            except asyncio.CancelledError:
                await self.aclose()  # in the middle of what was sent, nobody knows which answer is next
                raise

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[AsyncConnection[TupleRow]]:
        """Lend the connection; one that fails is closed."""
        try:
            yield await self._opened()
        except BUSY:
            raise
        except psycopg.errors.InsufficientPrivilege as error:
            what = str(error).splitlines()[0]
            raise PrivilegeError(f"{self.address.called}: {what}", hint="run as the owner of the tables") from error
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName):
            raise NotMovingError(f"{self.address.called}: there is no gate in {self.address.place}") from None
        except psycopg.Error as error:
            if self._answers:
                raise SwitchError(f"{self.address.called}: {clean(self.address, error)}") from error
            await self.aclose()
            raise refusal(self.address, error) from None

    @property
    def _answers(self) -> bool:
        """Tell an error that the server has sent from a connection that is lost, or was never had."""
        return self._connection is not None and not self._connection.closed

    async def _opened(self) -> AsyncConnection[TupleRow]:
        if self._connection is None or self._connection.closed:
            given = {**self.address.arguments(), "prepare_threshold": None, "application_name": "syncline switch"}
            made = self._connection = await AsyncConnection.connect(self.address.conninfo, autocommit=True, **given)
            if not self.address.pooled:
                wanted = pins.on_postgresql(made.info.server_version, {}, keyed=False)
                await made.execute(pins.statement(wanted, local=False))
        return self._connection

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


class Gate:
    """One side of a move, for coordinators."""

    def __init__(self, move: str, side: str, address: Address) -> None:
        self.move = move
        self.side = side
        self.session = Session(address)

    async def read(self) -> GateRow:
        """Read the row as it is now.

        Raises:
            NotMovingError: there is none.

        """
        rows = await self.session.rows(sql("row"), {"name": self.move})
        if not rows:
            raise NotMovingError(f"{self.side} has no gate of the move {self.move!r}")
        return gate_row(rows[0])

    async def change(self, number: int, verb: Verb, patience: timedelta) -> GateRow:
        """Change the row, when every writer that has passed it has ended.

        Raises:
            GateBusyError: they had not within ``patience``; nothing was changed.
            SupersededError: a coordinator with a higher number was here.
            NamedDatabaseUnavailableError: what became of the change is not known: it may come late.

        """
        milliseconds = max(1, round(patience.total_seconds() * 1000))
        given = {"name": self.move, "number": number, "verb": verb, "patience": milliseconds}
        try:
            rows = await self.session.rows(sql("call_change"), given)
        except BUSY as error:
            raise GateBusyError from error
        if not rows:
            raise superseded(self.move, number)
        return gate_row(rows[0])

    async def writers(self) -> list[str]:
        """Name who has passed the gate and has not ended, the oldest first."""
        rows = await self.session.rows(sql("writers"), {"name": self.move})
        return [named(*row) for row in rows]

    async def end_links(self) -> None:
        """End transactions that have passed the gate as a link's: it is frozen, and what it had is read again."""
        with contextlib.suppress(PrivilegeError):
            await self.session.rows(sql("end_links"), {"name": self.move})

    async def aclose(self) -> None:
        """Close the connection."""
        await self.session.aclose()


def superseded(move: str, number: int) -> SupersededError:
    """Say that a gate has another coordinator's number by now."""
    return SupersededError(f"another coordinator than {number} is in charge of the move {move!r}")


async def both(here: Awaitable[Here], there: Awaitable[There]) -> tuple[Here, There]:
    """Ask both sides at the same time; none is still at it when this has ended."""
    ours, theirs = await asyncio.gather(here, there, return_exceptions=True)
    if isinstance(ours, BaseException):
        raise ours
    if isinstance(theirs, BaseException):
        raise theirs
    return ours, theirs


def named(pid: int | None, application: str | None, age: str | None) -> str:
    """Name a transaction for people."""
    if pid is None:
        return "a prepared transaction (pg_prepared_xacts)"
    return f"pid {pid} ({application or 'no name'}), its transaction is {age or '?'} old"
