"""``syncline explain ENTITY KEY``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.pretty import Pretty
from rich.text import Text

from syncline.cli.common import (
    ConfigOption,
    JsonOption,
    declared,
    out,
    print_json,
    print_table,
    run,
    say,
    settings_from,
)
from syncline.cli.documents.common import documents_from
from syncline.cli.documents.explain import explain_document

if TYPE_CHECKING:
    from syncline.config import Settings
    from syncline.insight.explain import Explanation

CONTEXT = {"ignore_unknown_options": True}
"""A key may begin with a minus."""


def explain(
    entity: Annotated[str, typer.Argument(help="The entity's name.")],
    key: Annotated[str, typer.Argument(help='The key: 5, "1,x" or ["1", "x"].')],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    events: Annotated[int, typer.Option(help="How many events of its history.", min=0, max=1000)] = 10,
) -> None:
    """Show everything that is known of one record, on both sides, and what it waits for.

    Where the file declares collections: COLLECTION ID, an ObjectId by its characters, another _id as JSON.
    """
    if documents := documents_from(config):
        explain_document(documents, entity, key, as_json=as_json)
        return
    found = run(_find(settings_from(config), entity, key, events))
    if as_json:
        print_json(found.as_dict())
    else:
        _print(found)


async def _find(settings: Settings, name: str, key: str, events: int) -> Explanation:
    from syncline.insight import reach
    from syncline.one_record import explain_record
    from syncline.wiring.sides import opened_target

    entity = declared(settings, name)
    async with reach.source(settings.source, purpose="explain") as source, opened_target(settings) as target:
        return await explain_record(settings, source, target, entity, key, events=events)


def _print(e: Explanation) -> None:
    say(f"{e.entity} {e.key}", "bold")
    say(e.verdict)
    out.print()
    _value(f"row of {e.table}", e.row if e.row is not None else "none")
    if e.row is not None and not e.included:
        say("  outside of the entity's filter: absent for the target", "yellow")
    _value(f"{e.record} of {e.collection}", e.target_error or (e.document if e.document is not None else "none"))
    if e.differences:
        unlike = [[one["field"], str(one["source"]), str(one["target"])] for one in e.differences]
        print_table(["field", "row", e.record], unlike, title="different")
    if e.ticket:
        say(f"  ticket: epoch {e.ticket['epoch']}, batch {e.ticket['batch']}")
    say(f"lane {e.lane['lane']}, epoch {e.lane['epoch']}, owner {e.lane['owner'] or 'none'}")
    if e.parked:
        say(f"parked: {e.parked['code']}: {e.parked['error']} ({e.parked['changes']} changes)", "red")
    for title, rows in (("waiting", e.pending), ("deleted again at", e.deferred), ("applied", e.history)):
        if rows:
            print_table(list(rows[0]), [list(row.values()) for row in rows], title=title)


def _value(title: str, value: Any) -> None:
    out.print(Text(f"{title}: "), value if isinstance(value, str) else Pretty(value), sep="", markup=False)
