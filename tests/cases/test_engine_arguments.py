"""The application's own engine takes the URL that poolers and other clients have written into."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text

from syncline.config import engine_arguments
from syncline.errors import ConfigError

PLAIN = "postgresql+psycopg://u:p%40@h/d"
UNPREPARED = {"connect_args": {"prepare_threshold": None}}


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgresql://u:p%40@h/d", (PLAIN, {})),
        ("postgres://u:p%40@h/d?schema=public", (PLAIN, {})),
        ("postgresql+asyncpg://u:p%40@h/d", (PLAIN, {})),
        ("postgresql://u:p%40@h/d?pgbouncer=true", (PLAIN, UNPREPARED)),
        ("postgresql://u:p%40@h/d?pgbouncer=false", (PLAIN, {})),
        (
            "postgresql://u:p%40@h/d?connection_limit=5&sslmode=require&pool_timeout=7&pgbouncer=true",
            (f"{PLAIN}?sslmode=require", {"pool_size": 5, "max_overflow": 0, "pool_timeout": 7, **UNPREPARED}),
        ),
        ("cockroachdb://u@h:26257/d?sslmode=disable", ("cockroachdb+psycopg://u@h:26257/d?sslmode=disable", {})),
    ],
)
def test_url_and_options(url, found):
    assert engine_arguments(url) == found


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "postgresql://u:secret@h/d?connection_limit=many"])
def test_what_cannot_be_is_an_error_without_the_password(url):
    with pytest.raises(ConfigError) as error:
        engine_arguments(url)
    assert "secret" not in f"{error.value} {error.value.hint}"


def test_an_engine_connects_by_such_a_url(database):
    url, options = engine_arguments(f"{database}&pgbouncer=true&connection_limit=2&schema=public")
    engine = create_engine(url, **options)
    try:
        with engine.connect() as first, engine.connect() as second:
            assert [one.execute(text("SELECT 1")).scalar_one() for one in (first, second)] == [1, 1]
            assert first.connection.driver_connection.prepare_threshold is None
            assert engine.pool.size() == 2
    finally:
        engine.dispose()
