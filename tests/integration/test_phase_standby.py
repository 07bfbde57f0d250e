"""A PostgreSQL of several servers: phases are those of the primary, and a standby is never taken for it."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from syncline.config.documents import Documents
from syncline.config.urls import of_primary
from syncline.errors import PhaseUnknownError, TargetRefusedError
from syncline.phases import JournalPhases, Phase
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.in_postgresql import InPostgreSQL
from syncline.phases.standing import Standing
from syncline.phases.switching.opening import address_of_target
from syncline.split.switching.gate import Session
from tests.phase_switch import TASKS
from tests.standby import standby_of

pytestmark = pytest.mark.engines


def several(*urls: str) -> str:
    """Name several servers, in this order."""
    parts = [parse_qs(urlsplit(url).query) for url in urls]
    hosts, ports = (",".join(one[name][0] for one in parts) for name in ("host", "port"))
    return f"postgresql://postgres@/postgres?host={hosts}&port={ports}"


@pytest.mark.postgres(14, "in_hot_standby is told with a connection")
async def test_of_several_servers_the_primary_is_asked_and_a_standby_alone_is_refused_by_name(
    private_postgres, mongo_url, mongo_db
):
    mongodb = mongo_url.replace("/?", f"/{mongo_db}?")
    standing = {"tasks": Standing(Phase.LIVE, 0.0, 3, datetime.now(UTC))}
    place = InPostgreSQL(private_postgres.url)
    place.prepare()
    place.put(standing)
    place.close()
    there = InMongoDB(mongodb)
    there.put(standing)
    there.close()
    with standby_of(private_postgres) as standby:
        both = several(standby.url, private_postgres.url)
        with psycopg.connect(both) as connection:  # what libpq does by itself
            assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
        session = Session(address_of_target(Documents((TASKS,), None, {"source": mongodb, "target": both})))
        assert await session.rows("SELECT pg_is_in_recovery()", {}) == [(False,)]
        await session.aclose()
        with JournalPhases(mongodb, both, env={}) as phases:
            assert phases.of("tasks") is Phase.LIVE
        alone = InPostgreSQL(standby.url)
        with pytest.raises(TargetRefusedError, match="is a standby") as refused:
            alone.read()
        assert "name the primary" in refused.value.hint
        alone.close()
        with JournalPhases(mongodb, standby.url, env={}) as phases, pytest.raises(PhaseUnknownError, match="standby"):
            phases.of("tasks")


@pytest.mark.parametrize(
    ("url", "asks"),
    [
        ("postgresql://a,b/x", "?target_session_attrs=read-write"),
        ("postgresql://u:p@a:1,b:2/x?sslmode=require", "&target_session_attrs=read-write"),
        ("postgresql:///x?host=/a,/b", "&target_session_attrs=read-write"),
        ("postgresql://a/x", ""),
        ("postgresql://a,b/x?target_session_attrs=any", ""),
    ],
)
def test_a_url_of_several_servers_asks_for_the_primary_unless_it_says_what_it_wants(url, asks):
    assert of_primary(url) == url + asks
