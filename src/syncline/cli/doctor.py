"""``syncline doctor``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from syncline.cli.common import ConfigOption, JsonOption, out, print_json, run, say, settings_from
from syncline.config import Settings
from syncline.insight.checks.finding import Level
from syncline.insight.doctor import Diagnosis, diagnose
from syncline.wiring import opened_target

STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.CRITICAL: "bold red"}


def doctor(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only what is wrong.")] = False,
) -> None:
    """Look for what goes wrong in practice, and say how to mend it.

    Exit status: 0 all is well, 1 warnings, 2 critical findings, 3 could not run.
    """
    found = run(_diagnose(settings_from(config)))
    if as_json:
        print_json(found.as_dict())
    else:
        _print(found, quiet=quiet)
    raise typer.Exit(int(found.level))


async def _diagnose(settings: Settings) -> Diagnosis:
    async with opened_target(settings) as target:
        return await diagnose(settings, target)


def _print(found: Diagnosis, *, quiet: bool) -> None:
    for finding in found.findings:
        if quiet and finding.level is Level.OK:
            continue
        out.print(
            Text(f"{finding.level.name.lower():8} ", STYLES[finding.level]),
            Text(finding.check, "bold"),
            ": ",
            sep="",
            end="",
        )
        say(finding.message)
        if finding.why:
            say(f"         why: {finding.why}", "dim")
        if finding.fix:
            say(f"         fix: {finding.fix}")
