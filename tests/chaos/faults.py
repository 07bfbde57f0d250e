"""The plan of a run: which fault comes when. The same seed gives the same plan."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.chaos.points import LEASE_POINTS, MAIN_POINTS, POINTS
from tests.chaos.proxy import Weather

LEASE_SECONDS = 2.0
GRACE_SECONDS = 14.0
MAX_BATCH_AGE_SECONDS = 2.0
TIMEOUT_SECONDS = 2.0
LONGEST_FREEZE = 5.0
LONGEST_TARGET_FREEZE = 2.5
"""What is read is executed before grace ends: 2 (age) + 5 (worker frozen) + 2.5 (target frozen) < 14, with room for a busy
machine. A worker that is frozen for longer than grace just before it sends, and then dies, is the one hole that the design
leaves: such a freeze comes alone, and ends in waking up."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong."""

    kind: str
    after: float
    """Seconds since the one before."""
    worker: int = 0
    point: str = ""
    """Named step of a worker; empty: wherever it is."""
    times: int = 1
    """How many times the step is reached first."""
    seconds: float = 0.0
    """How long it lasts."""
    weather: Weather = "fine"
    then_kill: bool = False

    @property
    def kills(self) -> int:
        """Processes (a server counts as one) that end."""
        return {
            "kill": 1,
            "terminate": 1,
            "send late and die": 1,
            "kill postgres": 1,
            "kill mongo": 1,
            "kill all": 3,
        }.get(self.kind, 0) + (self.then_kill)


LATE_POINTS = ("apply.before", "apply.before", "send.before", "upsert.before")
"""Behind the look at the batch's age. Once the driver's clock runs (`upsert`), it refuses to send late by itself."""
SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}
_KINDS = {
    "kill": 30,
    "terminate": 8,
    "kill postgres": 9,
    "kill mongo": 9,
    "kill all": 1,
    "freeze": 16,
    "send late and die": 8,
    "freeze postgres": 3,
    "freeze mongo": 4,
    "freeze beyond grace": 1.5,
    "source network": 7,
    "target network": 10,
}


def plan(seed: int, *, workers: int, quick: bool = False) -> Iterator[Fault]:
    """Draw faults without end; ``quick`` leaves out those that take long."""
    dice = random.Random(f"{seed} faults")
    while True:
        kind = dice.choices(list(_KINDS), list(_KINDS.values()))[0]
        fault = Fault(kind, dice.expovariate(2.0), dice.randrange(workers))
        named = dice.random() < 0.7
        point = dice.choice(dice.choice((MAIN_POINTS, MAIN_POINTS, LEASE_POINTS, POINTS)))
        times = dice.choice((1, 1, 1, 2, 3))
        seconds = dice.uniform(0.2, 1.5)
        freeze = dice.uniform(LEASE_SECONDS * 1.1, LONGEST_FREEZE)
        then_kill = dice.random() < 0.25
        weather: Weather = dice.choice(("slow", "refuse", "swallow", "lose", "lose", "cut"))
        if kind in SIGNALS and named:
            fault = replace(fault, point=point, times=times)
        if kind == "freeze":
            fault = replace(fault, seconds=freeze, then_kill=then_kill)
        elif kind == "send late and die":
            late = dice.choice(LATE_POINTS)
            fault = replace(fault, seconds=freeze, point=late)
        elif kind == "freeze beyond grace":
            late = dice.choice(LATE_POINTS)
            fault = replace(fault, seconds=GRACE_SECONDS + 3, point=late, weather=dice.choice(("fine", "lose")))
        elif kind.endswith("network"):
            fault = replace(fault, seconds=seconds * 1.5, weather=weather)
        elif kind.startswith("freeze"):
            fault = replace(fault, seconds=min(seconds * 2, LONGEST_TARGET_FREEZE))
        elif kind.startswith("kill "):
            fault = replace(fault, seconds=seconds / 2)
        if not (quick and kind == "freeze beyond grace"):
            yield fault
