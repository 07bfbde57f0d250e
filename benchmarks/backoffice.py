"""What two databases cost an application: the boundary guard, and requests with PRIMARY 30 ms away."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg

from benchmarks.companions import companion
from benchmarks.report import Line, median, percentile
from benchmarks.stage import Sizes, Stage
from syncline.cache import SessionCache
from syncline.config.named import SplitSettings
from syncline.split.guard import Guard
from syncline.split.ownership import Ownership, Rules
from syncline.split.routing import Routing
from syncline.split.statements import Placeholders

APP = Path(__file__).parents[1] / "examples/backoffice"
AWAY_MS = 30
PASSWORD = "correct horse battery"  # noqa: S105  of a private engine
STATEMENT = (
    "SELECT c.id, c.name, r.price FROM carriers AS c JOIN rates AS r ON r.carrier_id = c.id"
    " WHERE r.zone = %s AND r.to_grams >= %s ORDER BY r.to_grams LIMIT 1 /* {} */"
)


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Measure the guard and the cache alone, then requests."""
    count = 300 if sizes.rounds > 1 else 60
    return [*_guard(20 * count), asyncio.run(_cached(20 * count)), *_requests(on, count)]


def _guard(count: int) -> list[Line]:
    rules = {"primary": Rules(tables=("users", "roles")), "data": Rules(tables=("carriers", "rates"))}
    routing = Routing(Ownership(rules), split=False)
    Guard(routing, SplitSettings())
    hot = STATEMENT.format("seen before")
    seen = [_microseconds(lambda: routing.look(hot, Placeholders.PERCENT)) for _ in range(count)]
    texts = [STATEMENT.format(number) for number in range(count // 10)]
    new = [_microseconds(lambda: routing.look(text, Placeholders.PERCENT)) for text in texts]  # noqa: B023  called at once
    return [
        Line("guard, a statement seen before, µs", median(seen), "<=", 5, f"p99 {percentile(seen, 0.99):.1f}"),
        Line("… a new one, µs", median(new), "<=", 300, f"p99 {percentile(new, 0.99):.0f}"),
    ]


def _microseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1e6 * (time.perf_counter() - began)


class _Silent:
    """Revocations that never come."""

    async def open(self, heard: Callable[..., None]) -> None: ...

    def current(self) -> bool:
        return True

    async def revoke(self, names: Any) -> None: ...

    async def close(self) -> None: ...


async def _cached(count: int) -> Line:
    async def load() -> str:
        return "a session"

    found = []
    async with SessionCache[str](names=lambda _: ["user:1"], revocations=_Silent()) as cache:
        for _ in range(count):
            began = time.perf_counter()
            await cache.get("s", load)
            found.append(1e6 * (time.perf_counter() - began))
    return Line("session cache, a hit, µs", median(found), "<=", 50, f"p99 {percentile(found, 0.99):.0f}")


def _requests(on: Stage, count: int) -> list[Line]:
    urls = {}
    for name in ("primary", "data"):
        with psycopg.connect(on.postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE bench_office_{name}".encode())
        urls[name] = urlsplit(on.postgres.url)._replace(path=f"/bench_office_{name}").geturl()
    near = _environment(urls["primary"], urls["data"])
    for command in (
        ["syncline.cli.main", "db", "migrate"],
        ["backoffice.seed", "--admin", "root@example.org", "--sample"],
    ):
        subprocess.run([sys.executable, "-m", *command], cwd=APP, env=near, check=True, capture_output=True)
    with _far(urls["primary"]) as far, _served(_environment(far, urls["data"])) as port:
        cached, uncached = asyncio.run(_asked(port, count))
    with psycopg.connect(urls["data"], autocommit=True) as data:
        query = "SELECT price FROM delivery_rates WHERE zone = 'EU-1' AND to_grams >= 900 ORDER BY to_grams LIMIT 1"
        asked = [_microseconds(lambda: data.execute(query).fetchall()) / 1000 for _ in range(count)]
    away, told = f"PRIMARY {AWAY_MS} ms away", "median {:.1f} ms, p95 {:.1f}"
    p95, slow, of_data = percentile(cached, 0.95), percentile(uncached, 0.95), percentile(asked, 0.95)
    return [
        Line(f"a request whose session is kept, {away}, p95 ms", p95, "<=", 5, told.format(median(cached), p95)),
        Line("… whose session is not kept, median ms", median(uncached), "<=", 60, told.format(median(uncached), slow)),
        Line("… a query of DATA, p95 ms", of_data, "<", 2, told.format(median(asked), of_data)),
    ]


def _environment(primary: str, data: str) -> dict[str, str]:
    root = str(Path(__file__).parents[1])
    given = {"SPLIT_DB_MODE": "true", "PRIMARY_DATABASE_URL": primary, "DATA_DATABASE_URL": data}
    given |= {"BACKOFFICE_ADMIN_PASSWORD": PASSWORD, "BACKOFFICE_LOGIN_ATTEMPTS": "100000"}
    given["BACKOFFICE_HASH_MEMORY_KIB"] = "64"
    return {**os.environ, **given, "PYTHONPATH": os.pathsep.join([str(APP), root])}


@contextlib.contextmanager
def _far(url: str) -> Iterator[str]:
    with psycopg.connect(url) as connection:
        info = connection.info
        server, place = f"{info.host}/.s.PGSQL.{info.port}", f"{info.user}@127.0.0.1"
        name = info.dbname
    link = companion(
        [sys.executable, "-m", "benchmarks.slow_link", server, str(AWAY_MS)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert link.stdout is not None
        yield f"postgresql://{place}:{int(link.stdout.readline())}/{name}"
    finally:
        link.terminate()
        link.wait()


@contextlib.contextmanager
def _served(environment: dict[str, str]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = int(found.getsockname()[1])
    command = ["uvicorn", "--factory", "backoffice.app:create_app", "--no-access-log", "--port", str(port)]
    process = companion(
        [sys.executable, "-m", *command], cwd=APP, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield port
    finally:
        process.terminate()
        process.wait(20)


@contextlib.asynccontextmanager
async def _client(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.TransportError):
                (await client.get("/api/health")).raise_for_status()
                break
            if time.monotonic() > until:
                raise RuntimeError("backoffice does not start")
            await asyncio.sleep(0.2)
        yield client


async def _asked(port: int, count: int) -> tuple[list[float], list[float]]:
    """Ask for carriers, which are in DATA: with a session that is kept, and with each new session once."""
    async with _client(port) as client:

        async def token() -> dict[str, str]:
            answer = await client.post("/api/auth/login", json={"email": "root@example.org", "password": PASSWORD})
            return {"Authorization": f"Bearer {answer.raise_for_status().json()['token']}"}

        async def took(headers: dict[str, str]) -> float:
            began = time.perf_counter()
            (await client.get("/api/carriers", headers=headers)).raise_for_status()
            return 1000 * (time.perf_counter() - began)

        return await _both(token, took, count)


async def _both(
    token: Callable[[], Awaitable[dict[str, str]]], took: Callable[[dict[str, str]], Awaitable[float]], count: int
) -> tuple[list[float], list[float]]:
    kept = await token()
    await took(kept)
    cached = [await took(kept) for _ in range(count)]
    uncached = [await took(await token()) for _ in range(count // 10)]
    return cached, uncached
