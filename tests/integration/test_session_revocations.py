"""Revocations between caches, on the engines that carry them: nobody is let in whose revocation was committed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from syncline.cache import (
    CacheUnavailableError,
    ListenedRevocations,
    PolledRevocations,
    PublishedRevocations,
    SessionCache,
    removal_sql,
    revocation_sql,
    setup_sql,
)
from syncline.cache.revocations import digest
from syncline.errors import ConfigError, NotInstalledError, PoolerError
from tests.bouncer import bouncer
from tests.unit.test_cache import SOON, Loads
from tests.valkey import PrivateValkey, running_valkey

Make = Callable[[], Any]
AGED = "UPDATE syncline_sessions.revocation SET at = now() - interval '11 minutes'"


@pytest.fixture
def primary(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the application to the database that holds its sessions."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(setup_sql())
        connection.execute("CREATE TABLE member (id int PRIMARY KEY, role text)")
        connection.execute("INSERT INTO member VALUES (1, 'member'), (2, 'member')")
        yield connection


@pytest.fixture(params=["listened", "polled", "polled through PgBouncer"])
def make(
    request: pytest.FixtureRequest, primary: psycopg.Connection[Any], database: str, tmp_path: Path
) -> Iterator[Make]:
    if request.param == "listened":
        yield lambda: ListenedRevocations(database)
    elif request.param == "polled":
        yield lambda: PolledRevocations(database, folder=tmp_path)
    else:
        with bouncer(database) as url:
            yield lambda: PolledRevocations(f"{url}&pgbouncer=true", folder=tmp_path)


@pytest.fixture
async def caches(make: Make) -> AsyncIterator[list[SessionCache[int]]]:
    async with AsyncExitStack() as stack:
        opened = [opening(make()) for _ in range(3)]
        for cache in opened:
            await stack.enter_async_context(cache)
        await until(lambda: all(cache.current for cache in opened))
        yield opened


def opening(revocations: Any) -> SessionCache[int]:
    """Open a cache whose sessions do not end by themselves within a test."""
    return SessionCache(names=lambda user: [f"user:{user}"], revocations=revocations, ttl=timedelta(hours=1))


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.01)


async def kept(caches: list[SessionCache[int]], key: str, user: int) -> Loads:
    """Let every cache keep a session; return the load, counted from now on."""
    load = Loads(user)

    async def keep(cache: SessionCache[int]) -> None:
        while cache._sessions.find(key) is None:
            await cache.get(key, load)
            await asyncio.sleep(0.01)

    async with asyncio.timeout(SOON):
        await asyncio.gather(*map(keep, caches))
    load.count = 0
    return load


async def test_a_revocation_is_heard_when_its_transaction_commits(
    caches: list[SessionCache[int]], primary: psycopg.Connection[Any]
):
    load = await kept(caches, "s1", 1)
    await kept(caches, "s2", 2)
    with primary.transaction():
        primary.execute("UPDATE member SET role = 'none' WHERE id = 1")
        primary.execute(revocation_sql("user:1"))
        await asyncio.sleep(0.7)  # longer than between two polls
        assert all(cache._sessions.find("s1") for cache in caches)
    load.value = None
    await until(lambda: all(cache._sessions.find("s1") is None for cache in caches))
    assert [await cache.get("s1", load) for cache in caches] == [None] * 3
    assert all(cache._sessions.find("s2") for cache in caches)


async def test_what_was_rolled_back_revokes_nothing(caches: list[SessionCache[int]], primary: psycopg.Connection[Any]):
    await kept(caches, "s1", 1)
    with primary.transaction(force_rollback=True):
        primary.execute(revocation_sql("user:1"))
    await caches[0].revoke("user:2")
    await until(lambda: all(cache.counts.revoke for cache in caches))
    assert all(cache._sessions.find("s1") for cache in caches)


async def test_a_transaction_that_began_long_ago_and_commits_late_is_heard(
    caches: list[SessionCache[int]], primary: psycopg.Connection[Any], database: str
):
    """Its row has a lower id, and an older transaction, than one that was read before."""
    with psycopg.connect(database) as late:
        late.execute(revocation_sql("user:1"))
        await caches[0].revoke("user:2")
        await until(lambda: all(cache.counts.revoke for cache in caches))
        await kept(caches, "s1", 1)
        late.commit()
    await until(lambda: all(cache._sessions.find("s1") is None for cache in caches))


async def test_each_cache_tells_the_others(caches: list[SessionCache[int]]):
    await kept(caches, "s1", 1)
    await caches[1].revoke("s1")
    assert caches[1]._sessions.find("s1") is None, "its own process at once"
    await until(lambda: all(cache._sessions.find("s1") is None for cache in caches))


async def test_a_trigger_hears_raw_sql(caches: list[SessionCache[int]], primary: psycopg.Connection[Any]):
    primary.execute(
        "CREATE TRIGGER revoked AFTER UPDATE OR DELETE ON member FOR EACH ROW"
        " EXECUTE FUNCTION syncline_sessions.revoke_row('user:', 'id')"
    )
    await kept(caches, "s1", 1)
    await kept(caches, "s2", 2)
    primary.execute("UPDATE member SET role = 'none' WHERE id = 1")
    await until(lambda: all(cache._sessions.find("s1") is None for cache in caches))
    assert all(cache._sessions.find("s2") for cache in caches)
    await kept(caches, "s1", 1)
    primary.execute("DELETE FROM member WHERE id = 1")
    await until(lambda: all(cache._sessions.find("s1") is None for cache in caches))


async def test_a_lost_connection_empties_the_cache(caches: list[SessionCache[int]], primary: psycopg.Connection[Any]):
    """What is revoked between the end of a connection and the next one is never missed."""
    await kept(caches, "s1", 1)
    ended = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'syncline sessions'"
    with primary.transaction():
        primary.execute(revocation_sql("user:1"))
        primary.execute(ended)
    await until(lambda: all(cache._sessions.find("s1") is None for cache in caches))
    await until(lambda: all(cache.current for cache in caches))


@contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def test_while_the_server_is_silent_the_cache_is_not_used(
    caches: list[SessionCache[int]], primary: psycopg.Connection[Any]
):
    load = await kept(caches, "s1", 1)
    found = primary.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'syncline sessions'")
    with frozen([pid for (pid,) in found]):
        primary.execute(revocation_sql("user:1"))
        await until(lambda: not any(cache.current for cache in caches))
        load.value = None
        assert [await cache.get("s1", load) for cache in caches] == [None] * 3
    await until(lambda: all(cache.current for cache in caches))
    assert [await cache.get("s1", load) for cache in caches] == [None] * 3


async def test_the_processes_of_a_host_share_one_poller(
    primary: psycopg.Connection[Any], database: str, tmp_path: Path
):
    script = (
        "import asyncio, sys\n"
        "from syncline.cache import PolledRevocations\n"
        "from pathlib import Path\n"
        "async def main():\n"
        "    await PolledRevocations(sys.argv[1], folder=Path(sys.argv[2])).open(lambda names: None)\n"
        "    print('open', flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    leader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, database, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert leader.stdout
    assert await asyncio.wait_for(leader.stdout.readline(), SOON) == b"open\n"
    try:
        async with AsyncExitStack() as stack:
            caches = [opening(PolledRevocations(database, folder=tmp_path)) for _ in range(3)]
            for cache in caches:
                await stack.enter_async_context(cache)
            await until(lambda: all(cache.current for cache in caches))
            polling = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'syncline sessions'"
            assert primary.execute(polling).fetchone() == (1,)
            await kept(caches, "s1", 1)
            os.kill(leader.pid, signal.SIGSTOP)
            primary.execute(revocation_sql("s1"))
            await until(lambda: not any(cache.current for cache in caches))
            leader.kill()
            await until(lambda: all(cache.current for cache in caches))
            assert all(cache._sessions.find("s1") is None for cache in caches)
            assert primary.execute(polling).fetchone() == (1,)
    finally:
        if leader.returncode is None:
            leader.kill()
        await leader.wait()


async def test_notifications_need_a_direct_connection(primary: psycopg.Connection[Any], database: str):
    with pytest.raises(ConfigError, match=r"transaction pooler.*\n.*PRIMARY_DIRECT_URL"):
        ListenedRevocations(f"{database}&pgbouncer=true" if "?" in database else f"{database}?pgbouncer=true")
    with bouncer(database) as url:
        cache = opening(ListenedRevocations(url))
        with pytest.raises(PoolerError, match="a pooler is in between"):
            await cache.open()
        await cache.close()


async def test_a_database_without_its_table_is_told_at_once(database: str, tmp_path: Path):
    cache = opening(PolledRevocations(database, folder=tmp_path))
    with pytest.raises(NotInstalledError, match=r"not set up at.*\n.*setup_sql"):
        await cache.open()
    await cache.close()


async def test_a_server_that_is_down_is_waited_for(tmp_path: Path):
    cache = opening(ListenedRevocations(f"postgresql://nobody@/nothing?host={tmp_path}"))
    load = Loads(1)
    async with cache:
        assert [await cache.get("s1", load) for _ in range(3)] == [1, 1, 1]
        assert load.count == 3
        with pytest.raises(CacheUnavailableError, match=str(tmp_path)):
            await cache.revoke("s1")


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path):
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match="not a folder of this user alone"):
        PolledRevocations("postgresql://localhost/x", folder=tmp_path)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="not a folder of this user alone"):
        PolledRevocations("postgresql://localhost/x", folder=link)


def test_setting_up_twice_and_removing_leave_what_they_should(primary: psycopg.Connection[Any]):
    primary.execute(setup_sql())
    for name in ("s1", "s2"):
        primary.execute(revocation_sql(name))
    primary.execute(AGED)
    primary.execute(revocation_sql("s3"))
    assert digest("s1").hex() not in revoked(primary), "old rows go"
    primary.execute(removal_sql())
    assert primary.execute("SELECT to_regnamespace('syncline_sessions')").fetchone() == (None,)


def test_a_revocation_stays_for_ten_minutes_from_the_end_of_its_transaction(
    primary: psycopg.Connection[Any], database: str
):
    """Who polls sees it only then, however long ago it was written."""
    with psycopg.connect(database) as late:
        late.execute(revocation_sql("late"))
        late.execute(AGED)
        primary.execute(revocation_sql("early"))
        primary.execute(AGED)
        late.commit()
    primary.execute(revocation_sql("another"))
    assert digest("late").hex() in revoked(primary)


def test_setting_up_again_keeps_what_an_earlier_release_has_written(primary: psycopg.Connection[Any]):
    primary.execute(revocation_sql("s1"))
    primary.execute("ALTER TABLE syncline_sessions.revocation DROP COLUMN ended")
    primary.execute(AGED)
    primary.execute(setup_sql())
    primary.execute(revocation_sql("s2"))
    assert revoked(primary) == [digest("s1").hex(), digest("s2").hex()]


def revoked(primary: psycopg.Connection[Any]) -> list[str]:
    return [name for (name,) in primary.execute("SELECT name FROM syncline_sessions.revocation ORDER BY id")]


@pytest.fixture
def valkey() -> Iterator[PrivateValkey]:
    with running_valkey() as server:
        yield server


async def test_valkey_carries_revocations_and_its_silence_stops_the_cache(valkey: PrivateValkey):
    async with AsyncExitStack() as stack:
        caches = [opening(PublishedRevocations(valkey.url)) for _ in range(3)]
        for cache in caches:
            await stack.enter_async_context(cache)
        await until(lambda: all(cache.current for cache in caches))
        await kept(caches, "s1", 1)
        await kept(caches, "s2", 2)
        await caches[0].revoke("user:1")
        await until(lambda: all(cache._sessions.find("s1") is None for cache in caches))
        assert all(cache._sessions.find("s2") for cache in caches)
        valkey.freeze()
        try:
            await until(lambda: not any(cache.current for cache in caches))
            with pytest.raises(CacheUnavailableError, match="does not answer"):
                await caches[0].revoke("user:2")
        finally:
            valkey.thaw()
        await until(lambda: all(cache.current for cache in caches))
        await kept(caches, "s3", 3)
        valkey.kill()
        await until(lambda: not any(cache.current for cache in caches))
        valkey.start()
        await until(lambda: all(cache.current for cache in caches))
        assert all(cache._sessions.find("s3") is None for cache in caches), "what was published meanwhile is not known"
