"""``syncline install``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.beforehand import look_at_target
from syncline.cli.boundary import invocation, write_out
from syncline.cli.common import (
    ConfigOption,
    JsonOption,
    YesOption,
    confirm,
    finite,
    print_json,
    run,
    say,
    settings_from,
)
from syncline.cli.documents.common import documents_from
from syncline.cli.documents.install import install_documents
from syncline.cli.partly import PARTLY, partly, say_partly
from syncline.errors import ConfigError
from syncline.model.defaults import LOCK_TIMEOUT, PATIENCE
from syncline.model.words import counted

if TYPE_CHECKING:
    from syncline.capture.postgres.carry_out import Waiting
    from syncline.capture.postgres.install import InstallOptions, InstallPlan
    from syncline.config import Settings
    from syncline.model.link import Link

_DETAIL = re.compile(r"(?:^|: )(create|replace|drop) (function|trigger) ")
DIFFERS = 1
"""Exit status of ``--check``, as of ``verify``."""


def install(
    config: ConfigOption = None,
    as_sql: Annotated[bool, typer.Option("--sql", help="Print the SQL instead of running it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit status 1 where file and database differ.")
    ] = False,
    worker_role: Annotated[str | None, typer.Option(help="Grant this role what a worker needs, no more.")] = None,
    writer_role: Annotated[str | None, typer.Option(help="Let this role call syncline.mark().")] = None,
    backfill: Annotated[
        bool | None,
        typer.Option(
            help="Have the records of new and changed entities marked by the worker. "
            "[default: yes; no where a link has a way back]"
        ),
    ] = None,
    lock_timeout: Annotated[
        float,
        typer.Option(
            help="Seconds an attempt waits for a table's lock, and writers behind it.", min=0.01, callback=finite
        ),
    ] = LOCK_TIMEOUT.total_seconds(),
    patience: Annotated[
        float,
        typer.Option("--wait", help="Seconds for which locked tables are tried again.", min=0, callback=finite),
    ] = PATIENCE.total_seconds(),
    finish: Annotated[
        bool, typer.Option("--finish", help="After an upgrade: take away what only the previous release needs.")
    ] = False,
    was: Annotated[
        Path | None,
        typer.Option(
            help="The file as it was installed last, where it declares collections that PostgreSQL serves and their "
            "declaration has changed.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Name each function and trigger, as --dry-run does.")
    ] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Create Syncline's tables and triggers, or bring them up to date. Running it again does nothing.

    One table at a time, each for a moment: no writer waits for half a second, whatever locks others hold. An entity is
    armed, and its records are marked, when all its tables have their triggers; workers then take it up by themselves.
    Interrupted, it goes on where it was with the next call.

    Where the file declares collections: the schema syncline_documents in PostgreSQL, indexes of marks in MongoDB; a
    declaration that has changed is noticed, and every document of its collection is marked to be written anew; where
    PostgreSQL serves, its rows are written anew from what they are under the declaration before (--was).

    Exit status: 0 all is there; 1 (--check) what is installed is not what the file says; 4 partly: others hold the
    locks of some tables, the summary says who, and since when; 3 could not run.
    """
    from syncline.capture.postgres.install import options_of

    if documents := documents_from(config, writer_role=writer_role, finish=finish):
        install_documents(
            documents,
            as_sql=as_sql,
            dry_run=dry_run,
            check=check,
            role=worker_role,
            was=documents_from(was) if was else None,
            yes=yes,
            as_json=as_json,
        )
        return
    if was:
        raise ConfigError(
            "--was means nothing without collections", hint="leave it out: tables are marked, not rewritten"
        )
    settings = settings_from(config)
    if not settings.entities:
        raise ConfigError("no entity is declared", hint="`syncline init` writes a configuration from your database")
    options = options_of(
        settings.source,
        worker_role=worker_role,
        writer_role=writer_role,
        backfill=settings.link.reverse is None if backfill is None else backfill,
        finish=finish,
    )
    only_look = as_sql or dry_run or check
    show = (as_sql, as_json, verbose or only_look)
    invocation.get().resume = "`syncline install` goes on from here"
    differs, waiting = run(
        _install(
            settings,
            options,
            only_look=only_look,
            ask=not yes,
            show=show,
            lock_timeout=timedelta(seconds=lock_timeout),
            patience=timedelta(seconds=patience),
        )
    )
    if waiting:
        raise typer.Exit(PARTLY)
    if check and differs:
        raise typer.Exit(DIFFERS)


