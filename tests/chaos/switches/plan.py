"""The plan of a run: what goes wrong at which change of sides. The same seed gives the same plan."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.points import LEASE_POINTS, MAIN_POINTS
from tests.chaos.switches.commands import CHANGES, STEPS

REQUESTS = ("request.read", "request.written", "request.committed")
"""Where a process of the application may be told to stop or die."""
_SENT = [point for point in (*MAIN_POINTS, *LEASE_POINTS) if not point.startswith(("insert", "upsert", "delete"))]
KINDS = {
    "nothing": 12,
    "kill coordinator": 26,
    "freeze coordinator": 12,
    "kill worker": 12,
    "freeze worker": 8,
    "kill application": 8,
    "freeze application": 8,
    "kill pooler": 5,
    "freeze pooler": 3,
    "kill server": 5,
    "freeze server": 4,
    "straggle": 8,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong while sides change."""

    kind: str
    step: str
    """Where the coordinator is: what happens to others happens while it stands there."""
    point: str
    """Of a worker or an application that is told; empty: wherever it is."""
    which: int
    seconds: float
    left: bool
    """What was left in the middle is left to a running worker; else the next command finishes it."""
    turns: bool
    """The other side is wanted before a coordinator that was frozen goes on."""


def plan(seed: int) -> Iterator[Fault]:
    """Draw without end."""
    dice = random.Random(f"{seed} switches")
    while True:
        kind = dice.choices(list(KINDS), list(KINDS.values()))[0]
        step = dice.choice((*STEPS, *CHANGES))
        points = REQUESTS if kind.endswith("application") else _SENT
        point = dice.choice(points) if dice.random() < 0.7 else ""
        yield Fault(
            kind, step, point, dice.randrange(2), dice.uniform(0.1, 0.8), dice.random() < 0.5, dice.random() < 0.6
        )
