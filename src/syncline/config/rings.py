"""Links that come back to where they began: a change would go round in them for ever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from syncline.config.problems import Problem
from syncline.config.settings import Settings
from syncline.config.urls import place_of
from syncline.model.link import Link

Table = tuple[str, str, str]
"""Server, database, name."""


@dataclass(frozen=True, slots=True)
class _Way:
    link: Link
    entity: str
    of: Table
    to: Table


def rings(settings: Sequence[Settings]) -> Iterator[Problem]:
    """Find a ring that is not a way and its way back: only those pass over what the other writes."""
    ways = [way for one in settings if one.target.in_postgresql for way in _ways(one)]
    for way in reversed(ways):  # the links above it were there before
        if _comes_back(way, ways):
            link = way.link
            yield Problem(
                (*(("links", link.name) if link.name else ()), "entities", way.entity),
                f"what {link} writes to {way.to[2]} of {way.to[1]} comes back to {way.of[2]} of {way.of[1]}, "
                "its source: a change would go round for ever",
                'if it is the way back of another link, say so: reverse_of = "NAME"; else take this entity out',
            )
            return


def _ways(one: Settings) -> Iterator[_Way]:
    source, target = place_of(one.source.url), place_of(one.target.url)
    for entity in one.entities:
        yield _Way(one.link, entity.name, (*source, str(entity.table)), (*target, entity.collection))


def _comes_back(way: _Way, ways: Sequence[_Way]) -> bool:
    """Follow what is written through every link but its way back, which does not take it up."""
    others = [other for other in ways if way.link.reverse is None or other.link.name != way.link.reverse]
    reached, before = {way.to}, 0
    while len(reached) > before:
        before = len(reached)
        reached |= {other.to for other in others if other.of in reached}
    return way.of in reached
