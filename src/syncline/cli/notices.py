"""``syncline notices list|resolve``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from syncline.cli.boundary import group
from syncline.cli.common import ConfigOption, JsonOption, print_json, print_table, run, say, settings_from
from syncline.errors import SynclineError
from syncline.model.words import counted

if TYPE_CHECKING:
    from syncline.config import Settings

app = group("What workers noticed and somebody must know.")

STYLES = {"critical": "red", "warning": "yellow"}


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are resolved.")] = False,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List open notices, newest first."""
    from syncline.insight.status import plain

    found = run(_list(settings_from(config), closed=everything, limit=limit))
    if as_json:
        print_json({"notices": plain(found)})
        return
    if not found:
        say("there is no notice" if everything else "no notice is open")
        return
    headings = ("id", "since", "what", "message", "resolved")
    print_table(
        headings,
        [
            (
                n["id"],
                f"{n['at']:%Y-%m-%d %H:%M}",
                Text(n["name"], STYLES.get(n["severity"], "")),
                n["message"],
                f"{n['resolved_at']:%Y-%m-%d %H:%M}" if n["resolved_at"] else "",
            )
            for n in found
        ],
    )


@app.command("resolve")
def resolve(
    ids: Annotated[list[int] | None, typer.Argument(help="Ids, as `notices list` shows them.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are open.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close notices that were dealt with: they alert no more."""
    if bool(ids) is everything:
        raise SynclineError("which notices?", hint="name their ids (`syncline notices list`), or --all")
    closed = run(_resolve(settings_from(config), ids or None))
    if as_json:
        print_json({"resolved": closed})
    else:
        say(f"{counted(len(closed), 'notice')} resolved")
    unknown = sorted({*(ids or ())} - {*closed})
    if unknown:
        raise SynclineError(f"not open: {', '.join(map(str, unknown))}", hint="see `syncline notices list`")


async def _list(settings: Settings, *, closed: bool, limit: int) -> list[dict[str, Any]]:
    from syncline.insight import notices, reach

    async with reach.source(settings.source, purpose="notices") as source:
        return await notices.list_notices(source, closed=closed, limit=limit)


async def _resolve(settings: Settings, ids: Sequence[int] | None) -> list[int]:
    from syncline.insight import notices, reach

    async with reach.source(settings.source, purpose="notices") as source:
        return await notices.resolve_notices(source, ids)
