# ruff: noqa: INP001  Alembic runs this file; it is no package
"""Runs migrations in the database that DATABASE_URL names, or on the connection that a test hands over."""

import os

from alembic import context
from sqlalchemy import Connection, create_engine
from studybuddy.models import Base
from studybuddy.settings import sqlalchemy_url


def migrate(connection: Connection) -> None:
    """Run them, in one transaction."""
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
elif "DATABASE_URL" not in os.environ:
    raise SystemExit("set DATABASE_URL: postgresql://user:password@host/database")
else:
    with create_engine(sqlalchemy_url(os.environ["DATABASE_URL"])).connect() as opened:
        migrate(opened)
        opened.commit()
