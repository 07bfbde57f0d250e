"""What shadow reads cost a request when the other side takes a second: every read compared, none waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from statistics import median
from typing import Any

import psycopg
from pymongo import AsyncMongoClient

from benchmarks.report import Line
from benchmarks.stage import Sizes, Stage
from syncline.phases.shadow import Read, Rules, ShadowReads

CLIENTS, DOCUMENTS = 4, 1000
GET = Read("shadowed", "get", "1")
Call = Callable[[int], Awaitable[Any]]


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Latency with and without, in turns."""
    return asyncio.run(_lines(on, sizes))


async def _lines(on: Stage, sizes: Sizes) -> list[Line]:
    async with AsyncMongoClient[dict[str, Any]](on.mongo.url) as client:
        things = client.bench_shadow.things
        await things.drop()
        await things.insert_many([{"_id": number, "name": f"thing {number}"} for number in range(DOCUMENTS)])
        shadow = ShadowReads(Rules(deadline=timedelta(seconds=5)))

        async def bare(number: int) -> Any:
            return await things.find_one({"_id": number})

        async def shadowed(number: int) -> Any:
            return await shadow.read(GET, lambda: bare(number), lambda: slow(number))

        async def slow(number: int) -> Any:
            async with await psycopg.AsyncConnection.connect(on.postgres.url) as conn:
                await conn.execute("SELECT pg_sleep(1)")
            return await bare(number)

        seconds = sizes.seconds / 5
        medians: tuple[list[float], list[float]] = ([], [])
        most: tuple[list[float], list[float]] = ([], [])
        await _driven(bare, seconds)
        for _ in range(max(3, sizes.rounds)):
            for which, call in enumerate((bare, shadowed)):
                took = await _driven(call, seconds)
                medians[which].append(median(took))
                most[which].append(max(took))
        await shadow.close()
    said = ", ".join(f"{name} {count}" for name, count in shadow.report.totals()["shadowed", "get"].outcomes.items())
    ratio = median(with_ / without for without, with_ in zip(*medians, strict=True))
    more = median(with_ - without for without, with_ in zip(*most, strict=True)) * 1e3
    p50s = f"p50 {median(medians[0]) * 1e3:.3f} ms, shadowed {median(medians[1]) * 1e3:.3f} ms; {said}"
    return [
        Line("a read with shadow reads on, other side 1 s slow, p50: against without", ratio, "<=", 1.05, p50s),
        Line("… the longest wait, ms more than without", more, "<=", 5.0, f"without {median(most[0]) * 1e3:.1f} ms"),
    ]


async def _driven(call: Call, seconds: float) -> list[float]:
    took: list[float] = []
    until = time.perf_counter() + seconds

    async def client(first: int) -> None:
        number = first
        while (began := time.perf_counter()) < until:
            await call(number % DOCUMENTS)
            took.append(time.perf_counter() - began)
            number += 1
            await asyncio.sleep(0.001)

    await asyncio.gather(*(client(number * 100) for number in range(CLIENTS)))
    return took
