"""``syncline status`` where documents are the source."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from syncline.cli.common import out, print_json
from syncline.model.thresholds import Health
from syncline.model.words import counted

if TYPE_CHECKING:
    from syncline.config.documents import Documents
    from syncline.documents.status import CollectionStatus, DocumentStatus
    from syncline.insight.status import Status


async def look(documents: Documents, *, watch: float | None, as_json: bool, view: Callable[[Status], Group]) -> Health:
    """Look, and show what there is to see: once, or again and again."""
    from syncline.documents.status import DocumentHealth

    health = DocumentHealth(documents)
    try:
        if not watch:
            found = await health.read_all()
            print_json(found.as_dict()) if as_json else out.print(_shown(found, view), soft_wrap=False)
            return found.whole.health
        with Live(console=out, auto_refresh=False, screen=False) as live:
            while True:
                found = await health.read_all()
                print_json(found.as_dict()) if as_json else live.update(_shown(found, view), refresh=True)
                await asyncio.sleep(max(watch, 0.2))
    finally:
        await health.close()


def _shown(found: DocumentStatus, view: Callable[[Status], Group]) -> Group:
    lines = (Padding(line, (0, 0, 0, 2), expand=False) for line in _lines(found.collections))
    return Group(view(found.whole), *lines)


def _lines(collections: Sequence[CollectionStatus]) -> Iterator[Text]:
    for one in collections:
        waiting = f"{counted(one.waiting, 'document')} marked"
        oldest = f", the oldest for {one.oldest_seconds:.0f} s" if one.waiting else ""
        rejected = f", {one.rejected:,} rejected: `syncline parked list`" if one.rejected else ""
        yield Text(f"collection {one.name}: {waiting}{oldest}{rejected}", "yellow" if one.rejected else "")
        if one.back is not None and (one.back.waiting or one.back.parked):
            since = f", the oldest for {one.back.oldest_seconds:.0f} s" if one.back.waiting else ""
            parked = f", {one.back.parked:,} rejected: `syncline parked list`" if one.back.parked else ""
            told = f"collection {one.name}, the way back: {counted(one.back.waiting, 'change')} waiting{since}{parked}"
            yield Text(told, "yellow" if one.back.parked else "")
