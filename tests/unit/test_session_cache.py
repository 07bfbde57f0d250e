"""The session cache in one process: one load for many, bounds, times, and what a revocation takes with it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from time import CLOCK_BOOTTIME, clock_gettime
from typing import Any

import pytest

from syncline.cache import Event, ListenedRevocations, OneProcess, SessionCache, revocation_sql
from syncline.cache.polled import INTERVAL, Poll
from syncline.cache.revocations import DELAY, Heard, digest
from syncline.cache.sessions import UNKNOWN_SHARE
from tests.unit.test_cache import SOON, Clock, Loads


@dataclass(frozen=True)
class Session:
    user: int
    role: str = "member"


class Wire:
    """Carries revocations as the test says."""

    def __init__(self) -> None:
        self.heard: Heard = lambda _: None
        self.proven = True
        self.told: list[bytes] = []

    async def open(self, heard: Heard) -> None:
        self.heard = heard

    def current(self) -> bool:
        return self.proven

    async def revoke(self, names: Any) -> None:
        self.told += names

    async def close(self) -> None: ...


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def cache(wire: Wire, clock: Clock) -> AsyncIterator[SessionCache[Session]]:
    names = lambda session: [f"user:{session.user}", f"role:{session.role}"]  # noqa: E731
    async with SessionCache(names=names, revocations=wire, size=100, clock=clock) as opened:
        yield opened


async def started(cache: SessionCache[Session], load: Loads, count: int = 1) -> list[asyncio.Task[Any]]:
    """Start readers of one session, and wait until all of them wait."""
    before = sum(flight.waiting for flight in cache._flights._flights.values())
    tasks = [asyncio.create_task(cache.get("s1", load)) for _ in range(count)]
    async with asyncio.timeout(SOON):
        while sum(flight.waiting for flight in cache._flights._flights.values()) < before + count:
            await asyncio.sleep(0)
        await load.began.wait()
    return tasks


async def test_a_session_is_loaded_once_and_kept_for_its_time(cache: SessionCache[Session], clock: Clock):
    load = Loads(Session(1))
    for seconds, loads in ((0, 1), (29.9, 1), (0.2, 2)):
        clock.now += seconds
        assert await cache.get("s1", load) == Session(1)
        assert load.count == loads


async def test_an_id_without_a_session_is_kept_too(cache: SessionCache[Session]):
    load = Loads(None)
    assert [await cache.get("nobody", load) for _ in range(3)] == [None] * 3
    assert load.count == 1
    await cache.revoke("nobody")
    load.value = Session(1)
    assert await cache.get("nobody", load) == Session(1), "a log-in may revoke the id that it gives out"


async def test_guessed_ids_push_no_session_out(cache: SessionCache[Session]):
    load = Loads(Session(1))
    await cache.get("s1", load)
    for number in range(1000):
        await cache.get(f"guess {number}", Loads(None))
    await cache.get("s1", load)
    assert load.count == 1
    assert len(cache) == 1 + 100 // UNKNOWN_SHARE


async def test_it_is_bounded_and_the_least_recently_used_goes_first(cache: SessionCache[Session]):
    load = Loads(Session(1))
    for number in range(100):
        await cache.get(f"s{number}", load)
    await cache.get("s0", load)
    await cache.get("one more", load)
    assert (len(cache), load.count) == (100, 101)
    await cache.get("s0", load)
    assert load.count == 101
    await cache.get("s1", load)
    assert load.count == 102


async def test_what_is_over_is_removed_in_the_background():
    async with SessionCache(ttl=timedelta(milliseconds=20)) as cache:
        await cache.get("s1", Loads(Session(1)))
        await cache.get("s2", Loads(None))
        assert len(cache) == 2
        async with asyncio.timeout(SOON):
            while len(cache):
                await asyncio.sleep(0.01)
        assert not cache._sessions._named
        assert not cache._unknown._named


@pytest.mark.parametrize("name", ["s1", "user:1", "role:member"])
async def test_each_of_its_names_revokes_a_session(cache: SessionCache[Session], wire: Wire, name: str):
    load, other = Loads(Session(1)), Loads(Session(2, "admin"))
    await cache.get("s1", load)
    await cache.get("s2", other)
    wire.heard([digest(name)])
    await cache.get("s1", load)
    await cache.get("s2", other)
    assert (load.count, other.count) == (2, 1)


async def test_this_process_forgets_before_the_others_are_told(cache: SessionCache[Session], wire: Wire):
    load = Loads(Session(1))
    await cache.get("s1", load)
    await cache.revoke("user:1", "user:1")
    assert wire.told == [digest("user:1")]
    await cache.get("s1", load)
    assert load.count == 2


@pytest.mark.parametrize("name", ["s1", "user:1"])
async def test_a_load_that_began_before_a_revocation_is_never_kept(cache: SessionCache[Session], wire: Wire, name: str):
    """The names of a session are known after its load only, and a revocation may come before."""
    load = Loads(Session(1))
    load.hold()
    (early,) = await started(cache, load)
    wire.heard([digest(name)])
    load.value = Session(1, "admin")
    load.go.set()
    assert await early == Session(1)
    assert await cache.get("s1", load) == Session(1, "admin")
    assert load.count == 2


async def test_a_revocation_of_others_lets_a_load_be_kept(cache: SessionCache[Session], wire: Wire):
    load = Loads(Session(1))
    load.hold()
    (early,) = await started(cache, load)
    wire.heard([digest("user:2")])
    load.go.set()
    await early
    await cache.get("s1", load)
    assert load.count == 1


async def test_who_comes_after_a_revocation_does_not_join_a_load_from_before_it(
    cache: SessionCache[Session], wire: Wire
):
    old, new = Loads(Session(1)), Loads(None)
    old.hold()
    (early,) = await started(cache, old)
    wire.heard([digest("user:1")])
    assert await asyncio.wait_for(cache.get("s1", new), SOON) is None
    old.go.set()
    assert await early == Session(1)
    assert await cache.get("s1", new) is None
    assert (old.count, new.count) == (1, 1), "the late load did not replace the new one"


async def test_missed_revocations_empty_it_and_what_is_being_loaded_is_not_kept(
    cache: SessionCache[Session], wire: Wire
):
    load = Loads(Session(1))
    await cache.get("s2", Loads(Session(2)))
    load.hold()
    (early,) = await started(cache, load)
    wire.heard(None)
    assert len(cache) == 0
    load.go.set()
    await early
    assert len(cache) == 0


async def test_without_proof_every_read_loads_and_nothing_is_kept(cache: SessionCache[Session], wire: Wire):
    load = Loads(Session(1))
    await cache.get("s1", load)
    wire.proven = False
    assert not cache.current
    await cache.get("s1", load)
    await cache.get("s3", load)
    assert (load.count, cache.counts.bypass) == (3, 2)
    wire.proven = True
    await cache.get("s3", load)
    assert load.count == 4, "what was loaded meanwhile was not kept"
    await cache.get("s1", load)
    assert load.count == 4, "what was kept before is good again: nothing was missed"


async def test_without_proof_readers_of_a_second_share_a_load_and_later_ones_do_not(
    cache: SessionCache[Session], wire: Wire, clock: Clock
):
    wire.proven = False
    load = Loads(Session(1))
    load.hold()
    early = await started(cache, load, 20)
    assert load.count == 1
    clock.now += DELAY
    late = Loads(None)
    assert await asyncio.wait_for(cache.get("s1", late), SOON) is None
    load.go.set()
    assert await asyncio.gather(*early) == [Session(1)] * 20


async def test_before_it_is_open_nothing_is_kept():
    cache = SessionCache[Session]()
    load = Loads(Session(1))
    await cache.get("s1", load)
    await cache.get("s1", load)
    assert (load.count, len(cache)) == (2, 0)


async def test_a_cancelled_reader_leaves_the_others_alone(cache: SessionCache[Session]):
    load = Loads(Session(1))
    load.hold()
    first, *others = await started(cache, load, 10)
    first.cancel()
    await asyncio.wait({first})
    load.go.set()
    assert await asyncio.gather(*others) == [Session(1)] * 9
    assert (load.count, load.cancelled) == (1, 0)


async def test_a_failing_load_fails_its_readers_and_is_not_kept(cache: SessionCache[Session]):
    load = Loads(ConnectionError("down"))
    load.hold()
    tasks = await started(cache, load, 5)
    load.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(result) for result in results] == ["down"] * 5
    assert load.count == 1
    load.value = Session(1)
    assert await cache.get("s1", load) == Session(1)


async def test_a_load_that_takes_longer_than_a_session_is_kept_serves_its_readers_once(
    cache: SessionCache[Session], clock: Clock
):
    load = Loads(Session(1))
    load.hold()
    early = await started(cache, load, 50)
    clock.now += 31
    early += await started(cache, load, 5)
    load.go.set()
    assert await asyncio.gather(*early) == [Session(1)] * 55
    assert (load.count, len(cache)) == (1, 0)


async def test_counts_say_what_was_spared(wire: Wire):
    seen: list[tuple[str, Event]] = []

    class Watch:
        def cache(self, name: str, event: Event) -> None:
            seen.append((name, event))

    async with SessionCache(revocations=wire, name="logins", observer=Watch()) as cache:
        for _ in range(10):
            await cache.get("s1", Loads(Session(1)))
        wire.heard([digest("s1")])
        assert (cache.counts.hit_rate, cache.counts.suppressed, cache.counts.revoke) == (0.9, 9, 1)
    assert [seen.count(("logins", event)) for event in (Event.HIT, Event.MISS, Event.LOAD, Event.REVOKE)] == [
        9,
        1,
        1,
        1,
    ]


async def test_many_revocations_are_forgotten_in_a_safe_way(wire: Wire):
    """What is no longer known of old revocations costs a load, never an outdated session."""
    async with SessionCache(names=lambda s: [f"user:{s.user}"], revocations=wire, size=10) as cache:
        load = Loads(Session(1))
        load.hold()
        (early,) = await started(cache, load)
        wire.heard([digest("user:1")])
        for number in range(1000):
            wire.heard([digest(f"user:{number + 2}")])
        load.go.set()
        await early
        assert len(cache) == 0


def test_what_was_proved_before_the_machine_slept_proves_nothing(monkeypatch: pytest.MonkeyPatch):
    """A clock that stands still meanwhile would say that a second has not passed, and that a session is as young."""
    revocations = ListenedRevocations("postgresql://127.0.0.1:1/none")
    revocations.proved(clock_gettime(CLOCK_BOOTTIME))
    assert revocations.current()
    monkeypatch.setattr("time.clock_gettime", lambda which: clock_gettime(which) + 3600 * (which == CLOCK_BOOTTIME))
    assert not revocations.current()
    assert SessionCache()._clock() > clock_gettime(CLOCK_BOOTTIME) + 3000


async def test_one_process_needs_to_be_open():
    with pytest.raises(Exception, match="not open"):
        await OneProcess().revoke([digest("s1")])


def test_the_statement_has_digests_and_no_ids():
    statement = revocation_sql("secret id", "user:1", "user:1")
    assert "secret" not in statement
    assert statement.count(digest("user:1").hex()) == 1
    assert "'" not in revocation_sql("a'b").replace(f"'{digest(chr(97) + chr(39) + chr(98)).hex()}'", "")


class TestPoll:
    """Which rows of a poll are news."""

    a, b, c = (bytes([number]) * 16 for number in (1, 2, 3))

    def test_the_first_one_may_have_missed_anything(self):
        poll = Poll()
        assert poll.read(100, 50, [], []) is None
        assert poll.read(100.5, 50, [], []) == []

    def test_a_row_that_commits_late_is_read_and_a_known_one_is_passed_over(self):
        poll = Poll()
        poll.read(100, 50, [], [])
        assert poll.read(101, 50, [2], [self.b.hex()]) == [self.b]
        assert poll.read(102, 53, [1, 2], [self.a.hex(), self.b.hex()]) == [self.a]
        assert poll.floor == 53

    def test_a_long_pause_and_a_restored_server_may_have_missed_anything(self):
        poll = Poll()
        poll.read(100, 50, [], [])
        poll.read(101, 50, [], [])
        assert poll.read(500, 50, [], []) is None
        assert poll.read(501, 49, [], []) is None
        assert poll.read(502, 49, [3], [self.c.hex()]) == [self.c]


async def test_two_hundred_sessions_at_a_hundred_requests_a_second_spare_nine_queries_of_ten(wire: Wire, clock: Clock):
    """Two minutes of requests; a poller's own queries count, too."""
    draw = random.Random(7)
    load = Loads(Session(1))
    async with SessionCache(revocations=wire, clock=clock) as cache:
        for _ in range(12_000):
            clock.now += 0.01
            await cache.get(f"s{draw.randrange(200)}", load)
    polls = 120 / INTERVAL
    assert load.count + polls <= 0.1 * 12_000
