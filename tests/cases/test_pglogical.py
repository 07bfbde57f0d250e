"""Debian's pglogical, really run: what it applies is captured once an installation has put row triggers there.

Its release is for one PostgreSQL; the server is Debian's of that release, and ``make matrix`` runs this there.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from syncline.embedded.postgres import BINARIES_VARIABLE
from syncline.relay import keeper
from tests import engines, programs
from tests.debian import UnavailableError, server_with
from tests.relay import entity, relayed, until

MAJOR = 15
T = entity("t")
PLAIN = "CREATE TABLE t (id bigint PRIMARY KEY, name text)"
SETTINGS = {
    "wal_level": "logical",
    "shared_preload_libraries": "pglogical",
    "max_worker_processes": 20,
    "track_commit_timestamp": "on",
}
pytestmark = pytest.mark.engines


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[psycopg.Connection, str]]:
    """A provider with a row, and the URL of its server, where there is another database."""
    if (here := programs.server_major()) != MAJOR:
        pytest.skip(f"Debian's pglogical: PostgreSQL {MAJOR}, and this is {here}; `make matrix` runs it")
    try:
        monkeypatch.setenv(BINARIES_VARIABLE, str(server_with("pglogical", MAJOR)))
    except UnavailableError as error:
        pytest.skip(f"pglogical: {error}")
    with (
        engines.running_postgres(settings=SETTINGS) as server,
        psycopg.connect(server.url, autocommit=True) as provider,
    ):
        trust(provider)
        provider.execute("CREATE DATABASE follower")
        provider.execute(PLAIN)
        provider.execute("INSERT INTO t VALUES (1, 'copied')")
        provider.execute("CREATE EXTENSION pglogical")
        provider.execute("SELECT pglogical.create_node('provider', %s)", [plain(server.url)])
        provider.execute("SELECT pglogical.replication_set_add_table('default', 't', true)")
        yield provider, server.url


def trust(provider: psycopg.Connection) -> None:
    """Newer minor releases let nobody load an output plugin that is not named."""
    if provider.execute("SELECT FROM pg_settings WHERE name = 'output_plugin_libraries'").fetchone() is not None:
        provider.execute("ALTER SYSTEM SET output_plugin_libraries = pgoutput, pglogical_output")
        provider.execute("SELECT pg_reload_conf()")


def plain(url: str) -> str:
    """Write it as pglogical reads it: words, no URL."""
    return make_conninfo(**conninfo_to_dict(url))


async def test_what_pglogical_applies_arrives(
    sides: tuple[psycopg.Connection, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(keeper, "LOOK_SHARE", 0)
    provider, there = sides
    url = urlsplit(there)._replace(path="/follower").geturl()
    async with relayed(url, ddl=PLAIN, entities=[T]) as relay, relay.worker():
        relay.sql("CREATE EXTENSION pglogical")
        relay.sql("SELECT pglogical.create_node('follower', %s)", plain(url))
        relay.sql("SELECT pglogical.create_subscription('s', %s)", plain(there))
        try:
            await until(lambda: "CaptureBroken" in relay.notices(), what=relay.notices)
            await until(lambda: relay.value("SELECT count(*) FROM t") == 1, what="the row is copied")
            await relay.install()
            provider.execute("INSERT INTO t VALUES (2, 'captured'), (3, 'gone')")
            provider.execute("UPDATE t SET name = 'changed' WHERE id = 1")
            provider.execute("DELETE FROM t WHERE id = 3")
            wanted = {"1": "changed", "2": "captured"}
            await until(lambda: {k: one["name"] for k, one in relay.documents(T).items()} == wanted)
            provider.execute("TRUNCATE t")
            await until(lambda: relay.documents(T) == {}, what="emptied")
            (status,) = relay.sql("SELECT status FROM pglogical.show_subscription_status('s')")
            assert status == ("replicating",), "no trigger of ours stops it"
        finally:
            relay.sql("SELECT pglogical.drop_subscription('s')")
