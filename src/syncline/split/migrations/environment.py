"""What a tree's ``env.py`` does: Alembic is given the session, the side's own tables and the table of versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import context
from alembic.config import Config
from sqlalchemy import Connection

from syncline.errors import ConfigError
from syncline.split.databases import Databases
from syncline.split.migrations.comparing import Own, foreign_tables, metadata_of
from syncline.split.migrations.rendering import OFFLINE
from syncline.split.migrations.session import Patience, Watch, alone, on_sqlalchemy
from syncline.split.migrations.trees import Tree, trees

WORK = "syncline"
"""The attribute of Alembic's configuration in which a command of Syncline's puts its work."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a command hands to ``env.py``."""

    tree: Tree
    connection: Connection | None
    """None: SQL is written, and nothing is sent."""
    foreign: frozenset[Any] = frozenset()


def run(options: Mapping[str, Any]) -> None:
    """Do what was asked for: by a command of Syncline's, or by ``alembic`` itself."""
    work = context.config.attributes.get(WORK)
    if work is not None:
        _run(work, options)
        return
    with Databases.from_environment() as databases:
        tree = _tree(databases, context.config)
        if context.is_offline_mode():
            _run(Work(tree, None), options)
            return
        with alone(tree, Patience()) as connection:
            foreign = foreign_tables(connection)
            with on_sqlalchemy(connection, Watch(databases.routing, tree.name)) as lent:
                _run(Work(tree, lent, foreign), options)


def _run(work: Work, options: Mapping[str, Any]) -> None:
    tree = work.tree
    if work.connection is None:
        context.configure(version_table=tree.version_table, **{**OFFLINE, **options})
    else:
        ownership = tree.databases.routing.ownership
        own = Own(tree, ownership, work.foreign)
        given = {
            "connection": work.connection,
            "target_metadata": metadata_of(ownership, tree.name),
            "version_table": tree.version_table,
            "transaction_per_migration": True,
            "include_schemas": True,
            "include_name": own.include_name,
            "include_object": own.include_object,
        }
        context.configure(**{**given, **options})
    with context.begin_transaction():
        context.run_migrations()


def _tree(databases: Databases, config: Config) -> Tree:
    """Find the tree whose ``env.py`` Alembic runs."""
    place = Path(config.get_main_option("script_location") or "").resolve()
    for tree in trees(databases):
        if tree.folder.resolve() == place:
            return tree
    raise ConfigError(f"{place} is no database's tree", hint="set migrations in [databases.NAME] of syncline.toml")
