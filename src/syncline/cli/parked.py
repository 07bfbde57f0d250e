"""``syncline parked list|retry|discard``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.boundary import group
from syncline.cli.common import (
    ConfigOption,
    EntityOption,
    JsonOption,
    YesOption,
    confirm,
    print_json,
    print_table,
    run,
    say,
    settings_from,
)
from syncline.cli.documents import parked as of_documents
from syncline.cli.documents.common import documents_from
from syncline.errors import SynclineError

if TYPE_CHECKING:
    from syncline.config import Settings
    from syncline.insight.parked import ParkedRecord

app = group("Records that the target rejects.")

EntityArgument = Annotated[str | None, typer.Argument(help="The entity.")]
KeysArgument = Annotated[list[str] | None, typer.Argument(help="Keys, as `parked list` shows them.")]
AllOption = Annotated[bool, typer.Option("--all", help="All of them (of the entity, if one is given).")]


@app.command("list")
def list_(
    entity: EntityOption = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List parked records with their errors."""
    if documents := documents_from(config):
        of_documents.list_rejected(documents, entity, limit=limit, as_json=as_json)
        return
    found, total = run(_list(settings_from(config), entity, limit))
    if as_json:
        print_json({"records": total[0], "changes": total[1], "parked": [record.as_dict() for record in found]})
        return
    if found:
        headings = ("entity", "key", "tries", "changes", "since", "code", "error")
        print_table(
            headings,
            [
                (r.entity, r.key, r.retry_count, r.changes, f"{r.parked_at:%Y-%m-%d %H:%M}", r.code, r.error)
                for r in found
            ],
        )
    more = f", {len(found)} shown" if len(found) < total[0] else ""
    say(f"{total[0]} records are parked, {total[1]} changes with them{more}" if total[0] else "nothing is parked")


@app.command("retry")
def retry(
    entity: EntityArgument = None,
    keys: KeysArgument = None,
    everything: AllOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try parked records once more; the worker clears what succeeds."""
    _chosen(entity, keys, everything)
    if documents := documents_from(config):
        _report(of_documents.ask(documents, entity, keys or None), "marked to be tried again", keys, as_json)
        return
    count = run(_retry(settings_from(config), entity, keys or None))
    _report(count, "marked to be tried again", keys, as_json)


@app.command("discard")
def discard(
    entity: EntityArgument = None,
    keys: KeysArgument = None,
    everything: AllOption = False,
    yes: YesOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give up parked records: the target keeps what it has of them. A notice stays as their trace."""
    _chosen(entity, keys, everything)
    if documents_from(config):
        of_documents.refuse_discard()
    settings = settings_from(config)
    what = f"{len(keys)} records of {entity}" if keys else f"everything parked{f' of {entity}' if entity else ''}"
    confirm(f"Give up {what}? The target will not be equal to the source there.", yes=yes)
    count = run(_discard(settings, entity, keys or None))
    _report(count, "discarded", keys, as_json)


def _chosen(entity: str | None, keys: Sequence[str] | None, everything: bool) -> None:
    if not everything and not (entity and keys):
        raise SynclineError("which records?", hint="name ENTITY KEY…, or ENTITY --all, or --all")
    if everything and keys:
        raise SynclineError("--all and keys contradict each other", hint="leave one of them out")


def _report(count: int, done: str, keys: Sequence[str] | None, as_json: bool) -> None:
    if as_json:
        print_json({"records": count})
    else:
        say(f"{count} records {done}")
    if keys and count < len(keys):
        raise SynclineError(f"{len(keys) - count} of these keys are not parked", hint="see `syncline parked list`")


async def _list(settings: Settings, entity: str | None, limit: int) -> tuple[list[ParkedRecord], tuple[int, int]]:
    from syncline.insight import parked as records
    from syncline.insight import reach

    async with reach.source(settings.source, purpose="parked") as source:
        await records.require_entity(source, entity)
        return (
            await records.list_parked(source, entity=entity, limit=limit),
            await records.count_parked(source, entity=entity),
        )


async def _retry(settings: Settings, entity: str | None, keys: Sequence[str] | None) -> int:
    from syncline.insight import parked as records
    from syncline.insight import reach

    async with reach.source(settings.source, purpose="parked") as source:
        await records.require_entity(source, entity)
        return await records.retry_parked(source, entity=entity, keys=keys)


async def _discard(settings: Settings, entity: str | None, keys: Sequence[str] | None) -> int:
    from syncline.insight import parked as records
    from syncline.insight import reach

    async with reach.source(settings.source, purpose="parked") as source:
        await records.require_entity(source, entity)
        return await records.discard_parked(source, entity=entity, keys=keys)
