"""The moves of the named databases of a configuration, for a page that shows how they stand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncline.cli.application import named_databases
from syncline.cli.split_move import Declared, declared
from syncline.cli.split_status import look
from syncline.errors import SynclineError

if TYPE_CHECKING:
    from syncline.config import Settings


@dataclass
class Moves:
    """Those of the databases that could move, by name."""

    known: dict[str, Declared] = field(default_factory=dict)

    def links(self) -> list[Settings]:
        """Give the links of those that have begun."""
        begun = [one for move in self.known.values() if (one := move.moving()) is not None]
        return [way for one in begun for way in (one.ways.there, one.ways.back)]

    async def read(self) -> list[dict[str, Any]]:
        """Say how each stands."""
        from syncline.split.moving.telling import as_dict

        return [as_dict(name, *await look(move)) for name, move in self.known.items()]


@contextmanager
def opened_moves(config: Path | None) -> Iterator[Moves]:
    """Find the databases that could move, for a block; none where no named databases are declared."""
    found = Moves()
    with ExitStack() as stack:
        with suppress(SynclineError, ImportError):
            names = [one.name for one in stack.enter_context(named_databases(config)).configured.databases]
            for name in names if len(names) > 1 else ():
                with suppress(SynclineError):
                    found.known[name] = stack.enter_context(declared(config, None, name))
        yield found
