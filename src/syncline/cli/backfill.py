"""``syncline backfill``."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO
from uuid import uuid4

import typer
from rich.text import Text

from syncline.cli.backfilling import bars, lines, print_tasks, step_as_dict
from syncline.cli.boundary import INTERRUPTED, err
from syncline.cli.common import ConfigOption, DespiteOption, JsonOption, configured, finite, print_json, run, say
from syncline.cli.documents import copy as of_documents
from syncline.cli.documents.common import documents_from
from syncline.cli.sharing import DaskOption, ProcessesOption, Sharing
from syncline.cli.verifying import chosen
from syncline.errors import SynclineError

if TYPE_CHECKING:
    from syncline.backfill.runner import Progress as Step
    from syncline.backfill.runner import Runner
    from syncline.config import Settings
    from syncline.ports import Executor, Plan, Task
    from syncline.wiring.backfilling import Bench

TERMINATED = 143
LATER = "interrupted; nothing is lost: the next `syncline backfill`, or a running worker, goes on from here"


@dataclass
class Wish:
    """What was asked for."""

    entities: Sequence[str]
    sweep: bool
    where: str | None
    keys: str | None
    pace: dict[str, Any]
    """Only what was said: a task that is there already keeps the rest."""
    as_json: bool
    sharing: Sharing
    seen: dict[int, Step] = field(default_factory=dict)
    """The newest step of each task."""


def backfill(
    entities: Annotated[list[str] | None, typer.Argument(metavar="[ENTITY]…", help="Only these.")] = None,
    where: Annotated[
        str | None, typer.Option(metavar="SQL", help="Only rows of ENTITY for which this condition holds.")
    ] = None,
    keys: Annotated[
        str | None, typer.Option(metavar="FILE", help="Only these keys of ENTITY, one a line; - is standard input.")
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(
            help="Mark so many records a second at most; 0: no limit. [default: 10000, while others change records]",
            min=0,
        ),
    ] = None,
    max_queue: Annotated[
        int | None, typer.Option(help="Wait while so many changes wait to be applied. [default: 20000]", min=1)
    ] = None,
    max_lag: Annotated[
        float | None,
        typer.Option(help="Wait while the oldest of them is older (seconds). [default: 30]", min=0, callback=finite),
    ] = None,
    full_throttle: Annotated[
        bool, typer.Option("--full-throttle", help="As fast as it goes, whatever the source's users feel of it.")
    ] = False,
    processes: ProcessesOption = 1,
    dask: DaskOption = None,
    sweep: Annotated[bool, typer.Option(help="Also remove documents that have no row any more.")] = True,
    cancel: Annotated[bool, typer.Option("--cancel", help="Drop what an earlier call left unfinished.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Only say what is unfinished, and mark nothing.")] = False,
    despite_reverse: DespiteOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring in what was there before: mark every record, for the worker to write it.

    Safe at any time and any number of times, beside traffic and workers. Interrupted, it goes on where it was: with the
    next call, or by a running worker. It stands back while changes wait long, and while the source takes longer than
    usual. With --json the progress is a line of JSON a second on standard error.

    Where the file declares collections, every document is copied again: what PostgreSQL has under the same version is
    left as it is, and rows without a document get a tombstone.

    Exit status: 0 everything is marked; 130 interrupted (143: by SIGTERM); 3 could not run.
    """
    from syncline.ports import DESPITE

    meaningless = {"where": where, "keys": keys, "max_queue": max_queue, "max_lag": max_lag, "cancel": cancel}
    sharing = Sharing(processes, dask)
    if documents := documents_from(config, **meaningless, status=status, despite_reverse=despite_reverse):
        of_documents.copy_documents(
            documents,
            of_documents.Wish(entities or [], 0 if full_throttle else rate, True, sweep, as_json, sharing),
            again="syncline copy",
        )
        return
    pace = _pace(rate, max_queue, max_lag, full_throttle=full_throttle)
    if despite_reverse:
        pace[DESPITE] = despite_reverse
    wish = Wish(entities or [], sweep, where, keys, pace, as_json, sharing)
    _check(wish)
    settings = configured(config)
    if status:
        tasks = run(_unfinished(settings))
        print_json({"tasks": tasks}) if as_json else print_tasks(tasks)
        return
    if cancel:
        dropped = run(_cancel(settings, wish.entities))
        print_json({"cancelled": len(dropped)}) if as_json else say(f"{len(dropped)} unfinished tasks dropped")
        return
    interrupted = _Terminated()
    try:
        found, queue, workers = run(interrupted.unless(_backfill(settings, wish)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        _print_interrupted(wish)
        raise typer.Exit(TERMINATED if interrupted.asked else INTERRUPTED) from None
    if as_json:
        print_json({"tasks": [step_as_dict(step) for step in found], "queue": queue, "workers": workers})
    else:
        _print(found, queue, workers)


def _pace(rate: int | None, max_queue: int | None, max_lag: float | None, *, full_throttle: bool) -> dict[str, Any]:
    """Only what was said; full throttle ends every limit that an earlier call has set."""
    said = {"rate": rate, "max_queue": max_queue, "max_lag_seconds": max_lag}
    if full_throttle:
        return {**said, "full_throttle": True}
    said = {name: value for name, value in said.items() if value is not None}
    return {**said, "full_throttle": False} if said else {}


def _check(wish: Wish) -> None:
    if wish.where is not None and wish.keys is not None:
        raise SynclineError("--where and --keys do not go together", hint="name the keys, or the condition")
    option = "--where" if wish.where is not None else "--keys" if wish.keys is not None else None
    if option and len(wish.entities) != 1:
        raise SynclineError(f"{option} needs one entity", hint=f"syncline backfill ENTITY {option} …")


class _Terminated:
    """Ends the work in order at SIGTERM, as Ctrl-C does."""

    asked = False

    async def unless(self, work: Any) -> Any:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._ask, task)
        return await task

    def _ask(self, task: asyncio.Task[Any]) -> None:
        self.asked = True
        task.cancel()


async def _backfill(settings: Settings, wish: Wish) -> tuple[list[Step], int, int]:
    from syncline.backfill import command
    from syncline.ports import DESPITE
    from syncline.wiring.backfilling import opened_bench
    from syncline.wiring.sides import require_right_side_of
    from syncline.wiring.work import LinkWork

    with (lines if wish.as_json else bars)() as show:

        def on_progress(step: Step) -> None:
            wish.seen[step.task] = step
            show(step)

        async with wish.sharing.executing(LinkWork(settings)) as executor, opened_bench(settings) as bench:
            plans = chosen(bench.plans, wish.entities)
            if reason := wish.pace.get(DESPITE):
                await require_right_side_of(settings, [plan.name for plan in plans], "a backfill", despite=reason)
            owner = str(uuid4())
            runner = bench.runner(owner, on_progress)
            width = 1 if executor is None else executor.width
            tasks = await _requested(runner, plans, wish, width)
            run = None if executor is None else partial(_run_elsewhere, bench, executor, owner)
            found = await command.complete(runner, tasks, on_progress, run=run, at_once=width)
            left = await runner.tasks.pressure(1_000_000)
            return found, left.queue, left.workers


async def _run_elsewhere(bench: Bench, executor: Executor, owner: str, task: Task) -> Step | None:
    from syncline.wiring.backfilling import TaskJob

    plan = bench.plans.by_id[task.entity]
    renew = partial(bench.runner(owner).tasks.claim, [plan.id], task.id, held=True)
    same = await bench.same_when_there(plan, targets=bench.needs_target(task), renew=renew)
    done: Step | None = await executor.run(TaskJob(task.id, plan.name, owner, same))
    return done


async def _requested(runner: Runner, plans: Sequence[Plan], wish: Wish, width: int) -> list[Task]:
    from syncline.backfill import command
    from syncline.backfill.key_file import KeyFile

    if wish.keys is None:
        return await command.request(runner, plans, sweep=wish.sweep, where=wish.where, pace=wish.pace, parts=width)
    (plan,) = plans
    name = "standard input" if wish.keys == "-" else wish.keys
    with _opened_file(wish.keys) as file, KeyFile(file, plan.projection.codec, name=name) as keys:
        parts = max(1, min(width, -(-keys.count // command.LISTED)))
        return await command.request_keys(runner, plan, keys, pace=wish.pace, parts=parts)


@contextlib.contextmanager
def _opened_file(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115  closed below
    except OSError as error:
        raise SynclineError(f"{name} cannot be read: {error.strerror}", hint="--keys takes a file, or -") from error
    with file:
        yield file


async def _unfinished(settings: Settings) -> list[dict[str, Any]]:
    from syncline.insight import reach
    from syncline.insight.status import plain

    async with reach.source(settings.source, purpose="backfill") as source:
        return [plain(task) for task in await reach.rows(source, "tasks")]


async def _cancel(settings: Settings, names: Sequence[str]) -> list[Task]:
    from syncline.backfill import command
    from syncline.wiring.backfilling import opened_bench

    async with opened_bench(settings) as bench:
        return await command.cancel(bench.runner(str(uuid4())), chosen(bench.plans, names))


def _print_interrupted(wish: Wish) -> None:
    if wish.as_json:
        print_json({"interrupted": True, "tasks": [step_as_dict(step) for step in wish.seen.values()]})
    else:
        err.print(Text(LATER))
        err.print(Text("(`syncline backfill --cancel` drops it)"))


def _print(found: Sequence[Step], queue: int, workers: int) -> None:
    from syncline.ports import TaskKind

    marked: dict[str, int] = {}
    shared: set[str] = set()
    for step in found:
        if step.kind is TaskKind.BACKFILL:
            marked[step.entity] = marked.get(step.entity, 0) + step.marked
            shared |= {step.entity} if step.by_worker else set()
    for entity, count in marked.items():
        say(
            f"{entity}: every record is marked, the last ones by a worker"
            if entity in shared
            else f"{entity}: {count} records marked"
        )
    for step in found:
        if step.kind is TaskKind.SWEEP and (step.marked or step.foreign):
            foreign = f"; {step.foreign} documents have an _id that no row can have, left alone" if step.foreign else ""
            say(f"{step.entity}: {step.marked} documents without a row marked for removal{foreign}")
    if queue and not workers:
        say(f"{queue} changes wait: start a worker with `syncline worker`", "yellow")
    elif queue:
        say(
            f"{queue} changes are being applied by {workers} workers; then `syncline verify` tells whether all is equal"
        )
