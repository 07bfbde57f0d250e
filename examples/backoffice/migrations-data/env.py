# ruff: noqa: INP001  Alembic runs this file; it is no package
"""Alembic runs this file. What it does stands in syncline.toml."""

from syncline.split.migrations import run

run()
