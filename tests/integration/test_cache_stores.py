"""What holds for every store, in this process and in Valkey; then several processes, and a server that is down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import redis

from syncline.cache import Cache, MemoryStore, RedisStore
from tests.unit.test_cache import SOON, Loads
from tests.valkey import PrivateValkey, running_valkey

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def valkey() -> Iterator[PrivateValkey]:
    with running_valkey() as server:
        yield server


@pytest.fixture(params=["memory", "valkey"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    store: Any = MemoryStore()
    if request.param == "valkey":
        server = request.getfixturevalue("valkey")
        with redis.from_url(server.url) as client:
            client.flushall()
        store = patient(server)
    async with closing(Cache(store, ttl=HOUR)) as opened:
        yield opened


@asynccontextmanager
async def closing(cache: Cache) -> AsyncIterator[Cache]:
    try:
        yield cache
    finally:
        await cache.close()


def patient(server: PrivateValkey, *, seconds: float = SOON, rest: float = 0.01) -> RedisStore:
    return RedisStore(server.url, limit=timedelta(seconds=seconds), rest=timedelta(seconds=rest))


async def test_a_value_is_kept_until_one_of_its_tags_or_its_key_is_invalidated(cache: Cache):
    load = Loads({"name": "Ann", "points": [1, 2]})
    for expected, invalidated in ((1, "other"), (1, "users"), (2, "user:1"), (3, None)):
        assert (await cache.get("user:1", load, tags=["users"])).value == load.value
        assert load.count == expected
        if invalidated:
            await cache.invalidate(invalidated)


async def test_a_value_from_before_an_invalidation_does_not_survive(cache: Cache):
    """The race: load begins, somebody writes and invalidates, the load ends with what it read before."""
    load = Loads("before")
    load.hold()
    early = asyncio.create_task(cache.get("k", load, tags=["t"]))
    await asyncio.wait_for(load.began.wait(), SOON)
    load.value = "after"
    await cache.invalidate("t")
    load.go.set()
    await early
    assert (await cache.get("k", load, tags=["t"])).value == "after"
    assert (await cache.get("k", load, tags=["t"])).value == "after"
    assert load.count == 2


async def test_who_comes_after_an_invalidation_does_not_join_a_load_from_before_it(cache: Cache):
    old, new = Loads("before"), Loads("after")
    old.hold()
    early = asyncio.create_task(cache.get("k", old))
    await asyncio.wait_for(old.began.wait(), SOON)
    await cache.invalidate("k")
    assert (await asyncio.wait_for(cache.get("k", new), SOON)).value == "after"
    old.go.set()
    assert (await early).value == "before", "it asked before the change"
    assert (await cache.get("k", Loads("none"))).value in {"after", "none"}, "and its value is not kept"


async def test_an_invalidated_value_may_be_shown_as_stale_a_removed_one_never(cache: Cache):
    load = Loads("old")
    await cache.get("k", load, tags=["t"])
    load.value = RuntimeError("down")
    await cache.invalidate("t")
    reading = await cache.get("k", load, tags=["t"])
    assert (reading.value, reading.stale) == ("old", True)
    await cache.remove("t")
    with pytest.raises(RuntimeError):
        await cache.get("k", load, tags=["t"])


async def test_a_value_that_was_removed_while_it_was_loaded_is_never_shown(cache: Cache):
    load = Loads("before")
    load.hold()
    early = asyncio.create_task(cache.get("k", load))
    await asyncio.wait_for(load.began.wait(), SOON)
    await cache.remove("k")
    load.go.set()
    await early
    with pytest.raises(RuntimeError):
        await cache.get("k", Loads(RuntimeError("down")))


async def test_values_end_with_their_time(cache: Cache):
    load = Loads("a")
    await cache.get("k", load, ttl=timedelta(milliseconds=1))
    await asyncio.sleep(0.01)
    await cache.get("k", load)
    assert load.count == 2


async def test_random_reads_and_writes_never_show_what_was_invalidated(cache: Cache):
    """Whoever begins to read after an invalidation sees at least what was committed before it."""
    committed, invalidated = dict.fromkeys("abc", 0), dict.fromkeys("abc", 0)

    async def reader(number: int) -> None:
        for turn in range(40):
            key = "abc"[(number + turn) % 3]

            async def load(key: str = key) -> int:
                seen = committed[key]
                await asyncio.sleep(0.001 * (number % 3))
                return seen

            least = invalidated[key]
            assert (await cache.get(key, load)).value >= least

    async def writer() -> None:
        for turn in range(60):
            key = "abc"[turn % 3]
            committed[key] += 1
            await cache.invalidate(key)
            invalidated[key] = committed[key]
            await asyncio.sleep(0.001)

    await asyncio.gather(*(reader(number) for number in range(6)), writer())
    assert cache.counts.error == 0


async def test_what_one_process_writes_the_other_one_reads_and_invalidates(valkey: PrivateValkey):
    async with closing(Cache(patient(valkey), ttl=HOUR)) as one, closing(Cache(patient(valkey), ttl=HOUR)) as two:
        load = Loads([1, 2])
        await one.get("k", load)
        assert (await two.get("k", load)).value == [1, 2]
        assert load.count == 1
        load.value = [3]
        await two.invalidate("k")
        assert (await one.get("k", load)).value == [3]


async def test_a_load_of_another_process_that_began_before_an_invalidation_is_not_kept(valkey: PrivateValkey):
    async with closing(Cache(patient(valkey), ttl=HOUR)) as one, closing(Cache(patient(valkey), ttl=HOUR)) as two:
        load = Loads("before")
        load.hold()
        early = asyncio.create_task(one.get("race", load))
        await asyncio.wait_for(load.began.wait(), SOON)
        await two.invalidate("race")
        load.value = "after"
        load.go.set()
        await early
        assert (await two.get("race", load)).value == "after"
        assert (await one.get("race", load)).value == "after"


async def test_versions_that_the_server_dropped_make_a_value_outdated(valkey: PrivateValkey):
    async with closing(Cache(patient(valkey), ttl=HOUR)) as cache:
        load = Loads("a")
        await cache.get("evicted", load, tags=["t"])
        with redis.from_url(valkey.url) as client:
            assert client.delete("syncline:cache:current:t") == 1
        await cache.get("evicted", load, tags=["t"])
        assert load.count == 2


@pytest.mark.parametrize("trouble", ["killed", "frozen"])
async def test_a_server_that_is_down_breaks_no_read_and_loses_no_invalidation(trouble: str):
    with running_valkey() as server:
        store = patient(server, seconds=1)
        async with closing(Cache(store, ttl=HOUR)) as cache, closing(Cache(patient(server), ttl=HOUR)) as other:
            load = Loads("old")
            await cache.get("k", load)
            server.kill() if trouble == "killed" else server.freeze()
            async with asyncio.timeout(SOON):
                load.value = "new"
                await cache.invalidate("k")
                assert (await cache.get("k", load)).value == "new"
                tasks = [asyncio.create_task(cache.get("many", load)) for _ in range(20)]
                assert {reading.value for reading in await asyncio.gather(*tasks)} == {"new"}
                assert cache.counts.error > 0
                server.start() if trouble == "killed" else server.thaw()
                while store._owed:
                    await asyncio.sleep(0.01)
            assert (await other.get("k", load)).value == "new", "the invalidation was delivered after all"


async def test_a_value_that_json_cannot_say_is_given_and_not_kept(valkey: PrivateValkey):
    async with closing(Cache(patient(valkey), ttl=HOUR)) as cache:
        load = Loads({1, 2})
        assert (await cache.get("set", load)).value == {1, 2}
        assert (await cache.get("set", load)).value == {1, 2}
        assert (load.count, cache.counts.error) == (2, 2)
