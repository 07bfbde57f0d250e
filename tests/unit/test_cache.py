"""The cache in one process: bounds, times, one load for many, and what becomes of waiters that leave."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from syncline.cache import Cache, Counts, Event, LoadCancelledError, MemoryStore, open_cache
from syncline.cache.memory import TAGS_PER_ENTRY, Versions
from syncline.errors import ConfigError
from tests.integration.test_docs_capture import run

SOON = 60


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Loads:
    """A load that counts itself, and that can be held."""

    def __init__(self, value: Any = None) -> None:
        self.value, self.count = value, 0
        self.began = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.cancelled = 0

    async def __call__(self) -> Any:
        self.count += 1
        value = self.value
        self.began.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(value, Exception):
            raise value
        return value

    def hold(self) -> None:
        self.began.clear()
        self.go.clear()


async def waiters(cache: Cache, load: Loads, count: int) -> list[asyncio.Task[Any]]:
    """Start readers of one key, and wait until all of them wait."""
    tasks = [asyncio.create_task(cache.get("k", load)) for _ in range(count)]
    async with asyncio.timeout(SOON):
        await load.began.wait()
        while sum(flight.waiting for flight in cache._flights._flights.values()) < count:
            await asyncio.sleep(0)
    return tasks


async def test_a_value_is_loaded_once_and_kept_until_its_time_is_over():
    clock, load = Clock(), Loads("a")
    cache = Cache(MemoryStore(clock=clock), ttl=timedelta(seconds=30))
    assert (await cache.get("k", load)).value == "a"
    clock.now += 29
    load.value = "b"
    reading = await cache.get("k", load)
    assert (reading.value, reading.stale, reading.age) == ("a", False, timedelta(seconds=29))
    clock.now += 2
    assert (await cache.get("k", load)).value == "b"
    assert load.count == 2


async def test_a_value_that_is_soon_too_old_is_loaded_anew_behind_the_readers_backs():
    clock, load = Clock(), Loads("a")
    cache = Cache(MemoryStore(clock=clock), ttl=timedelta(seconds=30))
    await cache.get("k", load)
    load.value = "b"
    load.hold()
    clock.now += 14
    await cache.get("k", load, ahead=timedelta(seconds=15))
    assert load.count == 1, "there is time"
    clock.now += 2
    for _ in range(5):
        reading = await cache.get("k", load, ahead=timedelta(seconds=15))
        assert (reading.value, reading.stale) == ("a", False)
    async with asyncio.timeout(SOON):
        await load.began.wait()
        load.go.set()
        while (await cache.get("k", load, ahead=timedelta(seconds=15))).value != "b":
            await asyncio.sleep(0)
    assert load.count == 2, "one load for all of them"


async def test_a_load_that_takes_long_is_begun_ahead_all_the_same():
    """A value is fresh for its time to live less the time that its load took: its age says nothing of what is left."""
    clock = Clock()
    loads = 0

    async def slow() -> int:
        nonlocal loads
        loads += 1
        clock.now += 20
        return loads

    cache = Cache(MemoryStore(clock=clock), ttl=timedelta(seconds=30))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("syncline.cache.cache.time.monotonic", clock)
        assert (await cache.get("k", slow, ahead=timedelta(seconds=15))).value == 1
        assert (await cache.get("k", slow, ahead=timedelta(seconds=15))).value == 1
        async with asyncio.timeout(SOON):
            while loads < 2:
                await asyncio.sleep(0)


async def test_a_load_ahead_that_hangs_is_given_up_when_nobody_waits_for_it():
    clock, load = Clock(), Loads("a")
    cache = Cache(MemoryStore(clock=clock), ttl=timedelta(seconds=30), stale=timedelta())
    await cache.get("k", load)
    load.hold()
    clock.now += 20
    await cache.get("k", load, ahead=timedelta(seconds=15))
    async with asyncio.timeout(SOON):
        await load.began.wait()
        clock.now += 20
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cache.get("k", load), 0.05)
        load.go.set()
        assert (await cache.get("k", load)).value == "a"
    assert load.cancelled == 1
    assert load.count == 3


async def test_a_load_ahead_that_fails_is_not_tried_with_every_reader():
    clock, load = Clock(), Loads("a")
    cache = Cache(MemoryStore(clock=clock), ttl=timedelta(seconds=30), pause=timedelta(hours=1))
    await cache.get("k", load)
    load.value = RuntimeError("MongoDB is down")
    clock.now += 20
    async with asyncio.timeout(SOON):
        while not cache._resting("k"):
            assert (await cache.get("k", load, ahead=timedelta(seconds=15))).value == "a"
            await asyncio.sleep(0)
    for _ in range(5):
        assert not (await cache.get("k", load, ahead=timedelta(seconds=15))).stale
    await asyncio.sleep(0)
    assert load.count == 2
    clock.now += 20
    assert (await cache.get("k", load, ahead=timedelta(seconds=15))).stale, "now it is too old"


async def test_none_is_a_value():
    cache, load = Cache(MemoryStore()), Loads(None)
    await cache.get("k", load)
    assert (await cache.get("k", load)).value is None
    assert load.count == 1


async def test_the_least_recently_used_value_goes_first():
    store = MemoryStore(2)
    cache, load = Cache(store), Loads(1)
    for key in ("a", "b", "a", "c", "a", "b"):
        await cache.get(key, load)
    assert len(store) == 2
    assert load.count == 4, "b was dropped for c, and loaded again"


def test_versions_are_bounded_and_never_fall_back():
    versions = Versions(10)
    seen: dict[str, int] = {}
    for number in range(200):
        versions.advance([f"t{number}"])
        for tag in ("t0", f"t{number}", "never"):
            (version,) = versions.of([tag])
            assert version >= seen.get(tag, 0)
            seen[tag] = version
        assert len(versions._known) <= 10


async def test_invalidations_that_were_forgotten_outdate_too_much_not_too_little():
    store = MemoryStore(1)
    cache, load = Cache(store), Loads("old")
    await cache.get("k", load, tags=["mine"])
    await cache.invalidate("mine")
    for number in range(3 * TAGS_PER_ENTRY):
        await cache.invalidate(f"other{number}")
    load.value = "new"
    assert (await cache.get("k", load, tags=["mine"])).value == "new"


async def test_many_readers_at_the_same_time_cause_one_load():
    cache, load = Cache(MemoryStore()), Loads("a")
    load.hold()
    tasks = await waiters(cache, load, 50)
    load.go.set()
    assert {reading.value for reading in await asyncio.gather(*tasks)} == {"a"}
    assert load.count == 1
    assert cache.counts == Counts(miss=50, load=1)


async def test_a_reader_that_leaves_takes_nobody_with_it():
    cache, load = Cache(MemoryStore()), Loads("a")
    load.hold()
    tasks = await waiters(cache, load, 6)
    tasks[0].cancel()
    await asyncio.wait({tasks[0]})
    load.go.set()
    assert [reading.value for reading in await asyncio.gather(*tasks[1:])] == ["a"] * 5
    assert (load.count, load.cancelled) == (1, 0)


async def test_when_the_last_reader_leaves_the_load_is_cancelled_and_the_next_reader_loads_anew():
    cache, load = Cache(MemoryStore()), Loads("a")
    load.hold()
    tasks = await waiters(cache, load, 3)
    for task in tasks:
        task.cancel()
    newcomer = asyncio.create_task(cache.get("k", load))
    await asyncio.wait(tasks)
    load.go.set()
    assert (await newcomer).value == "a"
    assert load.cancelled == 1


async def test_everybody_who_waited_is_told_of_the_failure_and_nothing_is_kept():
    cache, load = Cache(MemoryStore()), Loads(RuntimeError("down"))
    load.hold()
    tasks = await waiters(cache, load, 3)
    load.go.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(error) for error in found] == ["down"] * 3
    load.value = "a"
    assert (await cache.get("k", load)).value == "a"


async def test_a_load_that_cancels_itself_is_an_error_not_a_cancelled_reader():
    async def load() -> None:
        raise asyncio.CancelledError

    with pytest.raises(LoadCancelledError):
        await Cache(MemoryStore()).get("k", load)


async def test_an_old_value_is_given_marked_stale_when_the_load_fails():
    clock, load = Clock(), Loads("old")
    life = {"ttl": timedelta(seconds=1), "stale": timedelta(seconds=60)}
    cache = Cache(MemoryStore(clock=clock), pause=timedelta(hours=1), **life)
    await cache.get("k", load)
    clock.now += 30
    load.value = RuntimeError("MongoDB is down")
    reading = await cache.get("k", load)
    assert (reading.value, reading.stale, reading.error) == ("old", True, "MongoDB is down")
    assert (await cache.get("k", load)).stale
    assert load.count == 2, "within the pause nobody tries again"
    clock.now += 40
    with pytest.raises(RuntimeError, match="MongoDB is down"):
        await cache.get("k", load)
    assert cache.counts == Counts(miss=2, stale=2, load=3)


async def test_after_the_pause_a_new_value_is_had_again():
    load = Loads("old")
    cache = Cache(MemoryStore(), pause=timedelta())
    await cache.get("k", load)
    await cache.invalidate("k")
    load.value = RuntimeError("down")
    assert (await cache.get("k", load)).stale
    load.value = "new"
    reading = await cache.get("k", load)
    assert (reading.value, reading.stale, reading.error) == ("new", False, None)


async def test_a_load_that_hangs_does_not_keep_readers_from_the_old_value():
    load = Loads("old")
    cache = Cache(MemoryStore(), patience=timedelta(milliseconds=10), pause=timedelta())
    await cache.get("k", load)
    await cache.invalidate("k")
    load.value = "new"
    load.hold()
    async with asyncio.timeout(SOON):
        reading = await cache.get("k", load)
        assert (reading.value, reading.stale) == ("old", True)
        load.go.set()
        while (await cache.get("k", load)).value != "new":
            await asyncio.sleep(0)
    assert load.count == 2, "the load went on, and its value was kept"


async def test_without_a_stale_time_nothing_outdated_is_ever_shown():
    clock, load = Clock(), Loads("old")
    cache = Cache(MemoryStore(clock=clock), ttl=timedelta(seconds=1), stale=timedelta())
    await cache.get("k", load)
    clock.now += 2
    load.value = RuntimeError("down")
    with pytest.raises(RuntimeError):
        await cache.get("k", load)


async def test_an_observer_is_told_about_every_read():
    class Seen:
        def __init__(self) -> None:
            self.events: list[tuple[str, Event]] = []

        def cache(self, name: str, event: Event) -> None:
            self.events.append((name, event))

    seen, load = Seen(), Loads(1)
    cache = open_cache(name="board", observer=seen)
    await cache.get("k", load)
    await cache.get("k", load)
    assert seen.events == [("board", Event.LOAD), ("board", Event.MISS), ("board", Event.HIT)]
    assert cache.counts.hit_rate == 0.5


async def test_closing_cancels_what_is_under_way():
    cache, load = Cache(MemoryStore()), Loads(1)
    load.hold()
    (task,) = await waiters(cache, load, 1)
    await cache.close()
    with pytest.raises(LoadCancelledError):
        await task
    assert load.cancelled == 1


def test_a_url_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="URL is not valid"):
        open_cache("ftp://localhost")


def test_the_how_to_runs_as_it_stands():
    names = run("cache.md", {})
    assert names["reading"].value == [{"username": "ann", "totalPoints": 12}]
