"""``syncline backfill``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Task as BarTask
from rich.text import Text

from syncline.backfill import command
from syncline.backfill.pace import Pace
from syncline.backfill.runner import Progress as Step
from syncline.backfill.runner import Runner
from syncline.backfill.tasks import Task, TaskKind
from syncline.cli.common import ConfigOption, JsonOption, err, print_json, run, say, settings_from
from syncline.cli.verifying import chosen
from syncline.config import Settings
from syncline.outbox.states import Plan
from syncline.wiring import open_plans, opened_source, opened_target

INTERRUPTED = 130
_VERBS = {TaskKind.BACKFILL: "marking", TaskKind.SWEEP: "sweeping"}


def backfill(
    entities: Annotated[list[str] | None, typer.Argument(metavar="[ENTITY]…", help="Only these.")] = None,
    max_queue: Annotated[int, typer.Option(help="Wait while so many changes wait to be applied.", min=1)] = 20_000,
    max_lag: Annotated[float, typer.Option(help="Wait while the oldest of them is older (seconds).", min=0)] = 30,
    sweep: Annotated[bool, typer.Option(help="Also remove documents that have no row any more.")] = True,
    cancel: Annotated[bool, typer.Option("--cancel", help="Drop what an earlier call left unfinished.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring in what was there before: mark every record, for the worker to write it.

    Safe at any time and any number of times, beside traffic and workers. Interrupted, it goes on where it was: with the
    next call, or by a running worker.

    Exit status: 0 everything is marked; 130 interrupted; 3 could not run.
    """
    settings = settings_from(config)
    if cancel:
        dropped = run(_cancel(settings, entities or []))
        print_json({"cancelled": len(dropped)}) if as_json else say(f"{len(dropped)} unfinished tasks dropped")
        return
    pace = {"max_queue": max_queue, "max_lag_seconds": max_lag}
    try:
        found, queue, workers = run(_backfill(settings, entities or [], pace, sweep=sweep, quiet=as_json))
    except KeyboardInterrupt:
        err.print(
            Text("interrupted; nothing is lost: the next `syncline backfill`, or a running worker, goes on from here")
        )
        err.print(Text("(`syncline backfill --cancel` drops it)"))
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json({"tasks": [_as_dict(step) for step in found], "queue": queue, "workers": workers})
    else:
        _print(found, queue, workers)


async def _backfill(
    settings: Settings, names: Sequence[str], pace: dict[str, Any], *, sweep: bool, quiet: bool
) -> tuple[list[Step], int, int]:
    with _bars(quiet=quiet) as told:
        async with _opened(settings, names, told) as (runner, plans):
            tasks = await command.request(runner, plans, sweep=sweep, options=pace)
            found = await command.complete(runner, tasks, told)
            queue, _, workers = await runner.tasks.pressure(1_000_000)
            return found, queue, workers


async def _cancel(settings: Settings, names: Sequence[str]) -> list[Task]:
    async with _opened(settings, names, lambda _: None) as (runner, plans):
        return await command.cancel(runner, plans)


@contextlib.asynccontextmanager
async def _opened(
    settings: Settings, names: Sequence[str], told: Callable[[Step], None]
) -> AsyncIterator[tuple[Runner, list[Plan]]]:
    async with opened_target(settings) as target, opened_source(settings, keyed=True) as source:
        plans = await open_plans(settings, source)
        pace = Pace(patience=timedelta(seconds=60))
        grace = settings.worker.grace
        runner = Runner(source, str(uuid4()), plans.by_id, target, pace=pace, told=told, grace=grace)
        yield runner, chosen(plans, names)


def _print(found: Sequence[Step], queue: int, workers: int) -> None:
    for step in found:
        if step.kind is TaskKind.BACKFILL:
            say(f"{step.entity}: {step.marked} records marked")
        elif step.marked or step.foreign:
            foreign = f"; {step.foreign} documents have an _id that no row can have, left alone" if step.foreign else ""
            say(f"{step.entity}: {step.marked} documents without a row marked for removal{foreign}")
    if queue and not workers:
        say(f"{queue} changes wait: start a worker with `syncline worker`", "yellow")
    elif queue:
        say(
            f"{queue} changes are being applied by {workers} workers; then `syncline verify` tells whether all is equal"
        )


def _as_dict(step: Step) -> dict[str, Any]:
    return {
        "task": step.task,
        "kind": step.kind.value,
        "entity": step.entity,
        "marked": step.marked,
        "looked_at": step.done,
        "foreign": step.foreign,
        "finished": step.finished,
    }


class _Rate(ProgressColumn):
    """Records per second."""

    def render(self, task: BarTask) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


@contextlib.contextmanager
def _bars(*, quiet: bool) -> Iterator[Callable[[Step], None]]:
    """Show the tasks on standard error, with rate and time left; nothing where nobody looks."""
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}"),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[waiting]}", style="yellow"),
        console=err,
        disable=quiet or not err.is_terminal,
    )
    shown: dict[int, TaskID] = {}

    def told(step: Step) -> None:
        if step.task not in shown:
            shown[step.task] = bars.add_task(f"{step.entity}: {_VERBS[step.kind]}", waiting="", total=step.total)
        total = step.done if step.finished else None if step.total is None else max(step.total, step.done)
        bars.update(shown[step.task], completed=step.done, total=total, waiting=step.waiting)

    with bars:
        yield told
