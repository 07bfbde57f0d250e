"""`python -m tests.damage`: damage by hand in the target, found exactly and mended, round after round."""

from __future__ import annotations

import argparse
import random
import sys

from tests.damage.run import DamageError, run


def main() -> int:
    """Run, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.damage", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="of both tables (default: 20,000)")
    parser.add_argument("--rounds", type=int, default=100, help="of damage, verify, repair, verify (default: 100)")
    parser.add_argument("--damage", type=int, default=40, help="acts of damage in a round (default: 40)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of the damage")
    parser.add_argument("--minutes", type=float, help="begin no round after so long")
    wanted = parser.parse_args()
    print(f"seed {wanted.seed}", flush=True)  # noqa: T201
    try:
        run(wanted.rows, wanted.rounds, wanted.seed, damage=wanted.damage, minutes=wanted.minutes)
    except DamageError as error:
        print(error)  # noqa: T201
        return 1
    print("found exactly, mended, equal")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
