"""studybuddy through HTTP: the outbox against writing both databases in the request, and against writing one.

Three copies of the application run side by side: with capture, without, and one that writes both databases itself.
They are driven in turn from a process of its own, at a fixed rate and as fast as 50 clients go, with MongoDB near and
20 ms away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pymongo

from benchmarks.figure import Figure, peak_megabytes
from benchmarks.product import install_application
from benchmarks.report import Line, median, percentile
from benchmarks.stage import Sizes, Stage, cpu_seconds

APP = Path(__file__).parents[1] / "examples" / "studybuddy"
PATH = os.pathsep.join(filter(None, [str(APP), os.environ.get("PYTHONPATH", "")]))
RATE = 100
CLIENTS = 50
FAR_MS = 20
PASSWORD = "correct horse battery"  # noqa: S105
SECRET = "a secret of the benchmark, long enough"  # noqa: S105
TODO = {"title": "Integrals, chapter {n}", "subject": "maths", "questionsTarget": 20}
ACCOUNT = {"email": "user{n}@bench.org", "username": "user{n}", "password": PASSWORD}
UNBOUND = float("inf")
REFRESHED = 20
"""Seconds in which every cached answer is made anew at least once."""

REPORTS = """
INSERT INTO users (email, username, password_hash, total_points)
SELECT 'learner' || n || '@bench.org', 'learner' || n, 'x', n FROM generate_series(1, 1000) AS n;
INSERT INTO reports (user_id, date, study_hours, completion_pct)
SELECT u.id, date '2000-01-01' + n, n % 16, n % 101 FROM (SELECT id FROM users WHERE username LIKE 'learner%') AS u,
       generate_series(1, {days}) AS n;
ANALYZE users, reports;
"""
ANALYTICS = """SELECT user_id, count(*), sum(study_hours), avg(completion_pct) FROM reports
JOIN users ON users.id = user_id WHERE show_profile GROUP BY user_id ORDER BY 3 DESC LIMIT 100"""
LEADERBOARD = """SELECT username, total_points, avatar FROM users
WHERE show_profile ORDER BY total_points DESC, username_key LIMIT 10"""
GROUPED = [
    {
        "$group": {
            "_id": "$userId",
            "reports": {"$sum": 1},
            "hours": {"$sum": "$studyHours"},
            "done": {"$avg": "$completionPct"},
        }
    },
    {"$sort": {"hours": -1, "_id": 1}},
    {"$lookup": {"from": "users", "localField": "_id", "foreignField": "_id", "as": "user"}},
    {"$match": {"user.showProfile": True}},
    {"$limit": 100},
]


@dataclass
class Running:
    """A copy of the application, and a caller's headers."""

    base: str
    headers: Mapping[str, str]
    pid: int
    first: int = 0

    def drive(self, folder: Path, requests: Sequence[Any], *, seconds: float, clients: int = 0) -> list[float]:
        """Milliseconds of each request; at the fixed rate, or as fast as so many clients go.

        At the fixed rate every request must succeed; beyond its limits an application may refuse some (503).
        """
        pace = {"clients": clients} if clients else {"rate": RATE}
        self.first += 1_000_000
        plan = {"base": self.base, "seconds": seconds, "requests": requests, "first": self.first, **pace}
        file = folder / "plan.json"
        file.write_text(json.dumps(plan), "utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.http_client", str(file)], stdout=subprocess.PIPE, text=True, check=True
        )
        found = json.loads(done.stdout)
        assert clients or not found["bad"], found["bad"][:3]
        return found["took"]

    def ask(self, method: str, path: str, body: Any = None) -> list[Any]:
        return [method, path, dict(self.headers), body]


