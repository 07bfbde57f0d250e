"""Migrations of each named database: a tree of Alembic's for each, run in the order of the configuration.

``run`` is what a tree's ``env.py`` calls. ``pip install 'syncline[migrations]'``.
"""

from __future__ import annotations

from typing import Any

__all__ = ["run"]


def run(**options: Any) -> None:
    """Run what Alembic was asked for, in the tree whose ``env.py`` calls this.

    Args:
        options: for Alembic's ``context.configure``, such as ``compare_server_default=True``.

    """
    from syncline.split.migrations.environment import run as run_environment

    run_environment(options)