async def _install(
    settings: Settings,
    options: InstallOptions,
    *,
    only_look: bool,
    ask: bool,
    show: tuple[bool, bool, bool],
    lock_timeout: timedelta,
    patience: timedelta,
) -> tuple[bool, Sequence[Waiting]]:
    """Plan, show and carry out; tell whether there was anything to do, and which tables wait for it."""
    from syncline.capture.postgres.install import install_in_turn, plan
    from syncline.capture.postgres.rendering import render
    from syncline.insight import reach

    as_sql, as_json, details = show
    waiting: Sequence[Waiting] = ()
    async with reach.source(settings.source, purpose="install", installed=False) as source:
        wanted = await plan(source, settings.entities, options)
        if as_sql:
            write_out(render(wanted, lock_timeout=lock_timeout))
            return wanted.changes, ()
        wanted.warnings += await look_at_target(settings, wanted, source)
        if not as_json:
            _show(wanted, details=details)
        if wanted.changes and not only_look:
            confirm(f"Change {settings.source.name}?", yes=not ask)
            waiting = await partly(
                install_in_turn(
                    source,
                    wanted,
                    lambda: plan(source, settings.entities, options),
                    lock_timeout=lock_timeout,
                    patience=patience,
                )
            )
    unarmed = {name for one in waiting for name in one.entities}
    marked = [name for name in wanted.backfill if name not in unarmed] if options.backfill and not only_look else []
    if as_json:
        done = bool(wanted.changes) and not only_look and not waiting
        told = {"changes": wanted.summary, "warnings": wanted.warnings, "backfill": marked}
        print_json({"installed": done, **told, "waiting": [one.as_dict() for one in waiting]})
    elif not only_look:
        _conclude(wanted, marked, waiting, settings.link)
    return wanted.changes, waiting


def _show(wanted: InstallPlan, *, details: bool) -> None:
    for line in wanted.summary if details else _brief(wanted.summary):
        say(f"  {line}")
    for line in wanted.warnings:
        say(f"  warning: {line}", "yellow")
    if not wanted.changes:
        say("nothing to do: what is installed is what is configured")


def _brief(summary: Sequence[str]) -> Iterator[str]:
    """Count functions and triggers instead of naming each; the rest stays as it is."""
    counts = Counter(found.groups() for line in summary if (found := _DETAIL.search(line)))
    yield from (line for line in summary if not _DETAIL.search(line))
    if counts:
        told = (f"{verb} {counted(count, what)}" for (verb, what), count in counts.items())
        yield f"{', '.join(told)} (-v names them)"


def _conclude(wanted: InstallPlan, marked: list[str], waiting: Sequence[Waiting], link: Link) -> None:
    if waiting:
        say_partly("installed", waiting, "syncline install")
    elif wanted.changes:
        say("installed", "green")
    if marked:
        say(f"the worker will sync what is there already of: {', '.join(marked)}")
    elif wanted.backfill and not waiting:
        which = f" --link {link.name}" if link.name else ""
        say(
            f"not yet in the target: {', '.join(wanted.backfill)}; `syncline backfill{which}` marks their records",
            "yellow",
        )
        if link.reverse is not None:
            say(
                f"it writes over what {link.reverse} has not brought yet: run it for the way whose source is right",
                "yellow",
            )
