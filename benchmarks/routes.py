"""Six routes by ten clients: the outbox against an application that writes both databases in the request.

The naive copy also reads MongoDB in each request, since it has nothing that keeps answers. MongoDB is near, 20 ms and
100 ms away.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from benchmarks.application_stage import (
    PASSWORD,
    TODO,
    Running,
    application,
    databases,
    drained,
    link,
    with_reports,
    worker,
)
from benchmarks.figure import Figure, peak_megabytes
from benchmarks.report import Line, median, percentile
from benchmarks.stage import Sizes, Stage, cpu_seconds

CLIENTS = 10
DISTANCES = (0, 20, 100)
MOST = 800
"""Requests a second that this bench has todos for."""
WRITES = ("POST /api/todos", "PATCH /api/todos", "DELETE /api/todos", "POST /api/users")
UNBOUND = float("-inf")

_SEED = """
INSERT INTO todos (user_id, title, subject, difficulty)
SELECT %s, 'chapter ' || n, 'maths', 'easy' FROM generate_series(1, %s) AS n RETURNING id"""


@dataclass(frozen=True)
class Side:
    """A copy of the application with its two databases."""

    app: Running
    url: str
    database: str
    dual: bool

    def seed(self, on: Stage, count: int) -> int:
        """Give its user so many todos in both databases; the first one's number, the others follow it."""
        with psycopg.connect(self.url, autocommit=True) as conn, on.client() as client:
            numbers = [number for (number,) in conn.execute(_SEED, (self.app.user, count))]
            assert numbers == [*range(numbers[0], numbers[0] + count)]
            if self.dual:
                client[self.database].todos.insert_many(
                    {"_id": number, "userId": self.app.user, "title": "chapter"} for number in numbers
                )
            else:
                drained(conn)
        return numbers[0]

    def six(self, on: Stage, seconds: float) -> dict[str, list[float]]:
        """Milliseconds of each request of the six routes, one route after the other."""
        first = self.seed(on, int(MOST * seconds))
        name = f"u{self.app.user}x{{n}}"
        account = {"email": f"{name}@bench.org", "username": name, "password": PASSWORD}
        ask, by_number = self.app.ask, {"PATCH /api/todos", "DELETE /api/todos"}
        requests = {
            "POST /api/todos": ask("POST", "/api/todos", TODO),
            "PATCH /api/todos": ask("PATCH", "/api/todos/{n}", {"title": "Series, chapter {n}"}),
            "DELETE /api/todos": ask("DELETE", "/api/todos/{n}"),
            "POST /api/users": ["POST", "/api/users", {}, account],
            "GET /api/users/leaderboard": ask("GET", "/api/users/leaderboard"),
            "GET /api/reports/analytics": ask("GET", "/api/reports/analytics"),
        }
        return {
            name: self.app.drive(
                on.folder,
                [request],
                seconds=seconds,
                clients=CLIENTS,
                strict=True,
                first=first if name in by_number else None,
            )
            for name, request in requests.items()
        }


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Each route at each distance."""
    found = []
    with _both_filled(on, sizes) as (captured, bare):
        for away in DISTANCES:
            with link(on, away) as mongo_url, worker(captured, mongo_url) as running:
                rounds: list[tuple[dict[str, list[float]], dict[str, list[float]]]] = []
                with (
                    application(captured, f"{mongo_url}/captured") as ours,
                    application(bare, f"{mongo_url}/dual", dual=True) as naive,
                ):
                    sides = Side(ours, captured, "captured", dual=False), Side(naive, bare, "dual", dual=True)
                    for _ in range(sizes.rounds):
                        outbox, dual = [side.six(on, sizes.seconds / 3) for side in sides]
                        rounds.append((outbox, dual))
                assert running.poll() is None
            found += [_line(name, away, rounds, sizes.seconds / 3) for name in rounds[0][0]]
    return found


def measured(on: Stage, sizes: Sizes) -> list[Figure]:
    """The six routes with the outbox, MongoDB near."""
    with (
        _both_filled(on, sizes) as (captured, _),
        link(on, 0) as mongo_url,
        worker(captured, mongo_url),
        application(captured, f"{mongo_url}/captured") as app,
    ):
        used = cpu_seconds(app.pid)
        took = Side(app, captured, "captured", dual=False).six(on, sizes.seconds / 3)
        cpu = (cpu_seconds(app.pid) - used) / sum(map(len, took.values())) * 1e6
        peak = peak_megabytes(app.pid)
    return [
        Figure(f"{name} by {CLIENTS} clients, p50", percentile(each, 0.5), "ms", cpu, peak)
        for name, each in took.items()
    ]


def _line(name: str, away: int, rounds: list[tuple[Any, Any]], seconds: float) -> Line:
    p50, told = [], []
    for side, called in enumerate(("outbox", "both in the request")):
        found = [each[side][name] for each in rounds]
        p50.append(median([percentile(took, 0.5) for took in found]))
        p95 = median([percentile(took, 0.95) for took in found])
        rate = median([len(took) / seconds for took in found])
        told.append(f"{called} p50 {p50[-1]:.1f} ms, p95 {p95:.1f} ms, {rate:.0f}/s")
    return Line(
        f"{name}, MongoDB {away} ms away: p50 % below both in the request",
        (1 - p50[0] / p50[1]) * 100,
        ">=",
        70 if away and name in WRITES else UNBOUND,
        "; ".join(told),
    )


@contextlib.contextmanager
def _both_filled(on: Stage, sizes: Sizes) -> Iterator[tuple[str, str]]:
    """Both databases with the same learners and reports, in MongoDB too."""
    with databases(on) as (captured, bare):
        for url in (captured, bare):
            with psycopg.connect(url, autocommit=True) as conn:
                with_reports(conn, sizes.rows // 10)
        with link(on, 0) as mongo_url, worker(captured, mongo_url), psycopg.connect(captured, autocommit=True) as conn:
            drained(conn)
        with on.client() as client:
            for name in ("users", "reports"):
                client["dual"][name].insert_many(client["captured"][name].find())
            client["dual"].users.create_index({"showProfile": 1, "totalPoints": -1, "usernameKey": 1})
        yield captured, bare