def measured(on: Stage, sizes: Sizes) -> list[Figure]:
    """The application with the outbox, MongoDB near."""
    seconds = sizes.seconds / 1.5
    with (
        _databases(on) as (captured, _),
        _far(on, 0) as mongo_url,
        _worker(captured, mongo_url),
        _application(captured, f"{mongo_url}/captured") as app,
    ):
        requests = [app.ask("POST", "/api/todos", TODO)]
        app.drive(on.folder, requests, seconds=1)
        used = cpu_seconds(app.pid)
        took = app.drive(on.folder, requests, seconds=seconds)
        paced = cpu_seconds(app.pid)
        most = app.drive(on.folder, requests, seconds=seconds, clients=CLIENTS)
        flat = cpu_seconds(app.pid)
        peak = peak_megabytes(app.pid)
    what = "POST /api/todos"
    p50, rate = percentile(took, 0.5), len(most) / seconds
    return [
        Figure(f"{what} at {RATE}/s, p50", p50, "ms", (paced - used) / len(took) * 1e6, peak),
        Figure(f"{what} by {CLIENTS} clients", rate, "/s", (flat - paced) / len(most) * 1e6, peak),
    ]


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """All of it."""
    seconds, rounds, reports = sizes.seconds / 1.5, sizes.rounds, sizes.rows * 5
    found = []
    with _databases(on) as (captured, bare):
        for far in (0, FAR_MS):
            with _far(on, far) as mongo_url, contextlib.ExitStack() as stack:
                worker = stack.enter_context(_worker(captured, mongo_url))
                outbox = stack.enter_context(_application(captured, f"{mongo_url}/captured"))
                alone = stack.enter_context(_application(bare, f"{mongo_url}/alone"))
                dual = stack.enter_context(_application(bare, f"{mongo_url}/dual", dual=True))
                found += _writes(on.folder, outbox, alone, dual, far, seconds=seconds, rounds=rounds)
                if not far:
                    found += _routes(on, outbox, captured, seconds=seconds, reports=reports)
                assert worker.poll() is None
    return found


def _writes(
    folder: Path, outbox: Running, alone: Running, dual: Running, far: int, *, seconds: float, rounds: int
) -> list[Line]:
    at_rate: dict[str, list[float]] = {"outbox": [], "alone": [], "dual": []}
    at_most: dict[str, list[float]] = {"outbox": [], "alone": [], "dual": []}
    apps = {"outbox": outbox, "alone": alone, "dual": dual}
    for _ in range(rounds):
        for name, app in apps.items():
            requests = [app.ask("POST", "/api/todos", TODO)]
            at_rate[name].append(percentile(app.drive(folder, requests, seconds=seconds), 0.5))
            at_most[name].append(len(app.drive(folder, requests, seconds=seconds / 2, clients=CLIENTS)) / (seconds / 2))
    p50 = {name: median(values) for name, values in at_rate.items()}
    most = {name: median(values) for name, values in at_most.items()}
    told = ", ".join(f"{name} {value:.1f} ms" for name, value in p50.items())
    rates = ", ".join(f"{name} {value:.0f}/s" for name, value in most.items())
    where = f"POST /api/todos at {RATE}/s, MongoDB {far} ms away"
    faster = (1 - p50["outbox"] / p50["dual"]) * 100
    return [
        Line(f"{where}: outbox against the primary alone", p50["outbox"] / p50["alone"], "<=", 1.25, told),
        Line("… % faster than writing both in the request", faster, ">=", 70 if far else -UNBOUND, told),
        Line(
            f"… by {CLIENTS} clients: outbox against the primary alone", most["outbox"] / most["alone"], ">=", 0, rates
        ),
    ]


