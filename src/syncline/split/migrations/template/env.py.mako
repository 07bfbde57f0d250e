"""Alembic runs this file. What it does stands in syncline.toml; options of Alembic's configure() may be given to run()."""

from syncline.split.migrations import run

run()
