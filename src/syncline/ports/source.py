"""A session with the side that holds the truth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from syncline.errors import SynclineError
from syncline.model.entity import Entity
from syncline.ports.journal import Journal
from syncline.ports.marks import Marks, Waker
from syncline.ports.records import Plans, Records


@dataclass(frozen=True, slots=True)
class Identity:
    """Which server a connection leads to; another answer after a reconnect means: not the server that we knew."""

    system: str
    timeline: str
    started: str


class Lookout(Protocol):
    """Looks at the catalog every second: marks what table changes ask for, and says what is not captured any more."""

    async def look(self) -> bool:
        """Look; tell whether anything in the catalog is otherwise than when this worker looked last.

        Raises:
            DamagedError: nobody can tell any more which installation this was.

        """
        ...

    async def close(self) -> None:
        """Break off what is being put back; the next worker goes on from there."""
        ...


Reinstall = Callable[[], Coroutine[Any, Any, Mapping[str, SynclineError]]]
"""Puts back what captures changes, as an installation would; gives the entities of which it could not, and why."""


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

    async def compile(self, entities: Sequence[Entity], *, differs: Callable[[str], None]) -> Plans:
        """Compile what is installed of these entities, against the tables as they are now.

        Args:
            entities: as configured.
            differs: told where the configuration says otherwise than what is installed, which counts.

        Raises:
            NotInstalledError, VersionError: our tables are not there, or not of this version.
            ConfigError: an entity was not installed.

        """
        ...

    def lookout(self, reinstall: Reinstall | None, *, stopped: Collection[str]) -> Lookout | None:
        """Make what looks at the catalog; ``None``: the engine tells too little of it.

        Args:
            reinstall: called when something is not captured; ``None``: it is only said.
            stopped: entities that cannot be served; an installation may be able to change that.

        """
        ...

    async def close(self) -> None:
        """End the session; idempotent."""
        ...
