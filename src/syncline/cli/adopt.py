"""``syncline adopt``."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.boundary import invocation
from syncline.cli.common import ConfigOption, JsonOption, YesOption, confirm, print_json, run, say, settings_from
from syncline.cli.documents.common import documents_from
from syncline.cli.documents.taking_over import adopt_rows
from syncline.errors import ConfigError

if TYPE_CHECKING:
    from syncline.config import Settings
    from syncline.relay.adoption import Ownership


def adopt(
    config: ConfigOption = None,
    restored: Annotated[
        bool,
        typer.Option("--restored", help="A side of a document link was restored: have every document written anew."),
    ] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take over a target that was another source's copy: everything is written anew, what is foreign removed.

    For a source that was moved: dumped and restored, upgraded with pg_upgrade, copied on purpose. The other source's
    workers end at their next renewal. Records of the target that this source does not have are deleted.

    Where the file declares collections: also for a PostgreSQL that takes another one's place, and, with --restored,
    after a restore of MongoDB or PostgreSQL. Every document is written anew, rows without a document are deleted.
    """
    if documents := documents_from(config):
        adopt_rows(documents, restored=restored, yes=yes, as_json=as_json)
        return
    if restored:
        raise ConfigError("--restored means nothing where tables are the source", hint="leave it out")
    invocation.get().resume = "`syncline adopt` may be called again: it says how it stands, and goes on"
    run(_adopt(settings_from(config), yes=yes, as_json=as_json))


async def _adopt(settings: Settings, *, yes: bool, as_json: bool) -> None:
    from syncline.engines.opening import open_source
    from syncline.journal.registry import installed
    from syncline.relay.adoption import adopt as take_over
    from syncline.relay.adoption import ownership
    from syncline.wiring.sides import opened_target

    source = await open_source(settings.source.url, worker=str(uuid.uuid4()), wake=False)
    try:
        async with opened_target(settings) as target:
            owner = await ownership(source, target)
            if not as_json:
                say(_described(owner))
            if not owner.settled:
                confirm("Take it over, overwriting and deleting what the other source wrote?", yes=yes)
                entities = [entity.id for entity in (await installed(source.control)).values()]
                await take_over(source, target, entities, owner)
    finally:
        await source.close()
    if as_json:
        print_json({"adopted": not owner.settled, "from": owner.found.system if owner.found else None})
    elif not owner.settled:
        say("taken over; the worker marks every record and sweeps the target", "green")


def _described(owner: Ownership) -> str:
    if owner.found is None:
        return "nobody has written to the target yet: nothing to take over"
    if owner.settled:
        return "the target is this source's already: nothing to take over"
    last = f"{owner.found.system}, last by {owner.found.worker or 'a worker of an older release'}"
    return (
        f"a copy of this source writes to the target too: {owner.contested}"
        if owner.ours
        else f"the target belongs to {last}"
    )
