"""A real worker that reports: ``python -m benchmarks.worker SOURCE TARGET HISTORY KEYS``.

On SIGUSR1 it waits until it has been idle for a second and prints a JSON line on what it did since the last one.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from typing import Any

from benchmarks.figure import peak_megabytes
from benchmarks.product import TABLE, TODO
from syncline.config.settings import HistorySettings, Settings, SourceSettings, TargetSettings
from syncline.config.urls import is_postgresql
from syncline.engines.mongo.target import MongoTarget
from syncline.executing.collector import tune_garbage_collection
from syncline.ports import Batch, Report, Target
from syncline.telemetry.observer import BatchDone, Event, NullObserver
from syncline.wiring.sides import open_target
from syncline.wiring.worker import make_worker

QUIET_SECONDS = 1.0


class Clock(NullObserver):
    """Notes first and last moments."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.marks = self.batches = 0
        self.pause = 0.0
        self.first = self.last = 0.0
        self.cpu_first = self.cpu_last = 0.0
        self.cpu_marks = 0
        self.seen: dict[str, float] = {}

    def tell(self, event: Event) -> None:
        if not isinstance(event, BatchDone):
            return
        now = time.monotonic()
        if not self.first:
            self.first = now - event.took.total_seconds()
            self.cpu_first = time.process_time()
        else:
            self.cpu_marks += event.marks
        self.cpu_last = time.process_time()
        self.pause = max(self.pause, now - self.last if self.last else 0.0)
        self.last = now
        self.marks += event.marks
        self.batches += 1


class TimedTarget(MongoTarget):
    """Notes when each key up to one was in the target, durably."""

    clock: Clock
    keys: int

    async def apply(self, batch: Batch) -> Report:
        report = await super().apply(batch)
        now = time.monotonic()
        for state in batch.states:
            if int(state.key) > self.keys:
                continue
            self.clock.seen[f"{state.key}/{state.body['note'][:12]}"] = now
        return report


async def main(source: str, target_url: str, history: str, keys: str) -> None:
    tables = is_postgresql(target_url)
    settings = Settings(
        SourceSettings(url=source),
        TargetSettings(url=target_url, database="" if tables else "bench"),
        history=HistorySettings(keep=history),
        entities=(TABLE if tables else TODO,),
    )
    clock = Clock()
    target: Any = opened(settings, timed=keys != "0")
    target.clock, target.keys = clock, int(keys)
    worker = make_worker(settings, target, observer=clock)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, worker.stop)
    tasks: set[asyncio.Task[None]] = set()
    loop.add_signal_handler(signal.SIGUSR1, lambda: tasks.add(loop.create_task(report(clock))))
    tune_garbage_collection()
    print("ready", flush=True)
    await worker.run()
    await target.close()


def opened(settings: Settings, *, timed: bool) -> Target:
    """Make the target."""
    if settings.target.in_postgresql:
        return open_target(settings)
    return (TimedTarget if timed else MongoTarget)(settings.target.url, "bench")


async def report(clock: Clock) -> None:
    asked = time.monotonic()
    while time.monotonic() - max(clock.last, asked) < QUIET_SECONDS:
        await asyncio.sleep(0.05)
    seconds = clock.last - clock.first
    print(
        json.dumps(
            {
                "marks": clock.marks,
                "batches": clock.batches,
                "seconds": seconds,
                "longest_pause": clock.pause,
                "first": clock.first,
                "last": clock.last,
                "cpu_us": (clock.cpu_last - clock.cpu_first) / max(clock.cpu_marks, 1) * 1e6,
                "peak_mb": peak_megabytes(),
                "seen": clock.seen,
            }
        ),
        flush=True,
    )
    clock.clear()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
