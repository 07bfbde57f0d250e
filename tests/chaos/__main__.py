"""`python -m tests.chaos`: kill everything, change the schema or damage the target, for as long as you like."""

from __future__ import annotations

import argparse
import os
import random
import sys

from tests.chaos import ddl
from tests.chaos.links import LinkChaos
from tests.chaos.migrate import run as migrations
from tests.chaos.migrate.sabotage import SABOTEURS as OF_MIGRATIONS
from tests.chaos.rows import RowChaos
from tests.chaos.run import KILLS, ROUND_KILLS, Chaos, ChaosError, Wanted, played
from tests.chaos.sabotage import SABOTEURS
from tests.chaos.switches import run as switches
from tests.chaos.switches.sabotage import SABOTEURS as OF_SWITCHES
from tests.damage import documents
from tests.damage import run as damage


def main() -> int:
    """Run, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, help="processes to kill (default: 500; with --migrate: 300)")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of the plan of faults"
    )
    parser.add_argument("--minutes", type=float, help="stop after so long, however many were killed")
    parser.add_argument("--round", type=int, default=ROUND_KILLS, help="kills until everything is compared")
    parser.add_argument("--operators", type=int, default=2, help="who backfill, verify and repair (default: 2)")
    parser.add_argument("--rows", type=int, default=20_000, help="of the large table (default: 20,000)")
    parser.add_argument("--verbose", action="store_true", help="print every fault")
    parser.add_argument(
        "--sabotage", choices=[*SABOTEURS, *OF_SWITCHES, *OF_MIGRATIONS], help="take a mechanism out: the run must fail"
    )
    parser.add_argument("--ddl", action="store_true", help="change the schema instead: nothing is lost, or it is said")
    parser.add_argument(
        "--reinstall", action=argparse.BooleanOptionalAction, help="with --ddl: workers put capture back"
    )
    parser.add_argument("--owner", action="store_true", help="with --ddl: as a plain owner of the tables")
    parser.add_argument("--target", choices=("mongodb", "postgresql"), default="mongodb", help="(default: mongodb)")
    parser.add_argument("--links", action="store_true", help="a way, its way back and a link to a MongoDB instead")
    parser.add_argument("--split", action="store_true", help="a move of tables instead: sides change under writers")
    parser.add_argument("--switches", type=int, default=400, help="with --split: changes of sides (default: 400)")
    parser.add_argument("--rate", type=int, default=500, help="with --split: writes a second (default: 500)")
    parser.add_argument(
        "--migrate", action="store_true", help="documents to tables instead: phases to and fro (300 kills)"
    )
    parser.add_argument(
        "--last", default=migrations.PHASES[-1], choices=migrations.PHASES[1:], help="with --migrate: where it turns"
    )
    parser.add_argument("--damage", action="store_true", help="kill nobody: damage documents, find that, and mend it")
    parser.add_argument("--rounds", type=int, default=100, help="with --damage: of damage, verify, repair, verify")
    parser.add_argument("--acts", type=int, default=40, help="with --damage: acts of damage in a round (default: 40)")
    wanted = parser.parse_args()
    if wanted.sabotage:
        os.environ["SYNCLINE_CHAOS_SABOTAGE"] = wanted.sabotage
    print(f"seed {wanted.seed}", flush=True)  # noqa: T201
    try:
        if wanted.damage and wanted.migrate:
            documents.run(wanted.rounds, wanted.seed, minutes=wanted.minutes)
            print("found exactly, mended, equal")  # noqa: T201
            return 0
        if wanted.damage:
            damage.run(wanted.rows, wanted.rounds, wanted.seed, damage=wanted.acts, minutes=wanted.minutes)
            print("found exactly, mended, equal")  # noqa: T201
            return 0
        if wanted.ddl:
            ddl.run(
                wanted.seed,
                minutes=wanted.minutes or 15,
                superuser=not wanted.owner,
                reinstall=wanted.reinstall,
                aloud=wanted.verbose,
            )
            print("nothing is lost, or it was said")  # noqa: T201
            return 0
        if wanted.split:
            switches.run(
                wanted.seed,
                switches=wanted.switches,
                minutes=wanted.minutes,
                rate=wanted.rate,
                aloud=wanted.verbose,
                sabotage=wanted.sabotage,
            )
            print("nothing lost, doubled, stale or failed; never both sides, never neither for long")  # noqa: T201
            return 0
        if wanted.migrate:
            migrations.run(
                wanted.seed,
                kills=wanted.kills or migrations.KILLS,
                minutes=wanted.minutes,
                round_kills=wanted.round,
                aloud=wanted.verbose,
                last=wanted.last,
            )
            print("no key diverges, nothing that was acknowledged is lost")  # noqa: T201
            return 0
        kind = RowChaos if wanted.target == "postgresql" else Chaos
        run = Wanted(
            wanted.seed,
            kills=wanted.kills or KILLS,
            minutes=wanted.minutes,
            round_kills=wanted.round,
            aloud=wanted.verbose,
            operators=wanted.operators,
            rows=wanted.rows,
        )
        played(LinkChaos if wanted.links else kind, run)
    except (ChaosError, ddl.LostError, damage.DamageError) as error:
        print(error)  # noqa: T201
        return 1
    print("equal, nothing parked, nothing went back")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
