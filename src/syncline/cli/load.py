"""``syncline load``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from syncline.cli.boundary import err, invocation
from syncline.cli.common import ConfigOption, JsonOption, YesOption, configured, confirm, print_json, run, say
from syncline.model.defaults import MOST_RATE, MOST_SECONDS, MOST_WRITERS

if TYPE_CHECKING:
    from syncline.config import Settings
    from syncline.insight.load import Measured, Options

UNSEEN = 1
"""Exit status: some writes did not arrive in time."""


def load(
    rate: Annotated[int, typer.Option(help="Transactions a second.", min=1, max=MOST_RATE)] = 200,
    seconds: Annotated[float, typer.Option(help="For so long.", min=1, max=MOST_SECONDS)] = 20,
    writers: Annotated[int, typer.Option(help="Connections that write.", min=1, max=MOST_WRITERS)] = 4,
    rows: Annotated[int, typer.Option(help="Rows of the scratch table.", min=100, max=1_000_000)] = 1000,
    clean: Annotated[bool, typer.Option("--clean", help="Only remove what a killed run has left.")] = False,
    yes: YesOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure this deployment under load: writes to a scratch table, until MongoDB shows them.

    It makes the table public.syncline_load, installs it like any other, waits until a worker serves it, writes at the
    rate asked for, follows some of the writes, and removes all of it at the end. Your own tables are not touched; the
    database does the work of these writes beside its own. The role needs what `syncline install` needs.

    Exit status: 0 measured; 1 some writes did not arrive within 10 s; 3 could not run.
    """
    from syncline.insight.load import Options

    settings = configured(config)
    if not clean:
        confirm(f"Write {rate} transactions a second for {seconds:g} s to a scratch table?", yes=yes)
    invocation.get().resume = "the scratch table was removed; if in doubt, `syncline load --clean` does it again"
    if clean:
        run(_clean(settings))
        print_json({"removed": True}) if as_json else say("the scratch table and its collection are gone")
        return
    found = run(_load(settings, Options(rate=rate, seconds=seconds, writers=writers, rows=rows), quiet=as_json))
    print_json(found.as_dict()) if as_json else _print(found, rate)
    raise typer.Exit(UNSEEN if found.unseen else 0)


async def _clean(settings: Settings) -> None:
    from syncline.insight import load as loads
    from syncline.insight import reach
    from syncline.wiring.sides import opened_scratchpad

    async with (
        reach.source(settings.source, purpose="load") as source,
        opened_scratchpad(settings) as target,
    ):
        await loads.remove(settings, source, target)


async def _load(settings: Settings, options: Options, *, quiet: bool) -> Measured:
    from syncline.insight import load as loads
    from syncline.insight import reach
    from syncline.wiring.sides import opened_scratchpad, opened_source

    async with (
        reach.source(settings.source, purpose="load") as source,
        opened_scratchpad(settings) as target,
        loads.scratch(settings, source, target),
    ):
        with _bar(options, quiet=quiet) as on_progress:
            return await loads.measure(lambda: opened_source(settings), target, options, on_progress)


@contextlib.contextmanager
def _bar(options: Options, *, quiet: bool) -> Iterator[Callable[[Measured], None]]:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=quiet or not err.is_terminal,
    )
    with progress:
        bar = progress.add_task("writing", total=options.seconds)

        def on_progress(measured: Measured) -> None:
            shown = f"{len(measured.writes):,} writes, queue {measured.queue:,}"
            progress.update(bar, description=shown, completed=min(measured.seconds, options.seconds))

        yield on_progress


def _print(found: Measured, rate: int) -> None:
    from syncline.insight import load as loads

    shown = found.as_dict()
    say(
        f"{shown['writes']:,} transactions in {shown['seconds']:g} s: "
        f"{shown['rate']:,.0f} a second ({rate:,} asked for)"
    )
    for title, name in (("a write took", "writeMs"), ("commit to visible", "visibleMs")):
        times = shown[name]
        if times["p50"] is not None:
            say(f"{title}: p50 {times['p50']:g} ms, p99 {times['p99']:g} ms, at most {times['max']:g} ms")
    say(f"{shown['followed']:,} writes were followed; the queue had {shown['longestQueue']:,} at most")
    if found.unseen:
        say(
            f"{found.unseen:,} of them did not arrive within {loads.GIVEN_UP:g} s: more than these workers can do",
            "yellow",
        )
    if shown["rate"] < 0.9 * rate:
        say("the source did not take more: raise --writers, or this is its limit", "yellow")
