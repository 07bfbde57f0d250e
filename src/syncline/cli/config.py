"""``syncline config show|check``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.beforehand import look_at_target
from syncline.cli.boundary import group
from syncline.cli.common import ConfigOption, JsonOption, configured, print_json, run, say, settings_from
from syncline.cli.documents import config as of_documents
from syncline.cli.documents.common import documents_from
from syncline.errors import PrivilegeError, SourceUnavailableError
from syncline.model.json_names import Verbatim
from syncline.model.words import counted

if TYPE_CHECKING:
    from syncline.config import Settings

app = group("The configuration as it is understood.")


@app.command("show")
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Print every setting in force, defaults and environment included, with passwords masked."""
    if documents := documents_from(config):
        of_documents.show(documents, as_json=as_json)
        return
    settings = settings_from(config)
    shown = settings.as_dict()
    if as_json:
        print_json(Verbatim(shown))  # spelt as in the file
        return
    say(f"# from {settings.file or 'the environment'}")
    for name, section in shown.items():
        if name != "entities":
            say(f"[{name}]", "bold")
            for key, value in section.items():
                say(f"# {key} is not set" if value is None else f"{key} = {json.dumps(value, ensure_ascii=False)}")
    for entity in settings.entities:
        say(f"[entities.{entity.name}]", "bold")
        setting = "target_table" if settings.target.in_postgresql else "collection"
        say(f"table = {json.dumps(str(entity.table))}\n{setting} = {json.dumps(entity.collection)}")


@app.command("check")
def check(
    config: ConfigOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not connect to anything.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the configuration, and what `syncline install` would refuse: tables, keys, the SQL of where and computed.

    Nothing is changed. When the source cannot be reached the file alone is checked, and the command says so.

    With --json the report has `valid`, `file` (null: the environment alone), `entities` (name, table, collection),
    `source` (`checked`, or why it was not) and `warnings`. A configuration that is not valid is an error: exit
    status 3, and what to correct on standard error.
    """
    if documents := documents_from(config):
        of_documents.check(documents, offline=offline, as_json=as_json)
        return
    settings = configured(config)
    looked, warnings = ("not asked", []) if offline else run(_try(settings))
    if as_json:
        entities = [{"name": e.name, "table": str(e.table), "collection": e.collection} for e in settings.entities]
        file = str(settings.file) if settings.file else None
        print_json({"valid": True, "file": file, "entities": entities, "source": looked, "warnings": warnings})
        return
    for line in warnings:
        say(f"warning: {line}", "yellow")
    said = "" if looked == "checked" else f" (as far as it goes without the source: {looked})"
    say(f"{settings.file or 'the environment'}: valid, {counted(len(settings.entities), 'entity', 'entities')}{said}")


async def _try(settings: Settings) -> tuple[str, list[str]]:
    """Plan the installation as `install` would; return whether it could be, and what it would warn of."""
    from syncline.capture.postgres.install import options_of, plan
    from syncline.insight import reach

    options = options_of(settings.source)
    try:
        async with reach.source(settings.source, purpose="config check", installed=False) as source:
            planned = await plan(source, settings.entities, options)
            return "checked", planned.warnings + await look_at_target(settings, planned, source)
    except (SourceUnavailableError, PrivilegeError) as error:
        return error.message, []
