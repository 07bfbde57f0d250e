"""Random histories: operations, lost and late deliveries, freezes between any two steps, takeovers. The end is equal.

The relay is the real one (reader, pump, leases, acknowledgements, on a real PostgreSQL); the target is in memory and
fails on demand. A run's steps are drawn by Hypothesis, so that a failing one is shrunk and printed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from syncline.testing import Held
from tests.relay import Relay, relayed, until
from tests.steps import STEPS, Steps, Stop

KEYS = st.integers(1, 3)
WORKER = st.integers(0, 1)
POINTS = [f"{when} {step}" for step in STEPS for when in ("before", "after") if step != "arm"]

OPERATIONS = st.one_of(
    *[st.tuples(st.just("put"), KEYS)] * 4,
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.just("move"), KEYS, KEYS),
    st.tuples(st.just("freeze"), WORKER, st.sampled_from(POINTS)),
    st.tuples(st.just("thaw"), WORKER),
    st.tuples(st.just("expire"), WORKER),
    st.tuples(st.just("kill"), WORKER),
    st.tuples(st.just("start"), WORKER),
    st.tuples(st.just("lose reply")),
    st.tuples(st.just("hold")),
    st.tuples(st.just("deliver")),
    st.tuples(st.just("away"), st.booleans()),
    *[st.tuples(st.just("wait"), st.integers(1, 8))] * 2,
)


LIMITS = {
    "renew": timedelta(seconds=0.15),
    "lease": timedelta(seconds=0.6),
    "max_batch_age": timedelta(seconds=0.15),
    "grace": timedelta(seconds=0.6),
}
LATEST_SECONDS = 0.25
"""How late a write may be executed. With the age of its batch it stays below the grace time: that is the promise's condition."""


class History:
    """Runs the steps of one example."""

    def __init__(self, relay: Relay, steps: Steps) -> None:
        self.relay, self.steps = relay, steps
        self.running: dict[int, tuple[contextlib.AsyncExitStack, Any]] = {}
        self.frozen: dict[int, list[Stop]] = {0: [], 1: []}
        self.version = 0
        self.failures_left = 2  # one more, of the same record in a row, and it would be suspected of poison
        self.newest: dict[int, int] = {}
        self.deleted: set[int] = set()

    async def look(self, _batch: Any) -> None:
        """What readers see of a record goes back only after it was deleted (G4)."""
        for document in self.relay.raw():
            id_, version = document["_id"], document["qty"]
            assert version >= self.newest.get(id_, 0) or id_ in self.deleted, f"{id_} went back to {version}"
            self.newest[id_] = max(version, self.newest.get(id_, 0))

    async def do(self, operation: str, *args: Any) -> None:
        relay = self.relay
        match operation, args:
            case "put", (key,):
                self.version += 1
                relay.sql(
                    "INSERT INTO item VALUES (%s, 'x', %s) ON CONFLICT (id) DO UPDATE SET qty = excluded.qty",
                    key,
                    self.version,
                )
            case "delete", (key,):
                self.deleted.add(key)
                relay.sql("DELETE FROM item WHERE id = %s", key)
            case "move", (key, other):
                self.deleted |= {key, other}
                self.version += 1
                relay.sql("DELETE FROM item WHERE id = %s AND id <> %s", other, key)
                relay.sql("UPDATE item SET id = %s, qty = %s WHERE id = %s", other, self.version, key)
            case "freeze", (worker, point) if worker in self.running:
                self.frozen[worker].append(self.steps.stop(self.running[worker][1], point, wanted=lambda _: True))
            case "thaw", (worker,):
                self.thaw(worker)
            case "expire", (worker,) if worker in self.running:
                relay.sql(
                    "UPDATE syncline.worker SET expires_at = clock_timestamp() - interval '1 s' WHERE id = %s",
                    self.running[worker][1].id,
                )
            case "kill", (worker,) if worker in self.running:
                await self.end(worker, kill=True)
            case "start", (worker,) if worker not in self.running:
                await self.begin(worker)
            case "lose reply", () if self.failures_left:
                self.failures_left -= 1
                relay.target.lose_replies = 1
            case "hold", () if self.failures_left:
                self.failures_left -= 1
                relay.target.hold_writes = 1
            case "deliver", () if relay.target.held:
                await self.deliver(relay.target.held.pop(0))
            case "away", (away,):
                relay.target.unavailable = away
            case "wait", (hundredths,):
                await asyncio.sleep(hundredths / 50)

    async def deliver(self, held: Held) -> None:
        """Execute a late write, unless the server's own time limit has ended it."""
        if time.monotonic() - held.since < LATEST_SECONDS:
            await held.deliver()
            await self.look(None)

    def thaw(self, worker: int) -> None:
        for stop in self.frozen[worker]:
            if stop in self.steps.stops:
                self.steps.stops.remove(stop)
            stop.resume()
        self.frozen[worker] = []

    async def begin(self, worker: int) -> None:
        stack = contextlib.AsyncExitStack()
        started = await stack.enter_async_context(self.relay.worker(ready=False))
        self.running[worker] = (stack, started)

    async def end(self, worker: int, *, kill: bool = False) -> None:
        stack, _ = self.running.pop(worker)
        if kill:  # no release, no last renewal: the exit of the block is by an error
            with contextlib.suppress(_KilledError):
                await stack.__aexit__(_KilledError, _KilledError(), None)
            self.thaw(worker)
        else:
            self.thaw(worker)
            await stack.aclose()

    async def finish(self) -> None:
        """Let everything go on, then both sides must be equal and nothing parked."""
        self.relay.target.unavailable = False
        self.relay.target.lose_replies = self.relay.target.hold_writes = 0
        for worker in (0, 1):
            self.thaw(worker)
        if not self.running:
            await self.begin(0)
        for held in self.relay.target.held:
            await self.deliver(held)
        await self.relay.drained(seconds=20)
        await asyncio.sleep(0.1)
        await self.relay.equal(seconds=20, deferred=True)

    async def close(self) -> None:
        for worker in list(self.running):
            await self.end(worker)


class _KilledError(Exception):
    pass


async def run(database: str, steps: Steps, operations: list[tuple[Any, ...]]) -> None:
    async with relayed(database, ddl=TABLE, **LIMITS) as relay:
        history = History(relay, steps)
        relay.target.after_apply = history.look
        try:
            await history.begin(0)
            await history.begin(1)
            await until(lambda: sorted(relay.owners().values()) == [32, 32])
            for operation in operations:
                await history.do(*operation)
                await asyncio.sleep(0.008)
            await history.finish()
        finally:
            await history.close()
            await relay.uninstall()
            relay.sql("DROP TABLE item")
            note(f"{relay.seen.drops} {relay.seen.outages}")


TABLE = "CREATE TABLE item (id bigint PRIMARY KEY, name text, qty bigint NOT NULL DEFAULT 0)"


@pytest.mark.slow
@settings(
    max_examples=int(os.environ.get("SYNCLINE_RANDOM_EXAMPLES", "12")),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(operations=st.lists(OPERATIONS, min_size=15, max_size=50))
def test_g3_any_history_ends_equal(database, operations) -> None:
    with pytest.MonkeyPatch.context() as patch:
        asyncio.run(run(database, Steps(patch), operations))
