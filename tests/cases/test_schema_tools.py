"""Alembic beside Syncline: the filter of docs/how-to/schema-tools.md, as it stands there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from tests.integration.capture_case import Case, entity

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "schema-tools.md"


def include_name() -> Any:
    """Take the function out of the page."""
    found = re.search(r"^def include_name.*?\n\n", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    made: dict[str, Any] = {}
    exec(found[0], made)  # noqa: S102  it is ours
    return made["include_name"]


@pytest.fixture
def case(database: str) -> Iterator[Case]:
    with Case(database, [entity("item", "item")]) as made:
        made.sql("CREATE TABLE item (id bigint PRIMARY KEY, name text)")
        made.install()
        yield made


def differences(case: Case, **options: Any) -> list[str]:
    metadata = sa.MetaData()
    sa.Table("item", metadata, sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("name", sa.Text))
    engine = sa.create_engine(case.url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"target_metadata": metadata, **options})
            return [str(difference[0]) for difference in compare_metadata(context, metadata)]
    finally:
        engine.dispose()


def test_alembic_that_looks_at_every_schema_would_drop_our_tables(case: Case) -> None:
    with pytest.warns(sa.exc.SAWarning, match="xid8"):
        found = differences(case, include_schemas=True)

    assert "remove_table" in found


def test_alembic_with_the_filter_of_the_guide_sees_nothing_of_ours(case: Case) -> None:
    assert differences(case, include_schemas=True, include_name=include_name()) == []


def test_alembic_as_it_comes_sees_nothing_of_ours(case: Case) -> None:
    assert differences(case) == []
