"""Settings of a link of a move, found by its name alone: so what works for links works for it, too."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from syncline.config.databases import load_databases
from syncline.config.load import contents
from syncline.config.patterns import LINKS, expanded
from syncline.config.sections import load_sections
from syncline.config.settings import Settings
from syncline.errors import NotMovingError
from syncline.split.moving.ends import ends
from syncline.split.moving.move import read_moving
from syncline.split.moving.naming import PREFIX, back_of, way_of


def settings_of_move(
    config: Path | None, link: str, *, secret: Callable[[str], None] = lambda _: None
) -> Settings | None:
    """Derive the settings of a link of a move; ``None``: no move has such a link, or the file declares one so named.

    Args:
        config: the file.
        link: its name.
        secret: told of each URL that no message may show.

    Raises:
        NotMovingError: the move was not begun.

    """
    if not link.startswith(PREFIX):
        return None
    file, _, _, data = contents(config, os.environ)
    if link in expanded(data, file.parent if file else Path()).data.get(LINKS, {}):
        return None
    configured = load_databases(config)
    for one in configured.databases:
        for place in (one.place, one.direct):
            if place is not None:
                secret(place.url)
    for one in configured.databases:
        if link not in (way_of(one.name), back_of(one.name)):
            continue
        both = ends(configured, one.name)
        for side in (both.sides.source, both.sides.target):
            secret(side.conninfo)
        found = read_moving(both, load_sections(config))
        if found is None:
            raise not_moving(one.name)
        return found.ways.there if link == way_of(one.name) else found.ways.back
    return None


def not_moving(database: str) -> NotMovingError:
    """Say that no move was begun."""
    return NotMovingError(f"the tables of {database} are not moving", hint=f"`syncline split copy {database}` begins")
