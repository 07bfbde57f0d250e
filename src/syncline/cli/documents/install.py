"""``syncline install`` where documents are the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from syncline.cli.boundary import invocation
from syncline.cli.common import confirm, print_json, run, say

if TYPE_CHECKING:
    from syncline.cli.progress import Shown
    from syncline.config.documents import Documents
    from syncline.documents.installing import Plan
    from syncline.phases.redeclaring import Rewriting

DIFFERS = 1


def install_documents(
    documents: Documents,
    *,
    as_sql: bool,
    dry_run: bool,
    check: bool,
    role: str | None,
    was: Documents | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Show what is to be done, and do it."""
    invocation.get().resume = "`syncline install` goes on from here"
    only_look = dry_run or check
    found = run(_install(documents, as_sql=as_sql, only_look=only_look, role=role, was=was, yes=yes, as_json=as_json))
    if check and found:
        raise typer.Exit(DIFFERS)


async def _install(
    documents: Documents,
    *,
    as_sql: bool,
    only_look: bool,
    role: str | None,
    was: Documents | None,
    yes: bool,
    as_json: bool,
) -> bool:
    from syncline.cli.progress import bars, lines
    from syncline.documents.installing import install, plan, statements
    from syncline.documents.opening import opened
    from syncline.phases.redeclaring import redeclare

    async with opened(documents) as link:
        if as_sql:
            for statement in statements(link, role=role):
                typer.echo(f"{statement};\n")
            typer.echo("-- The indexes of marks in MongoDB are made by `syncline install`.")
            return False
        wanted = await plan(link, role=role, was=was)
        if not as_json:
            _show(wanted)
        done = wanted.changes and not only_look
        if done:
            confirm("Change both databases?", yes=yes)
            await install(link, wanted)
            with (lines if as_json else bars)(shown) as show:
                await redeclare(documents, link, wanted.anew, show)
    if as_json:
        told = {
            "changes": wanted.summary,
            "warnings": wanted.warnings,
            "backfill": [*wanted.new, *wanted.changed, *wanted.anew],
        }
        print_json({"installed": done, **told, "waiting": []})
    elif done:
        say("installed", "green")
        if carried := [*wanted.new, *wanted.changed]:
            say(f"`syncline worker` writes the rows of: {', '.join(carried)}")
        if wanted.anew:
            say(f"written anew, and brought back to MongoDB by `syncline worker`: {', '.join(wanted.anew)}")
    return wanted.changes


def shown(step: Rewriting) -> Shown:
    """Say how the progress of a collection whose rows are written anew is shown."""
    from syncline.cli.progress import Shown

    told = {"entity": step.collection, "rows": step.documents, "finished": step.finished}
    return Shown(step.collection, step.collection, step.documents, None, finished=step.finished, fields=told)


def _show(wanted: Plan) -> None:
    for line in wanted.summary:
        say(f"  {line}")
    for line in wanted.warnings:
        say(f"  warning: {line}", "yellow")
    if not wanted.changes:
        say("nothing to do: what is installed is what is declared")
