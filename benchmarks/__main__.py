"""``python -m benchmarks [NAME…] [--against COMMIT]``: one table of ratios."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks import (
    application,
    backfill,
    backoffice,
    bad_records,
    block_marks,
    bulk_kinds,
    capture,
    copying,
    document_latency,
    documents,
    dual_write,
    entities,
    large_transaction,
    latency,
    marking,
    phase_switching,
    relay_tables,
    routes,
    shadow,
    switching,
    tenants,
    throughput,
    transforms,
    verify,
    verify_tables,
    write_delay,
)
from benchmarks.against import METHOD, AgainstError, checked_out, compare
from benchmarks.pairs import FEWEST
from benchmarks.player import MEASURES
from benchmarks.report import Line, machine
from benchmarks.stage import QUICK, Sizes, Stage, stage

SUITES: dict[str, Callable[[Stage, Sizes], list[Line]]] = {
    "inserts": throughput.inserts,
    "updates": throughput.updates,
    "updates-tables": relay_tables.lines,
    "latency": latency.lines,
    "single": capture.single,
    "marking": marking.lines,
    "bulk": capture.bulk,
    "block-marks": block_marks.lines,
    "bulk-kinds": bulk_kinds.lines,
    "backlog": throughput.backlog,
    "application": application.lines,
    "routes": routes.lines,
    "verify": verify.lines,
    "verify-processes": verify.shared,
    "verify-tables": verify_tables.lines,
    "beside": verify.beside,
    "backfill": backfill.lines,
    "backfill-beside": backfill.beside,
    "copy": copying.lines,
    "copy-beside": copying.beside,
    "copy-documents": documents.copy_lines,
    "verify-documents": documents.verify_lines,
    "relay-documents": documents.relay_lines,
    "latency-documents": document_latency.lines,
    "phase-switch": phase_switching.lines,
    "split-switch": switching.lines,
    "transforms": transforms.lines,
    "backoffice": backoffice.lines,
    "idle": latency.idle,
    "tenants": tenants.lines,
    "large-transaction": large_transaction.lines,
    "entities": entities.lines,
    "bad-records": bad_records.lines,
    "write-delay": write_delay.lines,
    "shadow": shadow.lines,
    "dual-write": dual_write.lines,
}


def main() -> int:
    """Measure; 1 when a figure is worse than the other commit's, 2 when it cannot be measured."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Ratios measured side by side in one run.")
    parser.add_argument("--quick", action="store_true", help="small figures, one round: to see that it runs")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--against", metavar="COMMIT", help=f"compare with another commit instead; {', '.join(MEASURES)}"
    )
    parser.add_argument("--pairs", type=int, default=FEWEST, metavar="N", help=f"pairs of runs, at least {FEWEST}")
    parser.add_argument("--limit", type=float, default=0.95, help="missed when the interval lies below (%(default)s)")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SUITES)}")
    options = parser.parse_args()
    known = MEASURES if options.against else SUITES
    if unknown := set(options.names) - set(known):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if options.pairs < FEWEST:
        parser.error(f"fewer than {FEWEST} pairs say too little")
    chosen = [name for name in known if not options.names or name in options.names]
    sizes = QUICK if options.quick else Sizes()
    try:
        return _against(options, chosen, sizes) if options.against else _alone(chosen, sizes, as_json=options.json)
    except AgainstError as error:
        print(error, file=sys.stderr)
        return 2


def _alone(chosen: Sequence[str], sizes: Sizes, *, as_json: bool) -> int:
    out = sys.stderr if as_json else sys.stdout
    print(machine(), file=out)
    began, lines = time.monotonic(), []
    with stage() as on:
        for name in chosen:
            for line in SUITES[name](on, sizes):
                print(line, file=out, flush=True)
                lines.append(line)
    if as_json:
        print(json.dumps({"machine": machine(), "lines": [line.json() for line in lines]}, indent=2))
    missed = [line for line in lines if not line.reached]
    print(f"{len(lines) - len(missed)} of {len(lines)} reached, in {time.monotonic() - began:.0f} s", file=out)
    return 0


def _against(options: argparse.Namespace, chosen: Sequence[str], sizes: Sizes) -> int:
    out = sys.stderr if options.json else sys.stdout
    print(f"{machine()}\n{options.pairs} pairs; above 1 this tree is the better one; {METHOD}", file=out)
    found = []
    with checked_out(options.against) as other, stage() as on:
        for comparison in compare(chosen, on, other, sizes, pairs=options.pairs, limit=options.limit):
            print(comparison.told(other.name), file=out, flush=True)
            found.append(comparison)
    missed = [comparison for comparison in found if comparison.missed]
    if options.json:
        print(
            json.dumps(
                {
                    "machine": machine(),
                    "against": other.name,
                    "pairs": options.pairs,
                    "method": METHOD,
                    "limit": options.limit,
                    "lines": [comparison.json() for comparison in found],
                },
                indent=2,
            )
        )
    print(f"{len(missed)} of {len(found)} missed (limit {options.limit})", file=out)
    return 1 if missed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: what runs beside it is ended
    sys.exit(main())
