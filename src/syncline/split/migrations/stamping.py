"""Noting a revision without running it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alembic.runtime.environment import EnvironmentContext

from syncline.split.migrations.environment import WORK, Work
from syncline.split.migrations.on_the_move import on_the_move
from syncline.split.migrations.session import PATIENT, Patience, Watch, alone, on_sqlalchemy, versions
from syncline.split.migrations.trees import Tree, told


def stamp(tree: Tree, revision: str, patience: Patience = PATIENT) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Note that a database is at a revision; give where it was and is.

    Raises:
        MigrationError: the tree does not have the revision, or the one where it was.

    """
    move = on_the_move(tree.databases, tree.name, tree.version_table, patience.runner_seconds)
    with alone(tree, patience, move.address if move else None) as connection:
        before = versions(connection, tree.version_table) or ()

        def steps(heads: Any, _: Any) -> Iterator[Any]:
            yield from tree.scripts._stamp_revs(revision, heads)  # noqa: SLF001  as Alembic's own command does

        with told(tree), on_sqlalchemy(connection, Watch(tree.databases.routing, tree.name), patience) as lent:
            config = tree.config(**{WORK: Work(tree, lent)})
            with EnvironmentContext(config, tree.scripts, fn=steps):
                tree.scripts.run_env()
        if move is not None:
            move.carry(connection)
        return before, versions(connection, tree.version_table) or ()
