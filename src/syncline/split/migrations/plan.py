"""Where a database stands in its tree, and what it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from alembic.script import Script

from syncline.errors import MigrationError
from syncline.split.migrations.carried import OLD_TABLE
from syncline.split.migrations.session import versions
from syncline.split.migrations.trees import Tree, trees


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done in one tree."""

    tree: Tree
    current: tuple[str, ...]
    """Revisions at which the database is."""
    adopts: str | None
    """A first revision that is noted without being run: the tree of before has done what it does."""
    pending: tuple[Script, ...]
    """What is to be run, oldest first."""

    @property
    def lacks(self) -> bool:
        """Tell whether something is to be noted or run."""
        return bool(self.pending or self.adopts)


def plan(tree: Tree, connection: psycopg.Connection[Any], to: str | None = None) -> Plan:
    """Compare a database with its tree.

    Args:
        tree: the tree.
        connection: to its database.
        to: the revision to reach; by default the head.

    Raises:
        MigrationError: the tree has several heads, or the database is at a revision that it does not have.

    """
    target = to or tree.head() or "heads"
    current = versions(connection, tree.version_table) or ()
    _not_the_others(tree, current)
    adopts = None if current else adopted(tree, connection)
    start: Sequence[str] = (adopts,) if adopts else current
    return Plan(tree, current, adopts, tuple(tree.pending(start, target)))


def adopted(tree: Tree, connection: psycopg.Connection[Any]) -> str | None:
    """Find the first revision that says by ``replaces`` that the tree of before has come as far.

    Raises:
        MigrationError: that tree stands elsewhere.

    """
    for base in tree.scripts.get_bases():
        replaces = getattr(tree.scripts.get_revision(base).module, "replaces", None)
        if replaces is None or tree.version_table == OLD_TABLE:
            continue
        wanted = (replaces,) if isinstance(replaces, str) else tuple(replaces)
        stands = versions(connection, OLD_TABLE)
        if stands and set(stands) != set(wanted):
            raise MigrationError(
                f"{tree.name}: {base} replaces the tree of before up to {', '.join(wanted)}, "
                f"and this database is at {', '.join(stands)} of it ({OLD_TABLE})",
                hint=f"bring it there by that tree first: alembic upgrade {wanted[0]}",
            )
        if stands:
            return base
    return None


def _not_the_others(tree: Tree, current: Sequence[str]) -> None:
    """Name the tree to which an unknown revision belongs."""
    for one in current:
        if tree.knows(one):
            continue
        for other in trees(tree.databases):
            if other.name != tree.name and other.exists and other.knows(one):
                raise MigrationError(
                    f"{tree.name}: {tree.version_table} holds {one}, a revision of {other.name}",
                    hint="two trees have written to one table, or the URLs are swapped",
                )
