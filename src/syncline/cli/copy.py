"""``syncline copy``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncline.cli.boundary import INTERRUPTED, invocation
from syncline.cli.common import ConfigOption, DespiteOption, JsonOption, configured, print_json, print_table, run, say
from syncline.cli.documents import copy as of_documents
from syncline.cli.documents.common import documents_from
from syncline.cli.sharing import DaskOption, ProcessesOption, Sharing
from syncline.cli.verifying import chosen

if TYPE_CHECKING:
    from syncline.cli.progress import Shown
    from syncline.config import Settings
    from syncline.copying.order import Order
    from syncline.copying.pace import Pacing
    from syncline.copying.progress import Progress, Prospect

REFUSED = 1
"""Exit status: a row was refused, and its table is not copied to its end."""
RESUME = "what is done stays; `syncline copy` goes on from here (the ranges under way begin anew)"


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    entities: Sequence[str]
    parallel: int
    rate: int | None
    replace: bool
    as_json: bool
    despite: str | None
    sharing: Sharing


def copy(
    entities: Annotated[list[str] | None, typer.Argument(metavar="[ENTITY]…", help="Only these.")] = None,
    rate: Annotated[
        int | None, typer.Option(help="Copy so many rows a second at most; 0: no limit. [default: 10000]", min=0)
    ] = None,
    parallel: Annotated[int, typer.Option(help="Copy so many ranges of a table at a time.", min=1, max=32)] = 1,
    processes: ProcessesOption = 1,
    dask: DaskOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete what is in the target's tables, and begin anew.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be copied, and how.")] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Give up what is unfinished: its changes are applied, whatever is there.")
    ] = False,
    despite_reverse: DespiteOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fill the tables of a PostgreSQL target: copied by ranges, as bytes, beside traffic and workers.

    For a new link: `syncline install`, `syncline copy`, `syncline worker` (which may run before). Changes of a table
    wait until it is copied, and are applied then; other tables go on. Interrupted, the next call goes on where it was.
    It keeps to a rate, and stands back while the source takes longer than usual. What was copied before is left out.
    With --json the progress is a line of JSON a second on standard error.

    Where the file declares collections, their documents are copied, in the order of their _id; what has been written
    since is not written over, and --replace begins anew without deleting anything.

    Exit status: 0 everything is copied; 1 the target refuses rows of a table; 130 interrupted; 3 could not run.
    """
    sharing = Sharing(processes, dask).instead_of("--parallel", parallel)
    if documents := documents_from(config, cancel=cancel, despite_reverse=despite_reverse):
        of_documents.require_one(parallel)
        if dry_run:
            of_documents.say_what(documents, entities or [], as_json=as_json)
            return
        asked = of_documents.Wish(entities or [], rate, replace, sweep=False, as_json=as_json, sharing=sharing)
        of_documents.copy_documents(documents, asked, again="syncline copy")
        return
    wish = Wish(entities or [], parallel, rate, replace, as_json, despite_reverse, sharing)
    settings = configured(config)
    if cancel:
        names = run(_cancel(settings, wish))
        print_json({"cancelled": names}) if as_json else _print_cancelled(names)
        return
    if dry_run:
        prospects, order = run(_prospects(settings, wish))
        _print_prospects(prospects, order, as_json=as_json)
        return
    invocation.get().resume = RESUME
    try:
        found = run(_copy(settings, wish))
    except asyncio.CancelledError:
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json({"tables": [as_dict(one) for one in found]})
    else:
        _print(found)
    if any(one.error is not None for one in found):
        raise typer.Exit(REFUSED)


def _print_cancelled(names: Sequence[str]) -> None:
    say(f"given up: {', '.join(names) or 'nothing'}")
    if names:
        say(f"rows may be missing in the target until `syncline backfill {' '.join(names)}`", "yellow")


def _pacing(wish: Wish) -> Pacing:
    from syncline.copying.pace import RATE, Pacing

    return Pacing(RATE if wish.rate is None else wish.rate or None)


