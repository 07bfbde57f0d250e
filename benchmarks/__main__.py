"""``python -m benchmarks [--quick] [NAME…]``: one table of ratios."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from benchmarks import application, backfill, capture, latency, throughput, verify
from benchmarks.report import Line, machine
from benchmarks.stage import Stage, stage


def suites(*, quick: bool) -> dict[str, Callable[[Stage], list[Line]]]:
    rows, rounds, seconds = (50_000, 1, 4.0) if quick else (200_000, 3, 15.0)
    return {
        "inserts": lambda on: throughput.inserts(on, rows=rows, rounds=rounds),
        "updates": lambda on: throughput.updates(on, rows=rows, rounds=rounds),
        "latency": lambda on: latency.lines(on, seconds=seconds / 1.5, rounds=rounds),
        "single": lambda on: capture.single(on, rows=rows // 100, rounds=rounds),
        "bulk": lambda on: capture.bulk(on, rows=100_000, rounds=rounds),
        "backlog": lambda on: throughput.backlog(on, small=rows, large=rows * 10),
        "application": lambda on: application.lines(on, seconds=seconds / 1.5, rounds=rounds, reports=rows * 5),
        "verify": lambda on: verify.lines(on, rows=100_000 if quick else 1_000_000, rounds=rounds),
        "beside": lambda on: verify.beside(on, rows=rows, seconds=seconds, rounds=rounds),
        "backfill": lambda on: backfill.lines(on, rows=200_000 if quick else 1_000_000, rounds=rounds),
        "backfill-beside": lambda on: backfill.beside(on, rows=rows * 4, seconds=seconds, rounds=rounds),
        "idle": lambda on: latency.idle(on, seconds=seconds),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Ratios measured side by side in one run.")
    parser.add_argument("--quick", action="store_true", help="small figures, one round: to see that it runs")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(suites(quick=True))}")
    options = parser.parse_args()
    chosen = {
        name: suite for name, suite in suites(quick=options.quick).items() if not options.names or name in options.names
    }
    print(machine())
    began, lines = time.monotonic(), []
    with stage() as on:
        for suite in chosen.values():
            for line in suite(on):
                print(line, flush=True)
                lines.append(line)
    missed = [line for line in lines if not line.reached]
    print(f"{len(lines) - len(missed)} of {len(lines)} reached, in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
