"""Where each database stands in its tree."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from syncline.errors import MigrationError, NamedDatabaseError
from syncline.split.databases import Databases
from syncline.split.migrations.on_the_move import move_of
from syncline.split.migrations.plan import plan
from syncline.split.migrations.session import opened
from syncline.split.migrations.trees import ALL, Tree, trees


class State(StrEnum):
    """How it stands."""

    CURRENT = "up to date"
    PENDING = "pending"
    WRONG = "wrong"
    """It cannot be migrated as it is."""
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Standing:
    """One tree, and its database."""

    name: str
    place: str
    folder: str
    version_table: str
    state: State
    current: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    adopts: str | None = None
    """The revision that is noted as done by the tree of before."""
    pending: tuple[tuple[str, str], ...] = ()
    """Revisions to be run, with what they are for."""
    message: str | None = None
    hint: str | None = None

    def as_dict(self) -> dict[str, object]:
        """Write it for JSON."""
        return {
            "name": self.name,
            "place": self.place,
            "folder": self.folder,
            "version_table": self.version_table,
            "state": str(self.state),
            "current": list(self.current),
            "heads": list(self.heads),
            "adopts": self.adopts,
            "pending": [{"revision": revision, "message": message} for revision, message in self.pending],
            "message": self.message,
            "hint": self.hint,
        }


def standings(databases: Databases, wanted: str = ALL) -> list[Standing]:
    """Look at each. Reads only; what is wrong with one is said, and the others are looked at.

    Raises:
        ConfigError: there is no such database.

    """
    return [_standing(tree) for tree in trees(databases, wanted)]


def _standing(tree: Tree) -> Standing:
    place = tree.database.address.place
    about = (tree.name, place, str(tree.folder), tree.version_table)
    try:
        heads = tree.heads
        with opened(tree) as connection:
            here = plan(tree, connection)
        if (move := move_of(tree)) is not None:
            with opened(tree, move.address) as connection:
                here = plan(tree, connection)
    except NamedDatabaseError as error:
        return Standing(*about, State.UNREACHABLE, message=error.message, hint=error.hint)
    except MigrationError as error:
        return Standing(*about, State.WRONG, message=error.message, hint=error.hint)
    return Standing(
        *about,
        State.PENDING if here.lacks else State.CURRENT,
        here.current,
        heads,
        here.adopts,
        tuple((one.revision, one.doc) for one in here.pending),
    )
