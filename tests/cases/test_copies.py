"""Whose target it is: copies of the source, however equal, are refused; the original alarms and loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from pymongo import MongoClient
from typer.testing import CliRunner

from syncline.cli.main import app as application
from syncline.errors import ForeignTargetError
from syncline.ports import Beat, same_system
from syncline.postgres.connection import connect, identify
from syncline.relay.restores import judge_beat
from tests import engines, programs
from tests.cockroach.server import Simulator
from tests.relay import Relay, relayed, until


def template_copy(url: str, name: str) -> str:
    """CREATE DATABASE … TEMPLATE."""
    parts = urlsplit(url)
    with psycopg.connect(parts._replace(path="/postgres").geturl(), autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(parts.path[1:])))
    return parts._replace(path=f"/{name}").geturl()


def dumped_copy(url: str, name: str) -> str:
    """pg_dump into an empty database."""
    parts = urlsplit(url)
    with psycopg.connect(parts._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    copy = parts._replace(path=f"/{name}").geturl()
    programs.restore(copy, programs.dumped(url))
    return copy


COPIES = {"template": template_copy, "dump": dumped_copy}


@contextlib.contextmanager
def copied(relay: Relay, how: str) -> Iterator[str]:
    relay.conn.close()
    name = f"copy_{urlsplit(relay.url).path[1:]}"
    try:
        yield COPIES[how](relay.url, name)
    finally:
        admin = urlsplit(relay.url)._replace(path="/postgres").geturl()
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    relay.conn = psycopg.connect(relay.url, autocommit=True)


@contextlib.asynccontextmanager
async def stranger(url: str, relay: Relay) -> AsyncIterator[Relay]:
    """The copy, set up with the original's target."""
    other = Relay(url, relay.entities, relay.target)
    try:
        yield other
    finally:
        other.conn.close()


@pytest.fixture
async def original(database: str) -> AsyncIterator[Relay]:
    async with relayed(database) as relay:
        async with relay.worker():
            relay.sql("INSERT INTO item SELECT n, 'a' FROM generate_series(1, 100) AS n")
            await relay.drained()
            await relay.renewed()
        yield relay


async def refused(relay: Relay) -> str:
    with pytest.raises(ForeignTargetError) as caught:
        async with relay.worker():
            pass
    return str(caught.value)


@pytest.mark.parametrize("how", COPIES)
async def test_case_22_a_copy_of_the_source_is_refused_also_while_the_originals_worker_is_stopped(
    original: Relay, how: str
) -> None:
    with copied(original, how) as url:
        async with stranger(url, original) as copy:
            copy.sql("UPDATE item SET name = 'from the copy'")

            assert "adopt" in await refused(copy)

            assert copy.counts()["outbox"] == 100, "its changes wait"
            assert set(copy.notices()) - {"TableChanged"} == {"ForeignTarget"}, "a restored table has another oid"
    async with original.worker():
        original.sql("UPDATE item SET qty = 7")
        await original.equal()
    assert original.notices() == []


async def test_case_22_a_running_worker_ends_when_its_target_is_taken_over_and_loses_nothing(original: Relay) -> None:
    with copied(original, "template") as url:
        original.conn = psycopg.connect(original.url, autocommit=True)
        async with stranger(url, original) as copy:
            with pytest.raises(ForeignTargetError):  # noqa: PT012
                async with original.worker():
                    await copy.adopt()
                    await until(lambda: original.notices() == ["ForeignTarget"])
                    await asyncio.sleep(0.2)
            original.sql("UPDATE item SET name = 'of the original'")
            async with copy.worker():
                await copy.equal(tasks=True)
        assert await refused(original)
        assert original.counts()["outbox"] == 100
        await original.adopt()
        async with original.worker():
            await original.equal(tasks=True)
        assert original.sql(
            "SELECT count(*) FROM syncline.notice WHERE name = 'ForeignTarget' AND resolved_at IS NULL"
        ) == [(0,)]
        original.conn.close()


async def test_a_moved_source_is_adopted_once_and_goes_on_with_what_waited(original: Relay) -> None:
    """Dump and restore, pg_upgrade, blue/green by logical replication: another cluster, and legitimate."""
    original.sql("UPDATE item SET name = 'waits' WHERE id <= 10")
    original.sql("DELETE FROM item WHERE id = 11")
    with copied(original, "dump") as url:
        async with stranger(url, original) as moved:
            assert await refused(moved)
            await moved.adopt()
            async with moved.worker():
                await moved.equal(tasks=True)
            async with moved.worker():
                moved.sql("UPDATE item SET qty = 3")
                await moved.equal()
            assert moved.document(11) is None


@pytest.mark.engines
async def test_a_copied_directory_is_seen_once_both_have_run() -> None:
    """Byte-equal, same system identifier, same database: only what renewals leave in the target tells them apart."""
    with engines.running_postgres() as server, engines.scratch_folder() as folder:
        async with relayed(server.url) as one:
            async with one.worker():
                one.sql("INSERT INTO item VALUES (1, 'a')")
                await one.drained()
                await one.renewed()
            one.conn.close()
            server.stop()
            shutil.copytree(server.data_dir, folder / "copy")
            server.start()
            one.conn = psycopg.connect(one.url, autocommit=True)
            twin = engines.small_postgres(folder / "copy")
            try:
                async with stranger(twin.start().url, one) as other:
                    with pytest.raises(ForeignTargetError, match="copy of this source"):  # noqa: PT012
                        async with one.worker(), other.worker(ready=False):
                            await until(lambda: one.notices() or other.notices(), seconds=15)
                            await asyncio.sleep(1)
                    contested = [r for r in (one, other) if r.value("SELECT contested FROM syncline.meta")]
                    assert contested
                    assert "adopt" in await refused(contested[0]), "also when it is started again"
                    await one.adopt()
                    one.sql("UPDATE item SET name = 'mine'")
                    async with one.worker():
                        await one.equal(tasks=True)
            finally:
                twin.kill()


