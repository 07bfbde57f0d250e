"""How a backfill shows itself: bars for people, lines of JSON for programs."""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Task as BarTask
from rich.text import Text

from syncline.cli.boundary import err
from syncline.cli.common import print_table, say
from syncline.model.json_names import camelled

if TYPE_CHECKING:
    from syncline.backfill.runner import Progress as Step

TOLD_SECONDS = 1.0
WINDOW_SECONDS = 30.0
_VERBS = {"backfill": "marking", "sweep": "sweeping"}


class Speed:
    """How fast a count has grown lately."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, count: int, *, at: float) -> None:
        """Take in the count at a time (any clock, in seconds)."""
        self._seen.append((at, count))
        while len(self._seen) > 2 and self._seen[1][0] < at - WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def per_second(self) -> float | None:
        """``None`` until it is known."""
        (began, first), (ended, last) = self._seen[0], self._seen[-1]
        return (last - first) / (ended - began) if ended > began else None

    def seconds_left(self, total: int | None) -> float | None:
        """How long it takes to reach ``total`` at this speed; ``None``: nobody knows."""
        speed = self.per_second
        if total is None or not speed:
            return None
        return max(0.0, (total - self._seen[-1][1]) / speed)


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


@contextlib.contextmanager
def lines() -> Iterator[Callable[[Step], None]]:
    """Tell the progress as a line of JSON a second, on standard error."""
    speeds: dict[int, Speed] = {}
    told_at = 0.0

    def told(step: Step) -> None:
        nonlocal told_at
        now = time.monotonic()
        speed = speeds.setdefault(step.task, Speed())
        speed.note(step.done, at=now)
        if step.finished or now - told_at >= TOLD_SECONDS:
            told_at = now
            rate = {"per_second": speed.per_second, "seconds_left": speed.seconds_left(step.total)}
            err.out(json.dumps(camelled({**step_as_dict(step), **rate, "waiting": step.waiting})), highlight=False)

    yield told


class RateColumn(ProgressColumn):
    """Records per second."""

    def render(self, task: BarTask) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


@contextlib.contextmanager
def bars() -> Iterator[Callable[[Step], None]]:
    """Show the tasks on standard error, with rate and time left; nothing where nobody looks."""
    shown: dict[int, TaskID] = {}
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}"),
        RateColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[waiting]}", style="yellow"),
        console=err,
        disable=not err.is_terminal,
    )

    def told(step: Step) -> None:
        if step.task not in shown:
            # Resumed, it begins where it was: what others did is no part of its speed.
            shown[step.task] = progress.add_task(
                f"{step.entity}: {_VERBS[step.kind]}", waiting="", total=step.total, completed=step.done
            )
        total = step.done if step.finished else None if step.total is None else max(step.total, step.done)
        progress.update(shown[step.task], completed=step.done, total=total, waiting=step.waiting)

    with progress:
        yield told
