"""Legitimate moves of the source: pg_upgrade, failover, blue/green. (Dump and restore: test_copies.py.)

What the worker says, what the operator types, and that nothing is lost; docs/how-to/copies-and-moves.md tells it the same way.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from syncline.embedded.postgres import BINARIES_VARIABLE, PrivatePostgres, find_binaries
from syncline.embedded.process import ServerProcess
from tests import engines, programs
from tests.cases.test_copies import refused, stranger
from tests.relay import ITEMS, Relay, relayed, until
from tests.standby import standby_of

DEBIANS = Path("/usr/lib/postgresql/15/bin")


@contextlib.asynccontextmanager
async def filled(url: str) -> AsyncIterator[Relay]:
    """A source with 50 records that are applied."""
    async with relayed(url) as relay:
        async with relay.worker():
            relay.sql("INSERT INTO item SELECT n, 'a' FROM generate_series(1, 50) AS n")
            await relay.drained()
            await relay.renewed()
        yield relay


def changed_meanwhile(relay: Relay) -> None:
    relay.sql("UPDATE item SET name = 'waits' WHERE id <= 10")
    relay.sql("DELETE FROM item WHERE id = 11")
    relay.sql("INSERT INTO item VALUES (60, 'waits')")


async def goes_on(relay: Relay) -> None:
    """A worker brings what waited, and what comes."""
    async with relay.worker():
        await relay.equal(tasks=True, deferred=True, seconds=60)
        relay.sql("UPDATE item SET qty = qty + 1")
        await relay.equal(seconds=60)


def run(binaries: Path, folder: Path, program: str, *arguments: object) -> None:
    """Run a program of the server, as nobody in particular: it refuses to be root."""
    folder.mkdir(exist_ok=True)
    process = ServerProcess(
        [str(binaries / program), *map(str, arguments)],
        log=folder / f"{program}.log",
        stop_signal=signal.SIGTERM,
        environment={"LC_ALL": "C.UTF-8", "LD_LIBRARY_PATH": str(binaries.parent / "lib"), "PGDATA": ""},
        private_folder=folder,
    )
    assert process.wait(timeout_seconds=300) == 0, process.log_tail()


def upgraded(old: PrivatePostgres, old_binaries: Path, folder: Path) -> Path:
    """Do as an operator does: stop it, initdb with the new programs, pg_upgrade."""
    binaries, data = find_binaries(), folder / "upgraded"
    old.stop()
    checksums = ["--no-data-checksums"] if old_binaries != binaries else []
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", *checksums]
    run(binaries, folder / "initdb", "initdb", f"--pgdata={data}", *options)
    work = folder / "work"
    sides = ["-b", old_binaries, "-B", binaries, "-d", old.data_dir, "-D", data]
    run(binaries, work, "pg_upgrade", *sides, "-U", "postgres", "-s", work, "--no-sync")
    return data


@pytest.fixture(params=["same", "15"])
def old_binaries(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The programs of the cluster that is upgraded; pg_upgrade takes its own major version too."""
    new = find_binaries()
    if not (new / "pg_upgrade").exists():
        pytest.skip("no pg_upgrade beside this server: npm's packages have the server alone")
    if request.param == "same":
        yield new
    elif programs.major(new) <= 15 or not (DEBIANS / "pg_resetwal").exists():
        pytest.skip("no older PostgreSQL with all of its programs here (Debian's postgresql-15)")
    else:
        monkeypatch.setenv(BINARIES_VARIABLE, str(DEBIANS))
        yield DEBIANS


