"""Progress of work that takes long: bars for people, lines of JSON for programs, both on standard error."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Task as BarTask
from rich.text import Text

from syncline.cli.boundary import err
from syncline.model.json_names import camelled
from syncline.model.speed import Speed

Step = TypeVar("Step")
TOLD_SECONDS = 1.0
WINDOW_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Shown:
    """A step, as it is shown."""

    id: Hashable
    """Steps of the same work share it: they have one bar."""
    title: str
    done: int
    total: int | None
    """About so many there are; ``None``: nobody knows."""
    finished: bool = False
    waiting: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """For programs."""


@contextlib.contextmanager
def lines(shown: Callable[[Step], Shown]) -> Iterator[Callable[[Step], None]]:
    """Tell the progress as a line of JSON a second, and one for each end."""
    speeds: dict[Hashable, Speed] = {}
    told_at = 0.0

    def on_progress(step: Step) -> None:
        nonlocal told_at
        now, one = time.monotonic(), shown(step)
        speed = speeds.setdefault(one.id, Speed(WINDOW_SECONDS))
        speed.note(one.done, at=now)
        if one.finished or now - told_at >= TOLD_SECONDS:
            told_at = now
            rate = {"per_second": speed.per_second, "seconds_left": speed.seconds_left(one.total)}
            err.out(json.dumps(camelled({**one.fields, **rate, "waiting": one.waiting})), highlight=False)

    yield on_progress


@contextlib.contextmanager
def bars(shown: Callable[[Step], Shown], *, transient: bool = False) -> Iterator[Callable[[Step], None]]:
    """Show a bar for each work, with rate and time left; nothing where nobody looks."""
    places: dict[Hashable, TaskID] = {}
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}"),
        _RateColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[waiting]}", style="yellow"),
        console=err,
        transient=transient,
        disable=not err.is_terminal,
    )

    def on_progress(step: Step) -> None:
        one = shown(step)
        if one.id not in places:
            # Resumed, it begins where it was: what others did is no part of its speed.
            places[one.id] = progress.add_task(one.title, waiting="", total=one.total, completed=one.done)
        total = one.done if one.finished else None if one.total is None else max(one.total, one.done)
        progress.update(places[one.id], completed=one.done, total=total, waiting=one.waiting)

    with progress:
        yield on_progress


class _RateColumn(ProgressColumn):
    """Records per second."""

    def render(self, task: BarTask) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")
