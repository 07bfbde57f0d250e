"""``syncline doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.common import ConfigOption, JsonOption, print_finding, print_json, run, settings_from
from syncline.cli.documents.common import documents_from

if TYPE_CHECKING:
    from syncline.config import Settings
    from syncline.config.documents import Documents
    from syncline.insight.doctor import Diagnosis


def doctor(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only what is wrong.")] = False,
) -> None:
    """Look for what goes wrong in practice, and say how to correct it.

    Exit status: 0 all is well, 1 warnings, 2 critical findings, 3 could not run.
    """
    documents = documents_from(config)
    found = run(_diagnose_documents(documents) if documents else _diagnose(settings_from(config)))
    if as_json:
        print_json(found.as_dict())
    else:
        for finding in found.findings:
            print_finding(finding, quiet=quiet)
    raise typer.Exit(int(found.level))


async def _diagnose_documents(documents: Documents) -> Diagnosis:
    from syncline.documents.doctor import diagnose
    from syncline.documents.opening import opened

    async with opened(documents) as link:
        return await diagnose(link)


async def _diagnose(settings: Settings) -> Diagnosis:
    from syncline.insight.doctor import diagnose
    from syncline.wiring.sides import opened_target

    async with opened_target(settings) as target:
        return await diagnose(settings, target)
