"""``syncline uninstall``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from syncline.capture.install import install as carry_out
from syncline.capture.install import plan_uninstall, render
from syncline.capture.plan import InstallPlan
from syncline.cli.common import ConfigOption, JsonOption, YesOption, confirm, print_json, run, say, settings_from
from syncline.config import Settings
from syncline.errors import NotInstalledError
from syncline.insight import reach


def uninstall(
    config: ConfigOption = None,
    as_sql: Annotated[bool, typer.Option("--sql", help="Print the SQL instead of running it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove triggers, tables and history from the source. The target's documents stay."""
    settings = settings_from(config)
    run(_uninstall(settings, as_sql=as_sql, dry_run=dry_run, yes=yes, as_json=as_json))


async def _uninstall(settings: Settings, *, as_sql: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    async with reach.source(settings.source.url, purpose="uninstall", installed=False) as source:
        try:
            removal = await plan_uninstall(source)
        except NotInstalledError:
            removal = InstallPlan(summary=["nothing to remove: Syncline is not installed in this database"])
            dry_run = True
        if as_sql:
            sys.stdout.write(render(removal))
            return
        if not as_json:
            for line in removal.summary:
                say(f"  {line}")
        if not dry_run:
            confirm("Remove all of this? Changes that are not applied yet are forgotten.", yes=yes)
            await carry_out(source, removal)
    if as_json:
        print_json({"uninstalled": not dry_run, "changes": removal.summary})
    elif not dry_run:
        say("uninstalled; the documents in the target stay", "green")
