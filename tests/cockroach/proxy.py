"""Stands between a client and PostgreSQL and speaks for CockroachDB.

``python -m tests.cockroach.proxy FOLDER POSTGRES_SOCKET POSTGRES_URL`` listens on ``FOLDER/.s.PGSQL.5432``.

``BEGIN AS OF SYSTEM TIME`` is emulated: a snapshot is exported every 100 ms and kept for some seconds; a transaction in
the past gets the first one that was taken at or after its time. So it sees every commit up to that time and nothing
that is more than 100 ms younger, and two transactions as of the same time see the same.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import psycopg

from tests.cockroach.statements import VERSION, past, rewritten

PROTOCOL_3 = 196608
EVERY_SECONDS = 0.1
KEPT = 24
READY = b"Z"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A moment that can be gone back to as long as its connection holds it."""

    nanoseconds: Decimal
    name: str
    connection: psycopg.AsyncConnection


class Past:
    """The last moments of one database."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._snapshots: deque[Snapshot] = deque()
        self._taken = asyncio.Condition()

    async def record(self) -> None:
        """Take snapshots, until cancelled."""
        while True:
            connection = (
                self._snapshots.popleft().connection
                if len(self._snapshots) >= KEPT
                else await psycopg.AsyncConnection.connect(self._url, autocommit=True, application_name="past")
            )
            await connection.execute("ROLLBACK")
            # The clock first: the snapshot then has every commit up to that time.
            row = await (
                await connection.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1e9)::numeric(30, 0)")
            ).fetchone()
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            name = await (await connection.execute("SELECT pg_export_snapshot()")).fetchone()
            assert row is not None
            assert name is not None
            async with self._taken:
                self._snapshots.append(Snapshot(row[0], name[0], connection))
                self._taken.notify_all()
            await asyncio.sleep(EVERY_SECONDS)

    async def begin(self, number: str, unit: str) -> str:
        """Give the statements that begin a transaction as of a time."""
        if unit:
            async with self._taken:
                await self._taken.wait_for(lambda: self._snapshots)
            now = await self._now()
            when = now + Decimal(number) * {"ms": 1_000_000, "s": 1_000_000_000}[unit]
        else:
            when = Decimal(number)
        async with self._taken:
            await self._taken.wait_for(lambda: self._snapshots and self._snapshots[-1].nanoseconds >= when)
            found = next(one for one in self._snapshots if one.nanoseconds >= when)
        return (
            f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{found.name}'; "
            f"SELECT set_config('crdb.as_of', '{found.nanoseconds}', true)"
        )

    async def _now(self) -> Decimal:
        connection = self._snapshots[-1].connection
        row = await (
            await connection.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1e9)::numeric(30, 0)")
        ).fetchone()
        assert row is not None
        return Decimal(row[0])


class Session:
    """One client's connection."""

    def __init__(
        self,
        past_: Past,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._past = past_
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server

    async def run(self) -> None:
        """Serve until one side hangs up."""
        back = asyncio.create_task(self._answers())
        with suppress(asyncio.IncompleteReadError, ConnectionError, OSError):
            await self._begin()
            while True:
                kind, body = await _message(self._from_client)
                body = await self._changed(kind, body)
                self._to_server.write(kind + struct.pack("!i", len(body) + 4) + body)
                await self._to_server.drain()
        self._to_server.close()
        with suppress(ConnectionError, OSError):
            await back

    async def _begin(self) -> None:
        while True:
            length = await self._from_client.readexactly(4)
            body = await self._from_client.readexactly(struct.unpack("!i", length)[0] - 4)
            self._to_server.write(length + body)
            if struct.unpack_from("!i", body)[0] == PROTOCOL_3:
                return

    async def _changed(self, kind: bytes, body: bytes) -> bytes:
        if kind == b"Q":
            sql = body[:-1].decode()
            when = past(sql)
            return (await self._past.begin(*when) if when else rewritten(sql)).encode() + b"\0"
        if kind == b"P":
            name = body.index(0) + 1
            end = body.index(0, name)
            return body[:name] + rewritten(body[name:end].decode()).encode() + body[end:]
        return body

    async def _answers(self) -> None:
        """Pass on what the server says; before it is ready for the first time, say what we are."""
        with suppress(asyncio.IncompleteReadError, ConnectionError, OSError):
            kind = b""
            while kind != READY:
                kind = await self._from_server.readexactly(1)
                length = await self._from_server.readexactly(4)
                body = await self._from_server.readexactly(struct.unpack("!i", length)[0] - 4)
                if kind == READY:
                    status = b"crdb_version\0" + VERSION.encode() + b"\0"
                    self._to_client.write(b"S" + struct.pack("!i", len(status) + 4) + status)
                self._to_client.write(kind + length + body)
            while data := await self._from_server.read(1 << 16):
                self._to_client.write(data)
                await self._to_client.drain()
        self._to_client.close()


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], await reader.readexactly(struct.unpack_from("!i", head, 1)[0] - 4)


async def serve(folder: Path, socket: str, url: str) -> None:
    """Serve until killed."""
    past_ = Past(url)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Session(past_, (reader, writer), await asyncio.open_unix_connection(socket)).run()

    server = await asyncio.start_unix_server(accept, folder / ".s.PGSQL.5432")
    print("ready", flush=True)  # noqa: T201  whoever started us waits for it
    async with server, asyncio.TaskGroup() as tasks:
        tasks.create_task(past_.record())
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
