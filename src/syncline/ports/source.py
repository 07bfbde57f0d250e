"""A session with the side that holds the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from syncline.ports.journal import Journal
from syncline.ports.marks import Marks, Waker
from syncline.ports.records import Records


@dataclass(frozen=True, slots=True)
class Identity:
    """Which server a connection leads to; another answer after a reconnect means: not the server that we knew."""

    system: str
    timeline: str
    started: str


class Source(Protocol):
    """A session with one server, for one worker. When anything in it fails for the server, the session is over.

    Whoever holds it then drops all batches and leases, and opens another one. Its parts may be used side by side.
    """

    @property
    def worker(self) -> str:
        """The worker's id (a UUID as text)."""
        ...

    @property
    def identity(self) -> Identity:
        """Who the server was at the start."""
        ...

    @property
    def records(self) -> Records:
        """What the tables hold."""
        ...

    @property
    def marks(self) -> Marks:
        """What has changed."""
        ...

    @property
    def waker(self) -> Waker | None:
        """How writers wake an idle relay; ``None`` where nothing can: then it looks by itself."""
        ...

    @property
    def journal(self) -> Journal:
        """Our own tables."""
        ...

    async def close(self) -> None:
        """End the session; idempotent."""
        ...