async def _copy(settings: Settings, wish: Wish) -> list[Progress]:
    from syncline.cli.progress import bars, lines
    from syncline.executing.collector import tune_garbage_collection
    from syncline.wiring.copying import opened_copier
    from syncline.wiring.sides import require_right_side_of
    from syncline.wiring.work import LinkWork

    tune_garbage_collection()
    with (lines if wish.as_json else bars)(shown) as show:
        options: dict[str, Callable[[Progress], None] | int] = {"on_progress": show, "parallel": wish.parallel}
        async with (
            wish.sharing.executing(LinkWork(settings)) as executor,
            opened_copier(settings, _pacing(wish), executor=executor, **options) as (copier, plans),
        ):
            wanted = chosen(plans, wish.entities)
            if wish.despite:
                await require_right_side_of(settings, [plan.name for plan in wanted], "a copy", despite=wish.despite)
            return await copier.run(wanted, replace=wish.replace, despite=wish.despite)


async def _prospects(settings: Settings, wish: Wish) -> tuple[list[Prospect], Order]:
    from syncline.wiring.copying import opened_copier

    async with opened_copier(settings, _pacing(wish)) as (copier, plans):
        return await copier.prospects(chosen(plans, wish.entities))


async def _cancel(settings: Settings, wish: Wish) -> list[str]:
    from syncline.wiring.copying import opened_copier

    async with opened_copier(settings, _pacing(wish)) as (copier, plans):
        return await copier.cancel(chosen(plans, wish.entities))


def shown(progress: Progress) -> Shown:
    """Say how a table's progress is shown."""
    from syncline.cli.progress import Shown

    return Shown(
        progress.entity,
        progress.entity,
        done=progress.rows + progress.passed,
        total=progress.total,
        finished=progress.finished,
        waiting=progress.waiting,
        fields=as_dict(progress),
    )


def as_dict(progress: Progress) -> dict[str, Any]:
    """Give a table's progress by the names that programs see."""
    return {
        "entity": progress.entity,
        "rows": progress.rows,
        "total": progress.total,
        "ranges": progress.ranges,
        "ranges_done": progress.done,
        "left_to_worker": progress.left,
        "held_by": progress.held,
        "finished": progress.finished,
        "error": progress.error.message if progress.error else None,
    }


def _print(found: Sequence[Progress]) -> None:
    if not found:
        say("everything was copied before; `--replace` begins anew")
    for one in found:
        if one.error is not None:
            say(one.error.message, "red")
            continue
        if one.held:
            say(
                f"{one.entity}: {one.rows:,} rows copied; its changes wait for {one.held}, joined by foreign keys",
                "yellow",
            )
            continue
        left = f", {one.left} that wait for others are left to the worker" if one.left else ""
        say(f"{one.entity}: {one.rows:,} rows copied{left}")
    if any(one.error is not None for one in found):
        say("correct the row or the target's rule, and run `syncline copy` again: it goes on", "yellow")
    elif found:
        say("changes since then are applied by `syncline worker`")


def _print_prospects(prospects: Sequence[Prospect], order: Order, *, as_json: bool) -> None:
    rows = [_prospect(one) for one in prospects]
    if as_json:
        print_json({"tables": rows, "circles": order.circles})
        return
    headings = ("entity", "target", "rows, about", "ranges", "form", "note")
    print_table(headings, [[*row.values()] for row in rows])
    for circle in order.circles:
        say(
            f"{', '.join(circle)} refer to each other: rows whose parents come later are left to the worker; to copy "
            "them, drop a foreign key there, and add it again afterwards (NOT VALID, then VALIDATE)",
            "yellow",
        )


def _prospect(one: Prospect) -> dict[str, Any]:
    notes = ["goes on" if one.copy is not None else "" if one.empty else "not empty: needs --replace"]
    notes += [f"as text: {one.destination.why_text}"] if one.destination.why_text else []
    return {
        "entity": one.plan.name,
        "target": one.destination.name,
        "rows": one.layout.rows,
        "ranges": len(one.bounds),
        "form": "binary" if one.destination.binary else "text",
        "note": "; ".join(note for note in notes if note),
    }
