"""An application's pools, as they are kept ready for a switch: psycopg's, and SQLAlchemy's where it is in use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncline.split.server import Server

if TYPE_CHECKING:
    from syncline.split.engines import Engines


@dataclass(frozen=True)
class OfServers:
    """psycopg's pools; see ``syncline.split.switching.standby.Pools``."""

    servers: Mapping[str, Server]

    def keep(self, side: str, like: str) -> None:
        """Have as many connections open to one server as there are to another."""
        self.servers[side].keep(self.servers[like])

    def release(self) -> None:
        """Let connections be closed that nobody has asked for."""
        for server in self.servers.values():
            server.release()


@dataclass(frozen=True)
class OfEngines:
    """SQLAlchemy's."""

    made: Callable[[], Engines | None]

    def keep(self, side: str, like: str) -> None:
        """Have as many connections open to one server as there are to another."""
        if (engines := self.made()) is not None:
            engines.keep(side, like)

    def release(self) -> None:
        """Keep what is open: such a pool lets no connection go by itself."""
