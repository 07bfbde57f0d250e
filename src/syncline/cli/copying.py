"""How a copy shows itself: bars for people, lines of JSON for programs."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from syncline.cli.backfilling import TOLD_SECONDS, RateColumn, Speed
from syncline.cli.boundary import err
from syncline.model.json_names import camelled

if TYPE_CHECKING:
    from syncline.copying.copier import Progress as Step


@contextlib.contextmanager
def lines() -> Iterator[Callable[[Step], None]]:
    """Tell the progress as a line of JSON a second, on standard error."""
    from syncline.cli.copy import as_dict

    speeds: dict[str, Speed] = {}
    told_at = 0.0

    def told(step: Step) -> None:
        nonlocal told_at
        now = time.monotonic()
        speed = speeds.setdefault(step.entity, Speed())
        speed.note(step.rows + step.passed, at=now)
        if step.finished or now - told_at >= TOLD_SECONDS:
            told_at = now
            rate = {"per_second": speed.per_second, "seconds_left": speed.seconds_left(step.total)}
            err.out(json.dumps(camelled({**as_dict(step), **rate, "waiting": step.waiting})), highlight=False)

    yield told


@contextlib.contextmanager
def bars() -> Iterator[Callable[[Step], None]]:
    """Show the tables on standard error, with rate and time left; nothing where nobody looks."""
    shown: dict[str, TaskID] = {}
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
        count = step.rows + step.passed
        if step.entity not in shown:
            shown[step.entity] = progress.add_task(step.entity, waiting="", total=step.total, completed=count)
        total = count if step.finished else max(step.total, count)
        progress.update(shown[step.entity], completed=count, total=total, waiting=step.waiting)

    with progress:
        yield told
