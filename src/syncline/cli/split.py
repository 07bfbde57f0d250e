"""``syncline split``: its commands, each in a module of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli import moving, split_copy, split_end, split_follow, split_rehearse, split_status, split_switch
from syncline.cli.application import AppOption, declare_models, keep_secrets, of_application
from syncline.cli.boundary import group
from syncline.cli.common import ConfigOption, JsonOption, print_json, say

if TYPE_CHECKING:
    from syncline.split.check import Check
    from syncline.split.findings import Finding

app = group("Split a database in two: find what ties its tables together, and move a part of them.")

SeenOption = Annotated[
    list[Path] | None,
    typer.Option("--seen", help="What tests found: a file written by pytest --syncline-findings. May be repeated."),
]


@app.callback()
def _split() -> None:
    pass


app.command("plan")(moving.plan)
app.command("schema")(moving.schema)
app.command("rehearse")(split_rehearse.rehearse)
app.command("copy")(split_copy.copy)
app.command("follow")(split_follow.follow)
app.command("switch")(split_switch.switch)
app.command("back")(split_switch.back)
app.command("status")(split_status.status)
app.command("abort")(split_end.abort)
app.command("finish")(split_end.finish)


@app.command("check")
def check(
    config: ConfigOption = None, app_: AppOption = None, seen: SeenOption = None, as_json: JsonOption = False
) -> None:
    """Find what ties tables of different databases together: in the catalog, in statistics, in what tests ran.

    Reads only. Exit status: 0 nothing (or exempt), 1 obstacles, 3 could not run.
    """
    from syncline.config.databases import load_databases
    from syncline.split.check import check as look
    from syncline.split.databases import Databases

    configured = load_databases(config)
    keep_secrets(configured)
    databases = of_application(app_) if app_ else Databases(configured)
    declare_models(databases)
    found = look(databases, configured.settings, seen=seen or (), today=datetime.now(UTC).date())
    if as_json:
        print_json(found.as_dict())
    else:
        _print(found)
    raise typer.Exit(1 if found.obstacles else 0)


def _print(found: Check) -> None:
    for finding in found.findings:
        print_tie(finding)
    where = "no statistics of statements (pg_stat_statements)"
    if found.statements is not None:
        where = f"{found.statements} statements of pg_stat_statements"
    say(
        f"{len(found.obstacles)} obstacles, {len(found.findings) - len(found.obstacles)} exempt;"
        f" looked at {found.tables} tables, {where}",
        "bold",
    )


def print_tie(finding: Finding) -> None:
    """Print a finding with the way to remove it."""
    say(finding.id, "yellow" if finding.exempt else "red")
    ran = f" ({finding.calls} calls)" if finding.calls is not None else ""
    say(f"  {finding.message}{ran}{f' at {finding.where}' if finding.where else ''}")
    if finding.exempt:
        say(f"  exempt until {finding.exempt.until}: {finding.exempt.reason}")
    else:
        say(f"  {finding.remedy}")
