"""How the processes of a host share one poller: a lock file elects it, a Unix socket passes on what it reads."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from syncline.cache.listener import SILENCE
from syncline.errors import ConfigError

BEHIND_BYTES = 65_536
"""A follower that leaves so much unread is cut off; it comes back, and forgets what it kept."""


@dataclass(frozen=True, slots=True)
class News:
    """What one poll read. ``boottime`` is the same clock for all processes of a host."""

    asked: float
    names: list[bytes] | None
    """``None``: some may be missing."""

    def encode(self) -> bytes:
        """Write it as a line."""
        names = None if self.names is None else [name.hex() for name in self.names]
        return orjson.dumps([self.asked, names]) + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> News:
        """Read a line."""
        asked, names = orjson.loads(line)
        return cls(asked, None if names is None else [bytes.fromhex(name) for name in names])


@dataclass(frozen=True, slots=True)
class Meeting:
    """The lock and the socket of one database."""

    lock: Path
    socket: Path

    @classmethod
    def of(cls, url: str, folder: Path | None) -> Meeting:
        """Find the place for a database: all processes of a user with the same URL.

        Raises:
            ConfigError: the folder belongs to another user, or others may write to it.

        """
        folder = folder or Path(tempfile.gettempdir()) / f"syncline-sessions-{os.geteuid()}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise ConfigError(f"{folder} is not a folder of this user alone", hint="give another one: folder=…")
        name = hashlib.sha256(url.encode()).hexdigest()[:16]
        return cls(folder / f"{name}.lock", folder / f"{name}.sock")

    @contextmanager
    def leading(self) -> Iterator[bool]:
        """Hold the lock for a block, if nobody has it; the system gives it back when the process ends, however."""
        with self.lock.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True


class Followers:
    """Who is told what the poller reads."""

    def __init__(self) -> None:
        self._writers: set[asyncio.StreamWriter] = set()

    async def admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Tell a new follower that from now on nothing is missing; keep it until it leaves."""
        writer.write(b"\n")
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            await reader.read()
        self._leave(writer)

    def tell(self, news: News) -> None:
        """Pass it on to all."""
        line = news.encode()
        for writer in tuple(self._writers):
            if writer.transport.get_write_buffer_size() > BEHIND_BYTES:
                self._leave(writer)
            else:
                writer.write(line)

    def close(self) -> None:
        """Let all go."""
        for writer in tuple(self._writers):
            self._leave(writer)

    def _leave(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.transport.abort()


@asynccontextmanager
async def led(meeting: Meeting) -> AsyncIterator[Followers]:
    """Admit followers for a block. The caller holds the lock."""
    followers = Followers()
    meeting.socket.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(followers.admit, meeting.socket, limit=BEHIND_BYTES)
    try:
        yield followers
    finally:
        server.close()
        followers.close()
        meeting.socket.unlink(missing_ok=True)


@asynccontextmanager
async def followed(meeting: Meeting) -> AsyncIterator[AsyncIterator[News]]:
    """Follow the poller for a block that begins when it has admitted us.

    Raises:
        OSError: there is none (any more), or it is silent.

    """
    async with asyncio.timeout(SILENCE):
        reader, writer = await asyncio.open_unix_connection(meeting.socket, limit=2**24)
    try:
        async with asyncio.timeout(SILENCE):
            if await reader.readline() != b"\n":
                raise ConnectionResetError("the poller of this host has ended")
        yield _news(reader)
    finally:
        writer.transport.abort()


async def _news(reader: asyncio.StreamReader) -> AsyncIterator[News]:
    while True:
        async with asyncio.timeout(SILENCE):
            line = await reader.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the poller of this host has ended")
        yield News.decode(line)
