"""studybuddy through HTTP: the outbox against writing both databases in the request, and against writing one.

Three copies of the application run side by side: with capture, without, and one that writes both databases itself.
They are driven in turn from a process of its own, at a fixed rate and as fast as 50 clients go, with MongoDB near and
20 ms away.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import psycopg
import pymongo

from benchmarks.application_stage import (
    ACCOUNT,
    RATE,
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

CLIENTS = 50
FAR_MS = 20
UNBOUND = float("inf")
REFRESHED = 20
"""Seconds in which every cached answer is made anew at least once."""

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


def measured(on: Stage, sizes: Sizes) -> list[Figure]:
    """The application with the outbox, MongoDB near."""
    seconds = sizes.seconds / 1.5
    with (
        databases(on) as (captured, _),
        link(on, 0) as mongo_url,
        worker(captured, mongo_url),
        application(captured, f"{mongo_url}/captured") as app,
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
    with databases(on) as (captured, bare):
        for far in (0, FAR_MS):
            with link(on, far) as mongo_url, contextlib.ExitStack() as stack:
                running = stack.enter_context(worker(captured, mongo_url))
                outbox = stack.enter_context(application(captured, f"{mongo_url}/captured"))
                alone = stack.enter_context(application(bare, f"{mongo_url}/alone"))
                dual = stack.enter_context(application(bare, f"{mongo_url}/dual", dual=True))
                found += _writes(on.folder, outbox, alone, dual, far, seconds=seconds, rounds=rounds)
                if not far:
                    found += _routes(on, outbox, captured, seconds=seconds, reports=reports)
                assert running.poll() is None
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
        with_reports(conn, reports)
        drained(conn)
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
