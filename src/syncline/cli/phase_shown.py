"""What ``syncline phase`` shows: where collections stand, what speaks for a step, what was done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from syncline.cli.common import print_json, say
from syncline.cli.split_move import say_aside
from syncline.model.words import counted

if TYPE_CHECKING:
    from syncline.engines.mongo.gates import Gate
    from syncline.phases.evidence import Evidence
    from syncline.phases.standing import Change, Entry, Process, Standing
    from syncline.phases.switching.changing import Switched

_MILLISECONDS = 1000
_WRITTEN_IN = {"a": "MongoDB", "l": "PostgreSQL", "n": "neither: it changes sides"}
"""By the mode of MongoDB's gate, which is closed for good in ``complete``."""
KEPT_OUT = {
    "validator": "MongoDB's validator keeps out writers that do not ask its gate",
    "leases": "nothing keeps out writers that do not ask MongoDB's gate; `syncline doctor` says why",
}
"""By what keeps the gate of a collection that went over."""


def shown(name: str, standing: Standing, processes: Sequence[Process], gate: Gate | None) -> dict[str, Any]:
    """Give a collection as ``phase status`` shows it."""
    behind = [one.name for one in processes if one.number < standing.number]
    since = standing.since.isoformat(timespec="seconds") if standing.since else None
    told = {"collection": name, "phase": str(standing.phase), "percent": standing.percent, "number": standing.number}
    written_in = _WRITTEN_IN["l" if standing.phase == "complete" else gate.mode if gate else "a"]
    told |= {"since": since, "processes": len(processes), "behind": behind, "written_in": written_in}
    return {**told, "gate": ("validator" if gate.validated else "leases") if gate and gate.number else None}


def reads(row: dict[str, Any]) -> str:
    """Say how much of a ramp reads PostgreSQL."""
    return f"{row['percent']:g} %" if row["phase"] == "ramp" else ""


def since(row: dict[str, Any]) -> str:
    """Say since when it is in its phase, in the width that a terminal has."""
    return str(row["since"] or "").replace("T", " ").removesuffix("+00:00")


def in_effect(row: dict[str, Any]) -> str:
    """Say whether every process goes by its phase."""
    if row["behind"]:
        return f"not yet: {', '.join(row['behind'])}"
    return f"yes, {counted(row['processes'], 'process', 'processes')}" if row["processes"] else "yes, no process runs"


def process(one: Process) -> dict[str, Any]:
    """Give a process as JSON has it."""
    return {"name": one.name, "number": one.number, "seconds": round(one.seconds, 1)}


def entry(one: Entry) -> dict[str, Any]:
    """Give an entry of the history."""
    told = {"number": one.number, "collection": one.collection, "at": one.at.isoformat(timespec="seconds")}
    told |= {"was": one.was and str(one.was), "phase": str(one.phase), "percent": one.percent}
    return {**told, "by": one.by, "reason": one.reason, "against": list(one.against)}


def report(
    change: Change,
    seconds: float | None,
    against: Sequence[str],
    switched: Sequence[Switched] | None = None,
    *,
    as_json: bool,
) -> None:
    """Say what was done, or would be."""
    if as_json:
        waited = None if seconds is None else round(seconds, 3)
        told = {**planned(change), "done": seconds is not None, "waited_seconds": waited, "against": list(against)}
        print_json(told | ({"switched": [_paused(one) for one in switched]} if switched else {}))
        return
    what = f"{', '.join(change.was)}: {was(change)} → {change.goal}"
    if seconds is None:
        say(f"would go: {what}")
        for one in against:
            say(f"  against it: {one}", "yellow")
    else:
        say(f"{what}; in effect after {seconds:.1f} s", "bold green")
        for gone in switched or ():
            say(f"{gone.collection}: writers were paused for {gone.outcome.paused_seconds * _MILLISECONDS:.0f} ms")
            if gone.outcome.pending:
                say_aside(f"{gone.collection}: the other side does not follow yet: {gone.outcome.pending}")


def _paused(one: Switched) -> dict[str, Any]:
    return {"collection": one.collection, "paused_ms": round(one.outcome.paused_seconds * _MILLISECONDS)}


def planned(change: Change) -> dict[str, Any]:
    """Give a change as JSON has it."""
    goal = change.goal
    told = {"collections": list(change.was), "was": str(next(iter(change.was.values())).phase)}
    return {**told, "phase": str(goal.phase), "percent": goal.percent, "number": goal.number}


def was(change: Change) -> Standing:
    """Give where its collections are."""
    return next(iter(change.was.values()))


def evidence(one: Evidence) -> dict[str, Any]:
    """Give one of the things that must hold."""
    return {"collection": one.collection, "name": one.name, "holds": one.holds, "told": one.told}
