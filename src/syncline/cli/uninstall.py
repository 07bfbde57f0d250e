"""``syncline uninstall``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

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
from syncline.cli.documents.taking_over import uninstall_documents
from syncline.cli.partly import PARTLY, partly, say_partly
from syncline.errors import NotInstalledError, TargetError
from syncline.model.defaults import PATIENCE

if TYPE_CHECKING:
    from syncline.capture.postgres.carry_out import Waiting
    from syncline.config import Settings

RELEASE = timedelta(seconds=2)
"""So long the target is waited for, which need not answer for the source to be rid of us."""


def uninstall(
    config: ConfigOption = None,
    as_sql: Annotated[bool, typer.Option("--sql", help="Print the SQL instead of running it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed.")] = False,
    patience: Annotated[
        float,
        typer.Option("--wait", help="Seconds for which locked tables are tried again.", min=0, callback=finite),
    ] = PATIENCE.total_seconds(),
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove triggers, tables and history from the source. The target's documents stay.

    The triggers go one table at a time, each for a moment; what is left goes when no trigger is left. Interrupted, it
    goes on where it was with the next call.

    Where the file declares collections: the schema syncline_documents goes, and tombstones, marks and versions in
    MongoDB. Rows and documents stay. No worker may be running.

    Exit status: 0 removed; 4 partly: others hold the locks of some tables, the summary says who, and since when;
    3 could not run.
    """
    if documents := documents_from(config):
        uninstall_documents(documents, as_sql=as_sql, dry_run=dry_run, yes=yes, as_json=as_json)
        return
    settings = settings_from(config)
    invocation.get().resume = "`syncline uninstall` goes on from here"
    limit = timedelta(seconds=patience)
    if run(_uninstall(settings, as_sql=as_sql, dry_run=dry_run, yes=yes, as_json=as_json, patience=limit)):
        raise typer.Exit(PARTLY)


async def _release(settings: Settings, *, quiet: bool) -> None:
    """Let other links write the target's tables or collections; a target that is away is told of."""
    from syncline.wiring.sides import opened_target

    where = settings.target
    brief = where.model_copy(update={"timeout": RELEASE, "connect_timeout": RELEASE / 2})
    async with opened_target(replace(settings, target=brief)) as target:
        try:
            await target.release()
        except TargetError as error:
            ours = where.control_schema if where.in_postgresql else where.control_collection
            if not quiet:
                say(f"the target still counts its tables or collections as this link's: {error.message}", "yellow")
                say(f"before another link writes them: remove what {ours} has claimed there", "yellow")


async def _uninstall(
    settings: Settings, *, as_sql: bool, dry_run: bool, yes: bool, as_json: bool, patience: timedelta
) -> Sequence[Waiting]:
    from syncline.capture.postgres.install import install as carry_out
    from syncline.capture.postgres.install import plan_uninstall
    from syncline.capture.postgres.install_plan import InstallPlan
    from syncline.capture.postgres.rendering import render
    from syncline.insight import reach

    waiting: Sequence[Waiting] = ()
    async with reach.source(settings.source, purpose="uninstall", installed=False) as source:
        try:
            removal = await plan_uninstall(source)
        except NotInstalledError:
            removal = InstallPlan(summary=["nothing to remove: Syncline is not installed in this database"])
            dry_run = True
        if as_sql:
            write_out(render(removal))
            return ()
        if not as_json:
            for line in removal.summary:
                say(f"  {line}")
        if not dry_run:
            confirm("Remove all of this? Changes that are not applied yet are forgotten.", yes=yes)
            waiting = await partly(carry_out(source, removal, patience=patience, command="syncline uninstall"))
    if as_json:
        told = {"changes": removal.summary, "waiting": [one.as_dict() for one in waiting]}
        print_json({"uninstalled": not dry_run and not waiting, **told})
    elif waiting:
        say_partly("uninstalled", waiting, "syncline uninstall")
    elif not dry_run:
        say("uninstalled; the documents in the target stay", "green")
    if not dry_run and not waiting:
        await _release(settings, quiet=as_json)
    return waiting
