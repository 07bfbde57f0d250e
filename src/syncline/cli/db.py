"""``syncline db``: the named databases of an application, and their migrations."""

from __future__ import annotations

from typing import Annotated

import typer

from syncline.cli import migrating, shell
from syncline.cli.application import named_databases
from syncline.cli.boundary import group
from syncline.cli.common import ConfigOption, JsonOption, out, print_finding, print_json, run, say

app = group("The named databases of an application: one in single mode, several in split mode.")


@app.command("doctor")
def doctor(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only what is wrong.")] = False,
) -> None:
    """Look at each named database: version, latency, TLS, pooler, free connections, rights, and the direct URL.

    In split mode also: whether two names lead to the same database, or to each other's. Which databases there are say
    SPLIT_DB_MODE, DATABASE_URL, NAME_DATABASE_URL and [databases.NAME]; see docs/how-to/split-databases.md.

    Exit status: 0 all is well, 1 warnings, 2 critical findings, 3 could not run.
    """
    from syncline.split.doctor import examine

    with named_databases(config) as databases:
        found = run(examine(databases))
    if as_json:
        print_json(found.as_dict())
    else:
        say(f"{'split' if found.split else 'single'} mode", "dim")
        for report in found.reports:
            out.print()
            say(report.name, "bold")
            for finding in report.findings:
                print_finding(finding, quiet=quiet)
    raise typer.Exit(int(found.level))


app.command("migrate")(migrating.migrate)
app.command("status")(migrating.status)
app.command("check")(migrating.check)
app.command("new")(migrating.new)
app.command("stamp")(migrating.stamp)
app.command("shell", context_settings=shell.CONTEXT)(shell.shell)
