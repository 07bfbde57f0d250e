"""Migrations: up, down, up again; and they make what the models say."""

from __future__ import annotations

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from studybuddy.models import Base

from tests.acceptance.studybuddy.system import migrate

TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"


def count(url: str, question: str = TABLES) -> int:
    with psycopg.connect(url) as connection:
        return connection.execute(question).fetchone()[0]  # type: ignore[index]


@pytest.fixture
def migrated(database: str) -> str:
    migrate(database, "head")
    return database


def test_models_and_migrations_agree(migrated: str) -> None:
    engine = create_engine(f"postgresql+psycopg://{migrated.partition('://')[2]}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_up_down_up(migrated: str) -> None:
    assert count(migrated) == len(Base.metadata.tables)
    migrate(migrated, "base")
    assert count(migrated) == 0
    assert count(migrated, "SELECT count(*) FROM pg_type WHERE typnamespace = 'public'::regnamespace") <= 2
    migrate(migrated, "head")
    assert count(migrated) == len(Base.metadata.tables)
