"""Thousands of bad records beside another entity: how long its changes take, against the same without them.

``python -m benchmarks.bad_records [KIND…]`` prints milliseconds for each kind of bad record.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.companions import companion
from benchmarks.entities import command, command_line, environment
from benchmarks.report import Line, percentile
from benchmarks.stage import SQL, Sizes, Stage, stage

BAD = 3000
KINDS = {
    "good": "nothing is wrong with them: what so many changes at once cost anyway",
    "unreadable": "an expression fails on the row",
    "unmapped": "the value fits no type of MongoDB",
    "refused": "the target refuses the document",
}
SAMPLES = 150
"""Changes of the other entity that are measured at least, with and without."""
PATIENCE = 120.0


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Each kind; the worst of the rounds."""
    found = []
    for kind, what in KINDS.items():
        rounds = [measure(on, kind) for _ in range(sizes.rounds)]
        ratio, without, beside, seconds = sorted(rounds)[len(rounds) // 2]
        detail = f"{what}; p99 {beside:.1f}, {without:.1f} ms; all done after {seconds:.1f} s"
        found.append(Line(f"{BAD:,} {kind} records beside another entity: its p99", ratio, "<=", 2, detail))
    return found


def measure(on: Stage, kind: str) -> tuple[float, float, float, float]:
    """Ratio, p99 without and with bad records in milliseconds, and seconds until all of them were parked."""
    file = prepare(on, kind)
    command(file, "install", "--yes")
    with (on.folder / "worker.log").open("w") as log:
        running = companion(command_line(file, "worker"), stdout=log, stderr=log, env=environment())
        try:
            with on.sql() as conn, on.client() as client:
                changes = _changes(conn, client.bench.beside)
                for _ in range(SAMPLES // 3):  # it has started, and its statements are prepared
                    next(changes)
                without = [next(changes) for _ in range(2 * SAMPLES)]
                conn.execute(SQL["fill_bad"], {"rows": BAD})
                began, seconds, beside = time.monotonic(), 0.0, list[float]()
                while not seconds or len(beside) < SAMPLES:
                    if not seconds and not _waiting(conn):
                        seconds = time.monotonic() - began
                    beside.append(next(changes))
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)
    before, after = percentile(without, 0.99), percentile(beside, 0.99)
    return after / before, before, after, seconds


def _waiting(conn: psycopg.Connection[Any]) -> bool:
    (waiting,) = conn.execute(SQL["waiting"]).fetchone() or (False,)
    return bool(waiting)


def _changes(conn: psycopg.Connection[Any], collection: Any) -> Iterator[float]:
    """Change a record again and again; milliseconds until each change is visible."""
    number = 0
    while True:
        number += 1
        key = 1 + number % 100
        conn.execute("UPDATE beside SET n = %s WHERE id = %s", (number, key))
        began = time.monotonic()
        while (collection.find_one({"_id": key}) or {}).get("n") != number:
            if time.monotonic() - began > PATIENCE:
                raise RuntimeError("a change did not come")
            time.sleep(0.0005)
        yield (time.monotonic() - began) * 1e3
        time.sleep(0.005)


def prepare(on: Stage, kind: str) -> Path:
    """Make both tables and the file."""
    with on.sql() as conn, on.client() as client:
        client.drop_database("bench")
        conn.execute("DROP SCHEMA IF EXISTS syncline CASCADE")
        conn.execute(SQL["bad"])
        if kind == "refused":
            client.bench.create_collection("bad", validator={"n": {"$exists": False}})
    parts = ["[source]", f'url = "{on.postgres.url}"', "[target]", f'url = "{on.mongo.url}"', 'database = "bench"']
    for name in ("beside", "bad"):
        parts += [f"[entities.{name}]", f'table = "{name}"', f'collection = "{name}"']
    parts += [] if kind == "unmapped" else ['exclude = ["wide"]']
    parts += ["[entities.bad.computed]", 'share = "100 / n"'] if kind == "unreadable" else []
    file = on.folder / "bad_records.toml"
    file.write_text("\n".join(parts))
    return file


def main(kinds: list[str]) -> None:
    """Print milliseconds."""
    with stage() as on:
        for kind in kinds or KINDS:
            ratio, before, after, seconds = measure(on, kind)
            print(
                f"{kind}: p99 {before:.1f} -> {after:.1f} ms ({ratio:.2f}), all done after {seconds:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
