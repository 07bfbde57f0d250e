"""``syncline split copy``."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.application import AppOption
from syncline.cli.boundary import INTERRUPTED, invocation
from syncline.cli.common import ConfigOption, JsonOption, print_json, run, say
from syncline.cli.sharing import DaskOption, ProcessesOption, Sharing
from syncline.cli.split_move import DatabaseArgument, Declared, declared, say_aside
from syncline.errors import SwitchError, UnsuitableTargetError
from syncline.model.link import entered
from syncline.model.words import counted

if TYPE_CHECKING:
    from syncline.config.settings import Settings
    from syncline.copying.progress import Progress
    from syncline.split.moving.move import Moving
    from syncline.split.schema.things import Step

_COLUMN_SECONDS = 30.0
"""How long a column that came while rows are copied may be missing over there: it is made within a second."""
_AGAIN_SECONDS = 0.2
REFUSED = 1
"""Exit status: the other side refuses rows."""


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    jobs: int
    rate: int | None
    as_json: bool
    begins: Callable[[str], None] = lambda _: None
    """Told of each step that begins."""
    sharing: Sharing = field(default_factory=Sharing)

    def begin(self, step: str) -> None:
        """Begin a step."""
        self.begins(step)
        self.tell(step)

    def tell(self, text: str) -> None:
        """Say what is being done, where people read it."""
        if not self.as_json:
            say(text)

    def tell_step(self, step: Step) -> None:
        """Name a step of the schema."""
        self.tell(f"{step.kind} {step.name}")


def copy(
    database: DatabaseArgument = "data",
    jobs: Annotated[int, typer.Option(help="Copy so many ranges of a table at a time.", min=1, max=32)] = 1,
    rate: Annotated[
        int | None, typer.Option(help="Copy so many rows a second at most; 0: no limit. [default: 10000]", min=0)
    ] = None,
    processes: ProcessesOption = 1,
    dask: DaskOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    config: ConfigOption = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a database's tables to their new place, beside traffic: schema, rows, indexes, foreign keys, gates.

    The first step of a move. Applications go on writing where they are; from here on every change is captured, and
    `syncline split follow` carries it over. Killed anywhere, the next call goes on: at most the ranges that were under
    way begin anew. Nothing is held on the source: no slot, no long transaction.

    Exit status: 0 everything is there; 1 the other side refuses rows of a table; 130 interrupted; 3 could not run.
    """
    sharing = Sharing(processes, dask).instead_of("--jobs", jobs)
    wish = Wish(jobs, rate, as_json, sharing=sharing)
    with declared(config, app, database) as move:
        from syncline.split.moving.watching import require_going, watching

        move.ends.sides.check()
        if dry_run:
            _print_plan(move, as_json=as_json)
            return
        log_warnings(move)
        invocation.get().resume = f"what is done stays; `syncline split copy {database}` goes on from here"
        one = schema(move, wish)
        require_going(one, move.plan, say_aside)
        try:
            with watching(one, move.plan, say_aside):
                found = run(carry(move, one, wish))
        except asyncio.CancelledError:
            raise typer.Exit(INTERRUPTED) from None
    _print(database, found, as_json=as_json)
    if any(table.error is not None for table in found):
        raise typer.Exit(REFUSED)


def log_warnings(move: Declared) -> None:
    """Let workers of this process say only what is wrong, on standard error."""
    from syncline.telemetry import logs

    secrets = move.ends.sides.source.secrets | move.ends.sides.target.secrets
    logs.setup(move.sections.log.model_copy(update={"level": "warning"}), secrets=frozenset(secrets))


def schema(move: Declared, wish: Wish) -> Moving:
    """Make what rows need on the other side, and note that the move has begun."""
    from syncline.split.moving.beginning import begin
    from syncline.split.moving.move import moving

    state = begin(move.ends, move.plan, wish.tell_step)
    return moving(move.ends, state, move.sections)


