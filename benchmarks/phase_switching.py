"""A collection goes to PostgreSQL and back, again and again, under an application: how long writers are paused."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import psycopg
from tests.phase_switch import SwitchStage

from benchmarks.companions import companion
from benchmarks.phase_player import COLLECTION
from benchmarks.report import Line, median, percentile
from benchmarks.stage import Sizes, Stage
from syncline.errors import SwitchAbortedError
from syncline.phases.switching.sides import MONGODB, POSTGRESQL
from syncline.split.switching.coordinator import PAUSE
from syncline.split.switching.finishing import switch
from syncline.split.switching.journal import LEASE
from syncline.split.switching.move import Step

PROCESSES, THREADS, RATE = 2, 8, 1000
BETWEEN_SECONDS, MOST_TURNED_BACK = 1.0, 20
DECLARED = f'[collections.{COLLECTION}]\nid = "text"\ncolumns = {{ n = "integer" }}\n'
At = dict[str, float]
"""When each step of a change began, and when it ended."""


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Change phases from ramp to live and back, each time 1 s after the one before."""
    rounds = 15 if sizes.rounds > 1 else 2
    with psycopg.connect(on.postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE bench_phases")
    url = urlsplit(on.postgres.url)._replace(path="/bench_phases").geturl()
    stage = SwitchStage(on.mongo.url, "bench_phases", url)
    asyncio.run(stage.prepare())
    file = on.folder / "phases.toml"
    file.write_text(f'[source]\nurl = "{stage.mongo_url}"\n[target]\nurl = "{url}"\n{DECLARED}')
    worker = companion([sys.executable, "-m", "syncline.cli.main", "worker", "--config", str(file)],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    given = [stage.mongo_url, url, str(RATE // PROCESSES), str(THREADS)]
    players = [
        companion([sys.executable, "-m", "benchmarks.phase_player", *given],
                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]  # fmt: skip
    try:
        for player in players:
            assert player.stdout is not None
            assert player.stdout.readline().strip() == "ready"
        time.sleep(3 * BETWEEN_SECONDS)
        began = time.monotonic()
        changes, turned_back = asyncio.run(_changed(stage, rounds))
        seconds = time.monotonic() - began
        seen: dict[str, list[Any]] = {"writes": [], "failures": [], "unknown": []}
        for player in players:
            said, _ = player.communicate()
            for name, found in json.loads(said).items():
                seen[name] += found
    finally:
        for process in (*players, worker):
            process.terminate()
            process.wait(20)
    equal = _equal(stage)
    return _told(changes, seen, seconds, turned_back, began, equal)


async def _changed(stage: SwitchStage, rounds: int) -> tuple[list[At], int]:
    changes, turned_back = [], 0
    for _ in range(rounds):
        for goal in (POSTGRESQL, MONGODB):
            while (at := await _once(stage, goal)) is None:
                turned_back += 1
                if turned_back > MOST_TURNED_BACK:
                    raise RuntimeError(f"after {len(changes)} changes none is done within its pause")
            changes.append(at)
    return changes, turned_back


async def _once(stage: SwitchStage, goal: str) -> At | None:
    await asyncio.sleep(BETWEEN_SECONDS)
    at: At = {}

    def told(step: Step) -> None:
        at[step.name.lower()] = time.monotonic()

    async with stage.move(lease=LEASE) as move:
        try:
            await switch(move, goal, pause=PAUSE, told=told)
        except SwitchAbortedError:
            return None
    return {**at, "end": time.monotonic()}


def _told(
    changes: list[At], seen: dict[str, list[Any]], seconds: float, turned_back: int, began: float, equal: str
) -> list[Line]:
    writes = seen["writes"]
    longest = [1000 * _longest(writes, at["close"], at["reverse"]) for at in changes]
    slowest = max(1000 * (ended - at) for at, ended in writes if ended >= began)
    usual = percentile([1000 * (ended - at) for at, ended in writes if ended >= began], 0.99)
    rate = sum(at >= began for at, _ in writes) / seconds
    steps: dict[str, list[float]] = {}
    for at in changes:
        for (name, one), (_, other) in pairwise(sorted(at.items(), key=lambda item: item[1])):
            steps.setdefault(name, []).append(1000 * (other - one))
    took = ", ".join(f"{name} {median(found):.0f}" for name, found in steps.items())
    there, back = (median(steps["drain"][first::2]) for first in (0, 1))
    took += f" (to PostgreSQL {there:.0f}, back {back:.0f})"
    failed = ", ".join(f"{count} x {what}" for what, count in Counter(seen["failures"]).most_common(3))
    what = f"{len(changes)} changes between ramp and live under {rate:.0f} writes/s"
    return [
        Line(f"{what}: writers paused, p95 ms", percentile(longest, 0.95), "<=", 250,
             f"median {median(longest):.0f} ms; {turned_back} turned back; p99 of all writes {usual:.0f}"),
        Line("… the slowest write of all, ms", slowest, "<=", 1000, f"steps, median ms: {took}"),
        Line("… writes that failed", len(seen["failures"]), "<=", 0,
             failed or f"{sum(seen['unknown'])} were written again: the gate had closed meanwhile"),
        Line("… keys that differ in the end", float(equal != "equal"), "<=", 0, equal),
    ]  # fmt: skip


def _longest(requests: list[tuple[float, float]], closed: float, opened: float) -> float:
    """Give the seconds of the slowest request that was under way while no side accepted writes."""
    return max((e - b for b, e in requests if b <= opened and e >= closed), default=0.0)


def _equal(stage: SwitchStage) -> str:
    """Bring over what is left, and compare both sides."""
    from syncline.documents.opening import opened

    async def carry() -> None:
        async with opened(stage.documents) as link:
            await link.pump().walk()

    asyncio.run(carry())
    there, here = stage.documents_there(), stage.rows_there()
    different = [key for key in there.keys() | here.keys() if there.get(key) != here.get(key)]
    return f"{len(different)} of {len(there)}" if different else "equal"