MINE = Beat("i", "s", 10, "1", "n1")
VERDICTS = {
    "nobody yet": (None, 0, False, None),
    "our own": (Beat("i", "s", 10, "1", "n1"), 9, True, None),
    "an older release's": (Beat("i", "s", 9, "1"), 9, True, None),
    "another cluster": (Beat("i", "x", 10, "1", "n1"), 9, False, "foreign"),
    "another cluster, another installation": (Beat("j", "x", 10, "1", "n1"), 9, True, "foreign"),
    "installed anew": (Beat("j", "s", 99, "1", "z"), 0, False, "reinstalled"),
    "restored source": (Beat("i", "s", 11, "1", "z"), 9, False, "source behind"),
    "somebody above, in a session that lasts": (Beat("i", "s", 11, "1", "z"), 9, True, "forked"),
    "another nonce": (Beat("i", "s", 10, "1", "z"), 9, False, "source behind"),
    "another nonce, in a session that lasts": (Beat("i", "s", 10, "1", "z"), 9, True, "forked"),
    "promoted": (Beat("i", "s", 10, "2", "z"), 9, False, "promoted"),
    "another timeline, in a session that lasts": (Beat("i", "s", 10, "2", "z"), 9, True, "forked"),
    "restored target": (Beat("i", "s", 8, "1", "z"), 9, True, "target behind"),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_what_the_target_remembers_is_judged(name: str) -> None:
    found, confirmed, lasting, verdict = VERDICTS[name]

    assert judge_beat(found, MINE, confirmed, nonces=["n1", "n0"], lasting=lasting) == verdict


async def test_cockroachdb_the_cluster_is_asked_for_its_identity_not_the_installation(cockroach: Simulator) -> None:
    """A restored copy has the original's row of syncline.meta, whatever that says."""
    async with relayed(cockroach.url) as relay:
        relay.sql("UPDATE syncline.meta SET cluster = 'the original/defaultdb'")
        async with await connect(relay.url) as connection:
            assert (await identify(connection)).system == relay.value(
                "SELECT crdb_internal.cluster_id()::text || '/' || current_database()"
            )
        with psycopg.connect(cockroach.postgres_url, autocommit=True) as behind:
            behind.execute("DROP FUNCTION crdb_internal.cluster_id()")
        async with await connect(relay.url) as connection:
            assert (await identify(connection)).system == "the original/defaultdb"


async def test_cockroachdb_another_cluster_is_refused(cockroach: Simulator) -> None:
    async with relayed(cockroach.url) as relay:
        async with relay.worker():
            relay.sql("INSERT INTO item VALUES (1, 'a', 0)")
            await relay.drained()
            await relay.renewed()
        with psycopg.connect(cockroach.postgres_url, autocommit=True) as behind:
            behind.execute(
                "CREATE OR REPLACE FUNCTION crdb_internal.cluster_id() RETURNS uuid LANGUAGE sql"
                " AS $$ SELECT '00000000-0000-4000-8000-000000000001'::uuid $$"
            )
        assert "00000000" not in await refused(relay)
        await relay.adopt()
        async with relay.worker():
            await relay.equal(tasks=True)


def test_a_worker_does_not_adopt(tmp_path: Path) -> None:
    (tmp_path / "syncline.toml").write_text("")
    outcome = CliRunner().invoke(application, ["worker", "--adopt", "--config", str(tmp_path / "syncline.toml")])

    assert outcome.exit_code == 3
    assert "syncline adopt" in outcome.output


def test_adopting_asks_first_and_says_when_there_is_nothing_to_do(
    database: str, mongo_url: str, mongo_db: str, tmp_path: Path
) -> None:
    async def set_up() -> str:
        async with relayed(database, (mongo_url, mongo_db)) as relay:
            return relay.toml()

    config = tmp_path / "syncline.toml"
    config.write_text(asyncio.run(set_up()).replace("grace_seconds = 1.0", "grace_seconds = 60"))
    adopt = ["adopt", "--config", str(config)]
    first = CliRunner().invoke(application, [*adopt, "--json"])
    with MongoClient(mongo_url) as client:
        client[mongo_db]["_syncline"].insert_one({"_id": "source", "installation": "x", "system": "1/2", "count": 7})
    asked = CliRunner().invoke(application, adopt)
    done = CliRunner().invoke(application, [*adopt, "--yes"])
    again = CliRunner().invoke(application, adopt)

    assert json.loads(first.stdout) == {"adopted": False, "from": None}
    assert (asked.exit_code, done.exit_code, again.exit_code) == (3, 0, 0)
    assert "1/2" in asked.output
    assert "already" in again.output
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT kind FROM syncline.task ORDER BY 1").fetchall() == [("backfill",), ("sweep",)]


def test_an_identity_that_may_not_be_read_is_compared_as_far_as_it_goes() -> None:
    assert same_system("unknown cluster/db", "c1/db")
    assert not same_system("unknown cluster/db", "c1/other")
    assert not same_system("c1/db", "c2/db")
