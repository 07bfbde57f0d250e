"""`syncline` with points at which a process can be told to stop or die: the coordinator's and the worker's.

The first argument is the FILE of the trap. `SYNCLINE_CHAOS_LEASE` has the seconds of a coordinator's lease.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import syncline.cli.split_follow
import syncline.cli.split_switch
import syncline.running
import syncline.split.moving.noting
import syncline.split.moving.probes
import syncline.split.moving.watching
import syncline.wiring.backfilling  # so that a process that is forked has all that it needs
import syncline.wiring.copying
import syncline.wiring.worker  # noqa: F401
from syncline.split.moving import move as moves
from syncline.split.switching.gate import Gate, GateRow, Verb
from syncline.split.switching.move import Step
from tests.chaos.points import Trap, set_traps
from tests.chaos.switches.sabotage import SABOTEURS
from tests.chaos.switches.steps import tell_steps

STEPS = [f"step.{step.name.lower()}" for step in Step]
"""Before each step of a coordinator."""
CHANGES = [f"gate.{verb}" for verb in Verb]
"""After each change of a gate."""


def trap_coordinators(trap: Trap) -> None:
    """Put points before the steps, and after the changes of gates."""
    change: Callable[..., Awaitable[GateRow]] = Gate.change

    async def changed(self: Gate, number: int, verb: Verb, patience: timedelta) -> GateRow:
        row = await change(self, number, verb, patience)
        trap.pass_by(f"gate.{verb}")
        return row

    tell_steps(lambda step: trap.pass_by(f"step.{step.name.lower()}"))
    Gate.change = changed  # type: ignore[method-assign]


def main() -> None:
    """Set the traps, then be the command."""
    from syncline.cli.main import main as command

    trap = Trap(Path(sys.argv.pop(1)))
    if saboteur := os.environ.get("SYNCLINE_CHAOS_SABOTAGE"):
        SABOTEURS[saboteur].in_process()
    lease = timedelta(seconds=float(os.environ["SYNCLINE_CHAOS_LEASE"]))
    moves.opened_move.__wrapped__.__kwdefaults__["lease"] = lease  # type: ignore[attr-defined]
    set_traps(trap)
    trap_coordinators(trap)
    command()
