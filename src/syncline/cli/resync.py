"""``syncline resync``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from syncline.cli.boundary import err, invocation
from syncline.cli.common import ConfigOption, DespiteOption, JsonOption, configured, print_json, run, say
from syncline.errors import SynclineError

if TYPE_CHECKING:
    from syncline.config import Settings
    from syncline.journal.resync import Resync
    from syncline.postgres.connection import Connection

LOOK_SECONDS = 0.5
CANCELLED = 1
"""Exit status: somebody ended it before it was done."""
RESUME = "workers go on with it; `syncline resync --status` shows how far it is, `--cancel` ends it"


def resync(
    entities: Annotated[list[str] | None, typer.Argument(metavar="[ENTITY]…", help="Only these.")] = None,
    wait: Annotated[bool, typer.Option(help="Follow it until every record is written.")] = True,
    status: Annotated[bool, typer.Option("--status", help="Only say how far the running one is.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="End the running one.")] = False,
    despite_reverse: DespiteOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write every record again and remove every stray document: a full resync, done by the workers.

    Safe at any time, beside traffic. One that is under way is joined instead of starting a second one. Marks that are
    set stay set when it is cancelled.

    Exit status: 0 done (with --status or --no-wait: it could be asked); 1 cancelled; 130 interrupted; 3 could not run.
    """
    if (status or cancel) and entities:
        raise SynclineError("--status and --cancel concern the one resync that runs", hint="leave the entities out")
    settings = configured(config)
    if status or cancel:
        found = run(_running(settings, cancel=cancel))
    else:
        found = run(_resync(settings, entities or None, wait=wait, despite=despite_reverse, quiet=as_json))
    print_json(found.as_dict() if found else None) if as_json else _print(found)
    raise typer.Exit(CANCELLED if wait and not (status or cancel) and _was_cancelled(found) else 0)


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Connection]:
    from syncline.insight import reach

    async with reach.source(settings.source, purpose="resync") as connection:
        yield connection


async def _running(settings: Settings, *, cancel: bool) -> Resync | None:
    from syncline.journal import resync as resyncs

    async with _opened(settings) as connection:
        found = await resyncs.current(connection)
        return await resyncs.cancel(connection, found.id) if cancel and found else found


async def _resync(
    settings: Settings, names: Sequence[str] | None, *, wait: bool, despite: str | None, quiet: bool
) -> Resync:
    from syncline.journal import resync as resyncs
    from syncline.ports import DESPITE
    from syncline.wiring.sides import require_right_side_of

    await require_right_side_of(settings, names or (), "a resync", despite=despite)
    async with _opened(settings) as connection:
        found = await resyncs.start(connection, {DESPITE: despite} if despite else None, names=names)
        invocation.get().resume = RESUME
        with _bar(quiet=quiet) as on_progress:
            while wait and not found.state.is_over:
                on_progress(found)
                await asyncio.sleep(LOOK_SECONDS)
                found = await resyncs.look(connection, found.id) or found
        return found


@contextlib.contextmanager
def _bar(*, quiet: bool) -> Iterator[Callable[[Resync], None]]:
    """Show how far it is, on standard error; nothing where nobody looks."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=quiet or not err.is_terminal,
    )
    with progress:
        bar = progress.add_task("marking", total=1.0)
        yield lambda found: progress.update(bar, description=_doing(found), completed=found.progress)


def _doing(found: Resync) -> str:
    from syncline.journal.resync import ResyncState

    if not found.workers:
        return "waiting: no worker is running"
    if found.state is ResyncState.APPLYING:
        return f"writing, {found.queue_size:,} records wait"
    running = ", ".join(f"{part.kind} of {part.entity}" for part in found.left if part.running)
    return running or "waiting for a worker"


def _was_cancelled(found: Resync | None) -> bool:
    from syncline.journal.resync import ResyncState

    return found is not None and found.state is ResyncState.CANCELLED


def _print(found: Resync | None) -> None:
    from syncline.journal.resync import ResyncState

    if found is None:
        say("no resync is under way")
        return
    say(f"{found.message}: {found.state.value}, {found.progress:.0%} marked, {found.queue_size:,} changes wait")
    for part in found.left:
        total = f" of about {part.total:,}" if part.total else ""
        say(f"  {part.kind} of {part.entity}: {part.done:,}{total}{'' if part.running else ', waiting'}")
    if not found.state.is_over and not found.workers:
        say("no worker is running: start one with `syncline worker`", "yellow")
    if found.state is ResyncState.FINISHED:
        say("done; `syncline verify` proves that both sides are equal", "green")
