"""A revision as SQL: what it would send, without a database."""

from __future__ import annotations

from io import StringIO

from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.script import Script

from syncline.errors import UnrenderedError
from syncline.split.migrations.trees import Tree, where

OFFLINE = {"dialect_name": "postgresql", "literal_binds": True, "dialect_opts": {"paramstyle": "named"}}
"""How Alembic is to write SQL."""


def rendered(tree: Tree, revision: Script) -> str:
    """Write a revision's upgrade as SQL.

    Raises:
        UnrenderedError: it reads from the database, or fails.

    """
    text = StringIO()
    with EnvironmentContext(tree.config(), tree.scripts, as_sql=True) as environment:
        environment.configure(output_buffer=text, version_table=tree.version_table, **OFFLINE)  # type: ignore[arg-type]
        with Operations.context(environment.get_context()):
            try:
                revision.module.upgrade()
            except Exception as error:  # a user's code may raise anything
                message = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
                raise UnrenderedError(
                    f"{tree.name}: revision {revision.revision} cannot be written as SQL: {message}",
                    hint=where(error, tree),
                ) from error
    return text.getvalue()
