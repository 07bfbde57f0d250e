"""The traffic, in a process of its own: ``python -m syncline.demo.traffic --postgres URL --mongo URL``.

It writes what it has done to standard output, a line of JSON every 200 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import AsyncMongoClient

from syncline.demo.probe import Probe
from syncline.demo.transactions import run_one
from syncline.postgres.connection import connect
from syncline.postgres.sql import blocks

CONNECTIONS = 4
REPORT_SECONDS = 0.2
APPLICATION = "syncline demo traffic"


class Traffic:
    """Several users at once, until the time is over or somebody says stop."""

    def __init__(self, postgres: str, probe: Probe, *, pause_seconds: float) -> None:
        self._postgres = postgres
        self._probe = probe
        self._pause = pause_seconds
        self._commits = 0
        self._rollbacks = 0
        self.stop = asyncio.Event()
        self._interrupted = False

    def interrupt(self) -> None:
        """Stop now, without the bursts that are still to come."""
        self._interrupted = True
        self.stop.set()

    async def run(self, *, bursts: Sequence[float], rows: int) -> None:
        """Run, with bursts of so many rows at the given seconds; return when everything has stopped."""
        looking = asyncio.create_task(self._probe.look())
        reporting = asyncio.create_task(self._report_for_ever())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._probe.commit(self.stop))
            for number in range(CONNECTIONS):
                tasks.create_task(self._user(random.Random(number)))  # noqa: S311 - no secret depends on it
            tasks.create_task(self._bursts(bursts, rows))
        reporting.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(15):  # what is under way still counts
                while self._probe.waiting:
                    self._report()
                    await asyncio.sleep(REPORT_SECONDS)
        looking.cancel()
        self._report(event="stopped")

    async def _user(self, chance: random.Random) -> None:
        connection = await connect(self._postgres, application=APPLICATION)
        async with connection:
            while not self.stop.is_set():
                committed = await run_one(connection, chance)
                self._commits += committed
                self._rollbacks += not committed
                await asyncio.sleep(chance.expovariate(1 / self._pause))

    async def _bursts(self, at: Sequence[float], rows: int) -> None:
        started = time.monotonic()
        connection = await connect(self._postgres, application=APPLICATION)
        async with connection:
            for second in at:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stop.wait(), max(0.0, started + second - time.monotonic()))
                if self._interrupted:
                    return
                begun = time.monotonic()
                await connection.execute(blocks("demo.sql", "syncline.demo")["burst"].encode(), {"rows": rows})
                self._commits += 1
                self._report(event="burst", rows=rows, took=round(time.monotonic() - begun, 3))

    async def _report_for_ever(self) -> None:
        while True:
            self._report()
            await asyncio.sleep(REPORT_SECONDS)

    def _report(self, **more: object) -> None:
        facts: Mapping[str, Any] = {
            "at": time.monotonic(),
            "commits": self._commits + self._probe.committed,
            "rollbacks": self._rollbacks,
            "seen": self._probe.take(),
            "waiting": self._probe.waiting,
            **more,
        }
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


async def _main(options: argparse.Namespace) -> None:
    client = AsyncMongoClient[Mapping[str, Any]](options.mongo)
    connection = await connect(options.postgres, application="syncline demo probe")
    async with client, connection:
        probe = Probe(connection, client.get_default_database()["messages"])
        traffic = Traffic(options.postgres, probe, pause_seconds=options.pause)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, traffic.interrupt)
        if options.seconds:
            loop.call_later(options.seconds, traffic.stop.set)
        await traffic.run(bursts=options.burst_at, rows=options.burst_rows)


def main() -> None:
    """Run until the time is over, or until SIGTERM."""
    parser = argparse.ArgumentParser(prog="syncline.demo.traffic")
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--mongo", required=True)
    parser.add_argument("--seconds", type=float, default=0.0, help="0: until SIGTERM")
    parser.add_argument("--pause", type=float, default=0.01, help="mean pause of a user")
    parser.add_argument("--burst-at", type=float, action="append", default=[])
    parser.add_argument("--burst-rows", type=int, default=0)
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
