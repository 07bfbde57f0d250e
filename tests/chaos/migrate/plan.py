"""The plan of a run: what goes wrong when, and when the phase is changed. The same seed gives the same plan."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.migrate.commands import CARRYING, CHANGING, REQUESTS
from tests.chaos.proxy import Weather

PHASES = ("off", "dual_write", "shadow", "ramp", "live")
"""To and fro: each in both directions."""
KINDS = {
    "change": 26,
    "kill change": 18,
    "freeze change": 8,
    "kill application": 20,
    "freeze application": 8,
    "kill worker": 18,
    "freeze worker": 8,
    "kill mongodb": 6,
    "freeze mongodb": 4,
    "kill postgresql": 8,
    "freeze postgresql": 4,
    "network of mongodb": 4,
    "network of postgresql": 5,
}
_POINTS = {"application": REQUESTS, "worker": CARRYING, "change": CHANGING}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong, or a change of the phase in which nothing does."""

    kind: str
    point: str
    """Of a process that is told; empty: wherever it is."""
    which: int
    after: float
    """Seconds since the one before."""
    seconds: float
    then_kill: bool
    """What was frozen does not wake up."""
    weather: Weather
    back: bool
    """The phases go the other way from here."""
    percent: int


def plan(seed: int) -> Iterator[Fault]:
    """Draw without end."""
    dice = random.Random(f"{seed} migrate")
    while True:
        kind = dice.choices(list(KINDS), list(KINDS.values()))[0]
        points = _POINTS.get(kind.rpartition(" ")[2], ())
        yield Fault(
            kind,
            dice.choice(points) if points and dice.random() < 0.8 else "",
            dice.randrange(2),
            dice.expovariate(3.0),
            dice.uniform(0.1, 1.8),
            dice.random() < 0.3,
            dice.choice(("slow", "refuse", "swallow", "lose", "cut")),
            dice.random() < 0.15,
            dice.choice((1, 50, 100, 100)),
        )
