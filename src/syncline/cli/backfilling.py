"""How a backfill shows itself: bars for people, lines of JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from syncline.cli import progress
from syncline.cli.common import print_table, say

if TYPE_CHECKING:
    from syncline.backfill.runner import Progress as Step

_VERBS = {"backfill": "marking", "sweep": "sweeping"}


def step_as_dict(step: Step) -> dict[str, Any]:
    """Give a step's fields by the names that programs see."""
    return {
        "task": step.task,
        "kind": step.kind.value,
        "entity": step.entity,
        "marked": None if step.by_worker else step.marked,
        "looked_at": step.done,
        "total": step.total,
        "foreign": step.foreign,
        "finished": step.finished,
    }


def print_tasks(tasks: Sequence[Mapping[str, Any]]) -> None:
    """Print what is left to mark, as ``syncline backfill --status`` shows it."""
    if not tasks:
        say("nothing is left to be marked")
        return
    rows = [
        (
            task["entity"],
            task["kind"],
            task["reason"],
            "running" if task["running"] else "waiting",
            share(task["progress"]),
        )
        for task in tasks
    ]
    print_table(("entity", "kind", "asked for by", "state", "progress"), rows)
    if not any(task["running"] for task in tasks):
        say("a running worker goes on with it, or the next `syncline backfill` for its own", "dim")


def share(progress: Mapping[str, Any]) -> str:
    """Say how far a task is, in records and percent."""
    done, total = progress.get("done"), progress.get("total")
    if done is None:
        return "not begun"
    if not total:
        return f"{done:,} passed"
    return f"{min(done / total, 1):.0%}, {min(done, total):,} of about {total:,}"


def lines() -> AbstractContextManager[Callable[[Step], None]]:
    """Tell the progress as a line of JSON a second, on standard error."""
    return progress.lines(_shown)


def bars() -> AbstractContextManager[Callable[[Step], None]]:
    """Show the tasks on standard error, with rate and time left; nothing where nobody looks."""
    return progress.bars(_shown)


def _shown(step: Step) -> progress.Shown:
    return progress.Shown(
        step.task,
        f"{step.entity}: {_VERBS[step.kind]}",
        done=step.done,
        total=step.total,
        finished=step.finished,
        waiting=step.waiting,
        fields=step_as_dict(step),
    )