async def carry(move: Declared, one: Moving, wish: Wish) -> Sequence[Progress]:
    """Capture, copy, catch up, make the rest of the schema, put the gates in place."""
    from syncline.split.moving import capture
    from syncline.split.moving.beginning import complete
    from syncline.split.moving.move import put_gates
    from syncline.split.moving.noting import note
    from syncline.split.moving.probe import probe
    from syncline.split.moving.state import Phase
    from syncline.split.moving.watching import require_going

    begun = one.state.phase is not Phase.FOLLOWING
    wish.begin("capturing changes")
    await capture.install(one.ways.there, mark=not begun)
    await asyncio.to_thread(note, move.ends, Phase.COPYING)
    wish.begin("copying rows")
    found = await _rows(move, one, wish)
    if any(table.error is not None or table.held for table in found):
        return found
    await asyncio.to_thread(require_going, one, move.plan, say_aside)  # what waits for a stopped table never comes
    if begun:
        async with following(one.ways.there) as worker:

            async def see() -> None:
                see_that_it_runs(worker)
                await asyncio.to_thread(require_going, one, move.plan, say_aside)

            wish.begin("catching up, then indexes and foreign keys")
            await complete(one, move.plan, wish.tell_step, see=see)
        await asyncio.to_thread(move.carry_versions)
    wish.begin("putting the gates in place, and capturing changes of the way back")
    await put_gates(one)
    await capture.install(one.ways.back, mark=not begun)  # behind a gate it is idle; without one it might serve
    await asyncio.to_thread(note, move.ends, Phase.FOLLOWING)
    for one_test in await asyncio.to_thread(probe, one):
        if one_test.problem:
            say_aside(f"the way back of {one_test.entity} fails: {one_test.problem}")
    return found


async def _rows(move: Declared, one: Moving, wish: Wish) -> Sequence[Progress]:
    """Copy what is left; a column that came just now, and is not over there yet, is waited for.

    Raises:
        SchemaMoveError: the move of a table has stopped: it does not come.
        UnsuitableTargetError: it has not come in time.

    """
    from syncline.split.moving.watching import require_going

    until: float | None = None
    while True:
        began = time.monotonic()
        try:
            return await _copied(one, wish)
        except UnsuitableTargetError:
            await asyncio.to_thread(require_going, one, move.plan, say_aside)
            if until is None or time.monotonic() - began > _COLUMN_SECONDS:  # some was copied meanwhile
                until = time.monotonic() + _COLUMN_SECONDS
            if time.monotonic() > until:
                raise
        await asyncio.sleep(_AGAIN_SECONDS)


async def _copied(one: Moving, wish: Wish) -> Sequence[Progress]:
    from syncline.cli.copy import shown
    from syncline.cli.progress import bars, lines
    from syncline.copying.pace import RATE, Pacing
    from syncline.executing.collector import tune_garbage_collection
    from syncline.wiring.copying import opened_copier
    from syncline.wiring.work import LinkWork

    tune_garbage_collection()
    pacing = Pacing(RATE if wish.rate is None else wish.rate or None)
    with (lines if wish.as_json else bars)(shown) as show:
        async with (
            wish.sharing.executing(LinkWork(one.ways.there)) as executor,
            opened_copier(one.ways.there, pacing, executor=executor, on_progress=show, parallel=wish.jobs) as opened,
        ):
            copier, plans = opened
            for name in plans.problems:
                plans.named(name)  # raises what is wrong with it
            return await copier.run(list(plans.by_id.values()))


def see_that_it_runs(worker: asyncio.Task[None]) -> None:
    """Raise what has ended the worker that carries the changes which are waited for."""
    if worker.done():
        worker.result()
        raise SwitchError("the worker that carries changes has ended", hint="run it again: it goes on from here")


@contextlib.asynccontextmanager
async def following(settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    """Run a worker of a link within a block, and give its task; others may run beside it."""
    from syncline.wiring.sides import opened_target
    from syncline.wiring.worker import make_worker

    async with opened_target(settings) as target:
        with entered(settings.link):
            worker = make_worker(settings, target)
            running = asyncio.create_task(worker.run())
        try:
            yield running
        finally:
            worker.stop()
            await asyncio.wait({running})
        running.result()


def _print_plan(move: Declared, *, as_json: bool) -> None:
    from syncline.cli.moving import print_plan

    with move.ends.sides.connected() as (source, target):
        found = move.plan(source, target)
    state = move.moving()
    phase = str(state.state.phase) if state else None
    if as_json:
        print_json({"phase": phase, **found.as_dict()})
        return
    print_plan(found)
    say(f"the move is at: {phase}" if phase else "the move was not begun")


def _print(database: str, found: Sequence[Progress], *, as_json: bool) -> None:
    from syncline.cli.copy import as_dict

    refused = [one for one in found if one.error is not None]
    if as_json:
        phase = "copying" if refused else "following"
        print_json({"database": database, "phase": phase, "tables": [as_dict(one) for one in found]})
        return
    for one in found:
        if one.error is not None:
            say(one.error.message, "red")
        elif one.held:
            say(f"{one.entity}: {one.rows:,} rows copied; it waits for {one.held}, joined by foreign keys", "yellow")
        else:
            say(f"{one.entity}: {one.rows:,} rows copied")
    if refused:
        say(f"correct these rows, and run `syncline split copy {database}` again: it goes on", "yellow")
        return
    say(f"{counted(len(found), 'table')} copied, changes are captured, the gates stand", "bold")
    say(f"next: `syncline split follow {database}`, for as long as the move lasts")
