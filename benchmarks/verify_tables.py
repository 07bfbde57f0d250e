"""Verification of a table against a table: against having both servers sum up their rows, one process each."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg

from benchmarks import product
from benchmarks.report import Line, median
from benchmarks.stage import SQL, Sizes, Stage
from benchmarks.verify import apart

NAME = "bench_copy"


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Equal tables."""
    rows, ratios, details = sizes.large, [], []
    on.reset(rows=rows)
    with on.sql() as conn:
        conn.execute(SQL["forget_marks"])
        conn.execute("TRUNCATE syncline.task")
    with table_copy(on) as target:
        for _ in range(sizes.rounds):
            bare, *_ = apart(summing_up, on, target)
            took, cpu, peak, found = apart(verifying, on, target)
            assert found[1] == 0, found
            assert found[0] == "equal", found
            ratios.append(took / bare)
            details.append(f"{took:.1f} s, {bare:.1f} s; {cpu / rows * 1e6:.2f} µs of CPU a record, {peak:.0f} MB")
    what = f"verify {rows:,} equal rows, tables: against the digests of both sides"
    return [Line(what, median(ratios), "<=", 1.3, details[-1])]


@contextlib.contextmanager
def table_copy(on: Stage) -> Iterator[str]:
    """Make a database with the same table, and drop it."""
    url = urlsplit(on.postgres.url)._replace(path=f"/{NAME}").geturl()
    with on.sql() as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {NAME}")
        conn.execute(f"CREATE DATABASE {NAME}")
        try:
            with psycopg.connect(url, autocommit=True) as there:
                there.execute(SQL["table"])
                with (
                    conn.cursor().copy("COPY todo TO STDOUT (FORMAT binary)") as out,
                    there.cursor().copy("COPY todo FROM STDIN (FORMAT binary)") as into,
                ):
                    for block in out:
                        into.write(block)
                there.execute("VACUUM ANALYZE")
            yield url
        finally:
            conn.execute(f"DROP DATABASE {NAME} WITH (FORCE)")


def summing_up(source: str, _: str, target: str) -> None:
    """Have both servers sum up all rows, side by side."""

    def one(url: str) -> None:
        with psycopg.connect(url) as conn:
            conn.execute("SET jit = off; SET max_parallel_workers_per_gather = 0")
            conn.execute(SQL["digest"]).fetchone()

    both = [threading.Thread(target=one, args=[url]) for url in (source, target)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()


def verifying(source: str, _: str, target: str) -> tuple[str, int]:
    """Verify as fast as it goes: verdict and differences."""
    product.tune_garbage_collection()
    return asyncio.run(product.verified_tables(source, target))