@pytest.mark.engines
async def test_a_cluster_that_pg_upgrade_has_made_is_adopted_once(
    old_binaries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its system identifier is another one; marks, leases and what waited came along."""
    with engines.running_postgres() as old, engines.scratch_folder() as folder:
        async with filled(old.url) as relay:
            changed_meanwhile(relay)
            relay.conn.close()
            monkeypatch.delenv(BINARIES_VARIABLE, raising=False)
            new = engines.small_postgres(upgraded(old, old_binaries, folder))
            try:
                async with stranger(new.start().url, relay) as moved:
                    assert moved.counts()["outbox"] == 12
                    assert "the target belongs to another source" in await refused(moved)
                    await moved.adopt()
                    await goes_on(moved)
                    assert moved.document(11) is None
            finally:
                new.kill()


def either(*servers: PrivatePostgres) -> str:
    """Address several servers, of which the one that takes writes is meant."""
    wheres = [parse_qs(urlsplit(server.url).query) for server in servers]
    hosts, ports = (",".join(where[name][0] for where in wheres) for name in ("host", "port"))
    return f"postgresql://postgres@/postgres?host={hosts}&port={ports}&target_session_attrs=read-write"


@pytest.mark.engines
async def test_a_running_worker_follows_a_failover_to_a_standby_and_marks_everything() -> None:
    """The same cluster on another timeline; what the standby had not received yet is gone from the target too."""
    with engines.running_postgres() as primary, standby_of(primary) as standby:
        async with relayed(either(primary, standby)) as relay, relay.worker():
            relay.sql("INSERT INTO item SELECT n, 'a' FROM generate_series(1, 50) AS n")
            await relay.equal()
            standby_has(standby, "SELECT count(*) = 50 FROM item")
            cut_off(primary)
            relay.sql("UPDATE item SET name = 'never received' WHERE id <= 5")
            relay.sql("INSERT INTO item VALUES (60, 'never received')")
            await relay.drained()
            primary.kill()
            relay.conn.close()
            with psycopg.connect(standby.url, autocommit=True) as conn:
                conn.execute("SELECT pg_promote()")
            relay.conn = psycopg.connect(relay.url, autocommit=True)
            relay.sql("UPDATE item SET qty = 2 WHERE id > 40")
            await until(lambda: "Restored" in relay.notices(), seconds=60)
            await relay.equal(tasks=True, deferred=True, seconds=60)
            assert relay.document(60) is None
            assert relay.document(1)["name"] == "a"
        assert any("another timeline" in message for _, message in relay.seen.notices)


def cut_off(primary: PrivatePostgres) -> None:
    """Let the standby receive nothing any more."""
    rules = primary.data_dir / "pg_hba.conf"
    rules.write_text(f"local replication all reject\n{rules.read_text()}")
    with psycopg.connect(primary.url, autocommit=True) as conn:
        conn.execute("SELECT pg_reload_conf()")
        conn.execute("SELECT pg_sleep(0.2), pg_terminate_backend(pid) FROM pg_stat_replication")


def standby_has(standby: PrivatePostgres, question: str) -> None:
    """Wait until the standby has received it."""
    with psycopg.connect(standby.url, autocommit=True) as conn:
        for _ in range(2000):
            row = conn.execute(question).fetchone()
            if row and row[0]:
                return
            conn.execute("SELECT pg_sleep(0.02)")
    raise AssertionError(f"the standby never has: {question}")


@pytest.mark.engines
async def test_blue_green_by_logical_replication_is_adopted_once() -> None:
    """Green is another cluster with an installation of its own; its URL takes blue's place in the file."""
    with engines.running_postgres() as blue, engines.running_postgres(own_identity=True) as green:
        async with filled(blue.url) as relay:
            relay.sql("CREATE PUBLICATION p FOR TABLE item")
            async with stranger(green.url, relay) as moved:
                moved.sql(ITEMS)
                conninfo = psycopg.sql.Literal(blue.url)
                moved.sql(psycopg.sql.SQL("CREATE SUBSCRIPTION s CONNECTION {} PUBLICATION p").format(conninfo))
                await moved.install()
                async with relay.worker():
                    relay.sql("UPDATE item SET name = 'while it is copied' WHERE id <= 10")
                    await relay.drained()
                changed_meanwhile(relay)  # the last of blue: no worker has applied it
                await until(lambda: moved.rows(relay.entities[0]) == relay.rows(relay.entities[0]), seconds=60)
                moved.sql("DROP SUBSCRIPTION s")
                assert "the target belongs to another source" in await refused(moved)
                await moved.adopt()
                await goes_on(moved)
                assert moved.document(11) is None
                assert "the target belongs to another source" in await refused(relay)
                await moved.install()
                triggers = moved.sql(
                    "SELECT tgname FROM pg_trigger WHERE tgrelid = 'item'::regclass AND tgname ~ 'syncline'"
                )
                assert "syncline_1_row" not in {name for (name,) in triggers}
