"""``syncline split check``."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.boundary import Group
from syncline.cli.common import ConfigOption, JsonOption, keep_secret, print_json, say
from syncline.errors import ConfigError

if TYPE_CHECKING:
    from syncline.split.check import Check
    from syncline.split.databases import Databases
    from syncline.split.findings import Finding

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Split a database in two: find what ties its tables together.",
)

AppOption = Annotated[
    str | None,
    typer.Option(
        "--app",
        metavar="MODULE:NAME",
        help="The application's Databases, with its models declared, e.g. shop.db:databases.",
    ),
]
SeenOption = Annotated[
    list[Path] | None,
    typer.Option("--seen", help="What tests found: a file written by pytest --syncline-findings. May be repeated."),
]


@app.callback()
def _split() -> None:
    pass


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
    for database in configured.databases:
        for place in (database.place, database.direct):
            if place is not None:
                keep_secret(place.url)
    databases = _of_application(app_) if app_ else Databases(configured)
    found = look(databases, configured.settings, seen=seen or (), today=datetime.now(UTC).date())
    if as_json:
        print_json(found.as_dict())
    else:
        _print(found)
    raise typer.Exit(1 if found.obstacles else 0)


def _of_application(name: str) -> Databases:
    from syncline.split.databases import Databases

    module, separator, attribute = name.partition(":")
    if not separator:
        raise ConfigError(f"--app {name}: MODULE:NAME is expected", hint="e.g. --app shop.db:databases")
    sys.path.insert(0, "")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"--app {name}: {error}", hint="run it where the application can be imported") from error
    if not isinstance(found, Databases):
        raise ConfigError(f"--app {name} is no syncline.split.Databases")
    return found


def _print(found: Check) -> None:
    for finding in found.findings:
        _print_one(finding)
    where = "no statistics of statements (pg_stat_statements)"
    if found.statements is not None:
        where = f"{found.statements} statements of pg_stat_statements"
    say(
        f"{len(found.obstacles)} obstacles, {len(found.findings) - len(found.obstacles)} exempt;"
        f" looked at {found.tables} tables, {where}",
        "bold",
    )


def _print_one(finding: Finding) -> None:
    say(finding.id, "yellow" if finding.exempt else "red")
    ran = f" ({finding.calls} calls)" if finding.calls is not None else ""
    say(f"  {finding.message}{ran}{f' at {finding.where}' if finding.where else ''}")
    if finding.exempt:
        say(f"  exempt until {finding.exempt.until}: {finding.exempt.reason}")
    else:
        say(f"  {finding.remedy}")
