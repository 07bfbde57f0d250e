"""``syncline config show|check``."""

from __future__ import annotations

import json

import typer

from syncline.cli.boundary import Group
from syncline.cli.common import ConfigOption, JsonOption, configured, print_json, say, settings_from
from syncline.model.words import counted

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="The configuration as it is understood.",
)


@app.command("show")
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Print every setting in force, defaults and environment included, with passwords masked."""
    settings = settings_from(config)
    shown = settings.as_dict()
    if as_json:
        print_json(shown)
        return
    say(f"# from {settings.file or 'the environment'}")
    for name, section in shown.items():
        if name != "entities":
            say(f"[{name}]", "bold")
            for key, value in section.items():
                say(f"# {key} is not set" if value is None else f"{key} = {json.dumps(value, ensure_ascii=False)}")
    for entity in settings.entities:
        say(f"[entities.{entity.name}]", "bold")
        say(f"table = {json.dumps(str(entity.table))}\ncollection = {json.dumps(entity.collection)}")


@app.command("check")
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check the configuration without connecting to anything.

    With --json the report has `valid`, `file` (null: the environment alone) and `entities` (name, table, collection). A
    configuration that is not valid is an error: exit status 3, and what to mend on standard error.
    """
    settings = configured(config)
    if as_json:
        entities = [{"name": e.name, "table": str(e.table), "collection": e.collection} for e in settings.entities]
        print_json({"valid": True, "file": str(settings.file) if settings.file else None, "entities": entities})
        return
    say(f"{settings.file or 'the environment'}: valid, {counted(len(settings.entities), 'entity', 'entities')}")
