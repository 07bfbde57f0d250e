"""The links of a move, there and back: settings such as a file would give them, derived from what moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from syncline.config.sections import SharedSections
from syncline.config.settings import Settings, SourceSettings, TargetSettings
from syncline.config.urls import database_of
from syncline.model.link import Link
from syncline.split.address import Address
from syncline.split.moving.ends import Ends
from syncline.split.moving.naming import back_of, way_of
from syncline.split.moving.tables import MovingTable


@dataclass(frozen=True, slots=True)
class Ways:
    """Both links of a move."""

    there: Settings
    back: Settings

    def from_(self, side: str, home: str) -> Settings:
        """Give the one that carries what is written on a side."""
        return self.there if side == home else self.back


def ways(ends: Ends, tables: Sequence[MovingTable], sections: SharedSections) -> Ways:
    """Derive both: each passes over what the other one writes."""
    there, back = way_of(ends.database), back_of(ends.database)
    home, goal = ends.sides.source, ends.sides.target
    return Ways(
        _settings(Link(there, back), (ends.home, home), (ends.database, goal), tables, sections),
        _settings(Link(back, there), (ends.database, goal), (ends.home, home), tables, sections),
    )


def url_of(address: Address) -> str:
    """Write a side as a URL, with what else libpq is to know."""
    more = [f"{quote(name)}={quote(value)}" for name, value in address.parameters if name != "connect_timeout"]
    if not more:
        return address.conninfo
    return f"{address.conninfo}{'&' if '?' in address.conninfo else '?'}{'&'.join(more)}"


def _settings(
    link: Link,
    source: tuple[str, Address],
    target: tuple[str, Address],
    tables: Sequence[MovingTable],
    sections: SharedSections,
) -> Settings:
    here, there = url_of(source[1]), url_of(target[1])
    return Settings(
        source=SourceSettings(url=here, name=source[0], view_schema="off", view_name=link.view_name).of_link(link),
        target=TargetSettings(
            url=there, name=target[0], database=database_of(there), control_schema=link.control_schema
        ),
        worker=sections.worker,
        history=sections.history,
        mapping=sections.mapping,
        log=sections.log,
        verify=sections.verify,
        entities=tuple(one.as_entity() for one in tables),
    )
