"""``syncline config show|check`` where documents are the source."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from syncline.cli.common import print_json, run, say
from syncline.errors import SourceUnavailableError, TargetUnavailableError
from syncline.model.json_names import Verbatim
from syncline.model.words import counted

if TYPE_CHECKING:
    from syncline.config.documents import Documents


def show(documents: Documents, *, as_json: bool) -> None:
    """Print what is in force, with passwords masked."""
    from syncline.config import redact
    from syncline.config.settings import as_spelt

    sides: dict[str, Any] = {side: {"url": redact(documents.url(side))} for side in ("source", "target")}
    sides["source"]["watch"] = documents.watch
    sections = {**sides, "verify": as_spelt(documents.verify), "log": as_spelt(documents.log)}
    if as_json:
        names = [mapping.collection.name for mapping in documents.mappings]
        print_json(Verbatim({**sections, "collections": names}))
        return
    say(f"# from {documents.file or 'the environment'}")
    for name, section in sections.items():
        say(f"[{name}]", "bold")
        for key, value in section.items():
            say(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    for mapping in documents.mappings:
        say(f"[collections.{mapping.collection.name}]", "bold")
        for table in mapping.tables:
            say(f"# {table.name}: {', '.join(column.name for column in table.columns)}")


def check(documents: Documents, *, offline: bool, as_json: bool) -> None:
    """Check the file, and what ``syncline install`` would refuse."""
    for side in ("source", "target"):
        documents.url(side)
    looked, warnings = ("not asked", []) if offline else run(_try(documents))
    found = [
        {"name": mapping.collection.name, "tables": [str(table.name) for table in mapping.tables]}
        for mapping in documents.mappings
    ]
    if as_json:
        file = str(documents.file) if documents.file else None
        print_json({"valid": True, "file": file, "collections": found, "source": looked, "warnings": warnings})
        return
    for line in warnings:
        say(f"warning: {line}", "yellow")
    said = "" if looked == "checked" else f" (as far as it goes without the databases: {looked})"
    say(f"{documents.file or 'the environment'}: valid, {counted(len(found), 'collection')}{said}")


async def _try(documents: Documents) -> tuple[str, list[str]]:
    from syncline.documents.installing import plan
    from syncline.documents.opening import opened

    try:
        async with opened(documents) as link:
            return "checked", (await plan(link)).warnings
    except (SourceUnavailableError, TargetUnavailableError) as error:
        return error.message, []