def _routes(on: Stage, app: Running, url: str, *, seconds: float, reports: int) -> list[Line]:
    """P95 of the routes that have a bound, with a million reports."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(REPORTS.format(days=reports // 1000))
        _drained(conn)
        from_postgres = {
            "leaderboard": _p50_of(lambda: conn.execute(LEADERBOARD).fetchall(), 20),
            "analytics": _p50_of(lambda: conn.execute(ANALYTICS).fetchall(), 3),
        }
    with on.client() as client:
        database = client["captured"]
        users = database["users"].find({"showProfile": True}, {"username": 1, "totalPoints": 1, "avatar": 1})
        best = users.sort([("totalPoints", pymongo.DESCENDING), ("usernameKey", 1)]).limit(10)
        from_mongo = {
            "leaderboard": _p50_of(lambda: list(best.clone()), 20),
            "analytics": _p50_of(lambda: list(database.reports.aggregate(GROUPED)), 3),
        }
    read = {
        "GET /api/users/leaderboard": (app.ask("GET", "/api/users/leaderboard"), 50),
        "GET /api/reports/analytics": (app.ask("GET", "/api/reports/analytics"), 150),
        "POST /api/todos": (app.ask("POST", "/api/todos", TODO), 50),
        "POST /api/users without the password's hash": (["POST", "/api/users", {}, ACCOUNT], 80),
    }
    found = []
    for name, (request, bound) in read.items():
        (first,) = app.drive(on.folder, [request], seconds=1 / RATE)
        took = app.drive(on.folder, [request], seconds=max(seconds, REFRESHED))
        told = f"the first one {first:.0f} ms, the longest of the others {max(took):.0f} ms"
        found.append(Line(f"{name} at {RATE}/s, P95 ms", percentile(took, 0.95), "<=", bound, told))
    mixed = [request for request, _ in read.values()] + [app.ask("GET", "/api/todos"), app.ask("GET", "/api/users/me")]
    took = app.drive(on.folder, mixed, seconds=seconds)
    found.append(Line(f"all of them mixed at {RATE}/s, P95 ms", percentile(took, 0.95), "<=", 200))
    for name, mongo_ms in from_mongo.items():
        told = f"MongoDB {mongo_ms:.1f} ms, PostgreSQL {from_postgres[name]:.1f} ms"
        ratio = mongo_ms / from_postgres[name]
        found.append(
            Line(f"{name} over {reports:,} reports, uncached: MongoDB against PostgreSQL", ratio, "<=", UNBOUND, told)
        )
    return found


def _p50_of(read: Any, times: int) -> float:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        assert read()
        took.append((time.perf_counter() - began) * 1e3)
    return median(took)


def _drained(conn: psycopg.Connection[Any]) -> None:
    while True:
        row = conn.execute("SELECT count(*) FROM syncline.outbox").fetchone()
        if row is not None and not row[0]:
            return
        time.sleep(0.2)


@contextlib.contextmanager
def _databases(on: Stage) -> Iterator[tuple[str, str]]:
    """Two databases with the application's tables; the first has capture."""
    urls = []
    with on.sql() as conn:
        for name in ("app_captured", "app_bare"):
            conn.execute(f"DROP DATABASE IF EXISTS {name}")
            conn.execute(f"CREATE DATABASE {name}")
            urls.append(on.postgres.url.replace("/postgres?", f"/{name}?"))
    for url in urls:
        environment = {**os.environ, "DATABASE_URL": url, "PYTHONPATH": PATH}
        subprocess.run(
            [sys.executable, "-m", "alembic", "upgrade", "head"],
            cwd=APP,
            env=environment,
            check=True,
            capture_output=True,
        )
    with on.client() as client:
        for name in ("captured", "alone", "dual"):
            client.drop_database(name)
    asyncio.run(install_application(urls[0], APP / "syncline.toml"))
    yield urls[0], urls[1]


@contextlib.contextmanager
def _far(on: Stage, milliseconds: int) -> Iterator[str]:
    """MongoDB behind a link of so long a round trip; without its database's name."""
    server = on.mongo.url.removeprefix("mongodb://").partition("/")[0]
    server = server.replace("%2F", "/").replace("%2f", "/")
    command = [sys.executable, "-m", "benchmarks.slow_link", server, str(milliseconds)]
    link = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert link.stdout is not None
        yield f"mongodb://127.0.0.1:{int(link.stdout.readline())}"
    finally:
        link.terminate()
        link.wait()


@contextlib.contextmanager
def _worker(url: str, mongo_url: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "DATABASE_URL": url, "MONGODB_URL": f"{mongo_url}/captured?directConnection=true"}
    command = [sys.executable, "-m", "syncline.cli.main", "worker", "-c", str(APP / "syncline.toml")]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def _application(url: str, mongo_url: str, *, dual: bool = False) -> Iterator[Running]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "MONGODB_URL": f"{mongo_url}?directConnection=true",
        "STUDYBUDDY_SECRET": SECRET,
        "STUDYBUDDY_HASH_MEMORY_KIB": "64",
        "PYTHONPATH": PATH,
        "BENCH_DUAL": "1" if dual else "",
    }
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "benchmarks.application_app:create_app",
        "--port",
        str(port),
    ]
    process = subprocess.Popen(
        [*command, "--log-level", "error", "--no-access-log", "--timeout-keep-alive", "120"],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield _logged_in(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(20)


def _logged_in(base: str, process: subprocess.Popen[bytes]) -> Running:
    name = f"bench{os.getpid()}x{time.monotonic_ns()}"[:30]
    account = {"email": f"{name}@bench.org", "username": name, "password": PASSWORD}
    with httpx.Client(base_url=base, timeout=10) as http:
        end = time.monotonic() + 60
        while True:
            try:
                http.post("/api/users", json=account).raise_for_status()
                break
            except httpx.TransportError:
                assert process.poll() is None, "the application ended"
                assert time.monotonic() < end, "the application does not answer"
                time.sleep(0.1)
        login = http.post("/api/auth/login", json={"email": account["email"], "password": PASSWORD})
        login.raise_for_status()
    return Running(base, {"Authorization": f"Bearer {login.json()['accessToken']}"}, process.pid)
