"""``syncline split plan`` and ``syncline split schema``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncline.cli.application import AppOption, declare_models, keep_secrets, named_databases
from syncline.cli.boundary import invocation
from syncline.cli.common import ConfigOption, JsonOption, keep_secret, print_json, print_table, say
from syncline.model.words import counted
from syncline.split.schema.things import Phase

if TYPE_CHECKING:
    import psycopg

    from syncline.split.schema.planning import Plan

DatabaseArgument = Annotated[
    str, typer.Argument(metavar="[DATABASE]", help="The named database whose tables move to a database of their own.")
]


def plan(
    database: DatabaseArgument = "data", config: ConfigOption = None, app: AppOption = None, as_json: JsonOption = False
) -> None:
    """Show what a move of a database's tables would do: which tables, how large, by which steps, what is in the way.

    Reads only. In single mode: DATABASE_URL has the tables, and the moving database's own URL (DATA_DATABASE_URL) says
    where they go. See docs/how-to/move-the-schema.md.

    Exit status: 0 nothing is in the way, 1 obstacles, 3 could not run.
    """
    with _planned(config, app, database) as (found, _, _):
        if as_json:
            print_json(found.as_dict())
        else:
            print_plan(found)
        raise typer.Exit(1 if found.obstacles else 0)


def schema(
    database: DatabaseArgument = "data",
    phase: Annotated[
        Phase,
        typer.Option(
            "--phase",
            help="before: what rows need; after: what is made when they are there; opening: what acts on new rows.",
        ),
    ] = Phase.BEFORE,
    rows: Annotated[
        bool, typer.Option("--rows", help="The copy has begun: tables over there may have rows already.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Name the steps that are not done, and do none.")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Print the steps that are not done as SQL, and do none.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Compare both sides' tables, and do nothing.")] = False,
    config: ConfigOption = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the schema of the moving tables in their new database. What is there already is left; run it again to go on.

    Each step is a transaction. Nothing is done while `syncline split plan` names an obstacle.

    Exit status: 0 done (or alike), 1 a comparison found differences, 3 could not run.
    """
    with _planned(config, app, database) as (found, source, target):
        if check:
            _check(found, source, target, opened=phase is Phase.OPENING, as_json=as_json)
        elif sql:
            from syncline.split.schema.carrying import script

            for line in script(found, phase):
                typer.echo(line)
        elif dry_run:
            pending = found.pending(phase)
            print_json({"steps": [one.as_dict() for one in pending]}) if as_json else _list(pending)
        else:
            _carry_out(found, target, phase, rows=rows, as_json=as_json)


@contextmanager
def _planned(
    config: Path | None, app: str | None, database: str
) -> Iterator[tuple[Plan, psycopg.Connection[Any], psycopg.Connection[Any]]]:
    from syncline.split.schema.planning import plan as look
    from syncline.split.schema.sides import sides

    with named_databases(config, app) as databases:
        keep_secrets(databases.configured)
        declare_models(databases)
        both = sides(databases.configured, database)
        keep_secret(both.target.conninfo)
        both.check()
        with both.connected() as (source, target):
            settings, today = databases.configured.settings, datetime.now(UTC).date()
            yield look(source, target, databases.routing.ownership, database, settings, today=today), source, target


def _carry_out(found: Plan, target: psycopg.Connection[Any], phase: Phase, *, rows: bool, as_json: bool) -> None:
    from syncline.split.schema.carrying import carry_out

    invocation.get().resume = "each step is done as a whole or not at all; the same command goes on"
    tell = (lambda _: None) if as_json else (lambda step: say(f"{step.kind} {step.name}"))
    done = carry_out(found, target, phase, rows=rows, tell=tell)
    if as_json:
        print_json({"phase": str(phase), "done": done})
    else:
        say(f"{counted(done, 'step')} done; {phase} is complete", "bold")


def _check(
    found: Plan, source: psycopg.Connection[Any], target: psycopg.Connection[Any], *, opened: bool, as_json: bool
) -> None:
    from syncline.split.schema.comparing import compare

    differences = compare(source, target, found.tables, opened=opened)
    if as_json:
        told = [{"sort": one.sort, "name": one.name, "message": str(one)} for one in differences]
        print_json({"tables": len(found.tables), "differences": told})
    else:
        for one in differences:
            say(str(one), "red")
        say(f"{counted(len(found.tables), 'table')} compared; {counted(len(differences), 'difference')}", "bold")
    raise typer.Exit(1 if differences else 0)


def print_plan(found: Plan) -> None:
    """Show a plan: tables, notices, how many steps."""
    sizes = sorted(found.sizes, key=lambda one: -one.bytes)
    print_table(("table", "rows (about)", "MB"), [(one.table, one.rows, round(one.bytes / 1e6, 1)) for one in sizes])
    for notice in found.notices:
        say(f"{notice.level} {notice.id}", "red" if notice in found.obstacles else "yellow")
        say(f"  {notice.message}")
        say(f"  {notice.remedy}")
    for phase in Phase:
        steps = [one for one in found.steps if one.phase is phase]
        say(f"{phase}: {counted(len(steps), 'step')}, {len(found.pending(phase))} of them to do")
    say(f"{counted(len(found.tables), 'table')} to move; {counted(len(found.obstacles), 'obstacle')}", "bold")


def _list(steps: Any) -> None:
    for step in steps:
        say(f"{step.kind} {step.name}")
    say(f"{counted(len(steps), 'step')} to do", "bold")
