"""Copies of studybuddy for a benchmark: their databases, a worker, MongoDB at a distance, and requests by HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
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

from benchmarks.companions import companion
from benchmarks.product import install_application
from benchmarks.stage import Stage

APP = Path(__file__).parents[1] / "examples" / "studybuddy"
PATH = os.pathsep.join(filter(None, [str(APP), os.environ.get("PYTHONPATH", "")]))
RATE = 100
PASSWORD = "correct horse battery"  # noqa: S105
SECRET = "a secret of the benchmark, long enough"  # noqa: S105
TODO = {"title": "Integrals, chapter {n}", "subject": "maths", "questionsTarget": 20}
ACCOUNT = {"email": "user{n}@bench.org", "username": "user{n}", "password": PASSWORD}
_REPORTS = """
INSERT INTO users (email, username, password_hash, total_points)
SELECT 'learner' || n || '@bench.org', 'learner' || n, 'x', n FROM generate_series(1, 1000) AS n;
INSERT INTO reports (user_id, date, study_hours, completion_pct)
SELECT u.id, date '2000-01-01' + n, n % 16, n % 101 FROM (SELECT id FROM users WHERE username LIKE 'learner%') AS u,
       generate_series(1, {days}) AS n;
ANALYZE users, reports;
"""


@dataclass
class Running:
    """A copy of the application, and a caller's headers."""

    base: str
    headers: Mapping[str, str]
    pid: int
    user: int
    """Number of the user whose headers these are."""
    first: int = 0

    def drive(
        self,
        folder: Path,
        requests: Sequence[Any],
        *,
        seconds: float,
        clients: int = 0,
        first: int | None = None,
        strict: bool = False,
    ) -> list[float]:
        """Milliseconds of each request; at the fixed rate, or as fast as so many clients go.

        An application may refuse requests (503) that come beyond its limits, which a busy machine moves: at the fixed
        rate one that is refused has taken for ever, with so many clients it does not count. Where it is `strict` none
        may be. Requests are numbered from `first` on.
        """
        pace = {"clients": clients} if clients else {"rate": RATE}
        self.first += 1_000_000
        number = self.first if first is None else first
        plan = {"base": self.base, "seconds": seconds, "requests": requests, "first": number, **pace}
        file = folder / "plan.json"
        file.write_text(json.dumps(plan), "utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.http_client", str(file)], stdout=subprocess.PIPE, text=True, check=True
        )
        found = json.loads(done.stdout)
        refused = [one for one in found["bad"] if one.startswith("503 ")]
        assert (clients and not strict) or len(refused) == len(found["bad"]), found["bad"][:3]
        assert not (strict and refused), refused[:3]
        took: list[float] = found["took"]
        return took if clients else took + [math.inf] * len(refused)

    def ask(self, method: str, path: str, body: Any = None) -> list[Any]:
        return [method, path, dict(self.headers), body]


@contextlib.contextmanager
def databases(on: Stage) -> Iterator[tuple[str, str]]:
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
def link(on: Stage, milliseconds: int) -> Iterator[str]:
    """MongoDB behind a link of so long a round trip; without its database's name."""
    server = on.mongo.url.removeprefix("mongodb://").partition("/")[0]
    server = server.replace("%2F", "/").replace("%2f", "/")
    command = [sys.executable, "-m", "benchmarks.slow_link", server, str(milliseconds)]
    link = companion(command, stdout=subprocess.PIPE, text=True)
    try:
        assert link.stdout is not None
        yield f"mongodb://127.0.0.1:{int(link.stdout.readline())}"
    finally:
        link.terminate()
        link.wait()


@contextlib.contextmanager
def worker(url: str, mongo_url: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "DATABASE_URL": url, "MONGODB_URL": f"{mongo_url}/captured?directConnection=true"}
    command = [sys.executable, "-m", "syncline.cli.main", "worker", "-c", str(APP / "syncline.toml")]
    process = companion(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def application(url: str, mongo_url: str, *, dual: bool = False) -> Iterator[Running]:
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
    process = companion(
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
                joined = http.post("/api/users", json=account).raise_for_status()
                break
            except httpx.TransportError:
                assert process.poll() is None, "the application ended"
                assert time.monotonic() < end, "the application does not answer"
                time.sleep(0.1)
        login = http.post("/api/auth/login", json={"email": account["email"], "password": PASSWORD})
        login.raise_for_status()
    headers = {"Authorization": f"Bearer {login.json()['accessToken']}"}
    return Running(base, headers, process.pid, joined.json()["id"])


def with_reports(conn: psycopg.Connection[Any], count: int) -> None:
    """Write a thousand learners and so many reports of theirs."""
    conn.execute(_REPORTS.format(days=count // 1000))  # type: ignore[arg-type]


def drained(conn: psycopg.Connection[Any]) -> None:
    """Wait until nothing is left to be applied."""
    while True:
        row = conn.execute(
            "SELECT count(*) FROM syncline.changes WHERE NOT processed AND last_error IS NULL"
        ).fetchone()
        if row is not None and not row[0]:
            return
        time.sleep(0.2)
