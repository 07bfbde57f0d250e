"""`python -m tests.chaos`: kill everything, for as long as you like."""

from __future__ import annotations

import argparse
import os
import random
import sys

from tests.chaos import ddl, rows
from tests.chaos.run import ROUND_KILLS, ChaosError, run
from tests.chaos.sabotage import SABOTEURS


def main() -> int:
    """Run, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="processes to kill (default: 500)")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of the plan of faults"
    )
    parser.add_argument("--minutes", type=float, help="stop after so long, however many were killed")
    parser.add_argument("--round", type=int, default=ROUND_KILLS, help="kills until everything is compared")
    parser.add_argument("--operators", type=int, default=2, help="who backfill, verify and repair (default: 2)")
    parser.add_argument("--rows", type=int, default=20_000, help="of the large table (default: 20,000)")
    parser.add_argument("--verbose", action="store_true", help="print every fault")
    parser.add_argument("--sabotage", choices=SABOTEURS, help="take a mechanism out: the run must fail")
    parser.add_argument("--ddl", action="store_true", help="change the schema instead: nothing is lost, or it is said")
    parser.add_argument("--mend", action=argparse.BooleanOptionalAction, help="with --ddl: workers put capture back")
    parser.add_argument("--owner", action="store_true", help="with --ddl: as a plain owner of the tables")
    parser.add_argument("--target", choices=("mongodb", "postgresql"), default="mongodb", help="(default: mongodb)")
    wanted = parser.parse_args()
    if wanted.sabotage:
        os.environ["SYNCLINE_CHAOS_SABOTAGE"] = wanted.sabotage
    print(f"seed {wanted.seed}", flush=True)  # noqa: T201
    try:
        if wanted.ddl:
            ddl.run(
                wanted.seed,
                minutes=wanted.minutes or 15,
                superuser=not wanted.owner,
                mend=wanted.mend,
                aloud=wanted.verbose,
            )
            print("nothing is lost, or it was said")  # noqa: T201
            return 0
        (rows.run if wanted.target == "postgresql" else run)(
            wanted.seed,
            kills=wanted.kills,
            minutes=wanted.minutes,
            round_kills=wanted.round,
            aloud=wanted.verbose,
            operators=wanted.operators,
            rows=wanted.rows,
        )
    except (ChaosError, ddl.LostError) as error:
        print(error)  # noqa: T201
        return 1
    print("equal, nothing parked, nothing went back")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
