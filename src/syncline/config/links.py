"""The links of a file: one without a name, or several as ``[links.NAME]``, each resolved into sections of its own.

``[links.NAME]`` has what a file has for its one link: ``source``, ``target``, ``entities``; and ``worker``,
``history``, ``mapping``, ``verify`` where they differ from the file's. A ``source`` or ``target`` without a URL is
the file's. What a pattern stands for (``syncline.config.patterns``) is here already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from syncline.config.patterns import LINKS
from syncline.config.problems import Path, Problem, suggest
from syncline.config.settings import Settings
from syncline.config.urls import place_of
from syncline.model.link import LONGEST, UNNAMED, Link, problem_of

REVERSE = "reverse_of"
_SHARED = ("worker", "history", "mapping", "verify")
_SIDES = ("source", "target")
_NAMES = ("view_name", "control_collection", "control_schema")
_OWN = (*_SIDES, "entities", *_SHARED, REVERSE)


@dataclass(frozen=True, slots=True)
class Part:
    """What the file says of one link, as a file of one link would say it."""

    link: Link
    data: dict[str, Any]
    own: Mapping[str, Any] = field(default_factory=dict)
    """What ``[links.NAME]`` says itself."""

    def placed(self, problem: Problem) -> Problem:
        """Say where in the file a problem is."""
        path = problem.path
        if not self.link.name or (path and path[0] not in self.own and path[0] not in (*_SIDES, "entities")):
            return problem
        if len(path) > 1 and not _has(self.own, path[:2]) and path[0] in _SIDES:
            return problem if "url" not in self.own.get(path[0], {}) else self._here(problem)
        return self._here(problem)

    def _here(self, problem: Problem) -> Problem:
        path: Path = (LINKS, self.link.name, *problem.path)
        table = f"[{problem.path[0]}" if problem.path else "the file"
        return replace(problem, path=path, what=problem.what.replace(table, f"[{LINKS}.{self.link.name}.{table[1:]}"))


def parts(data: Mapping[str, Any]) -> tuple[list[Part], list[Problem]]:
    """Take the file's links apart; what cannot be taken apart is a problem."""
    tables = data.get(LINKS, {})
    if not isinstance(tables, dict) or not all(isinstance(one, dict) for one in tables.values()):
        return [], [Problem((LINKS,), "links: write a section for each, [links.NAME]")]
    rest = {name: value for name, value in data.items() if name != LINKS}
    if tables and (odd := [side for side in _SIDES if not isinstance(rest.get(side, {}), dict)]):
        return [], [Problem((side,), f"{side}: write a section, [{side}]") for side in odd]
    found = [] if tables and not rest.get("entities") else [Part(UNNAMED, rest)]
    wrong = [problem for name, own in tables.items() for problem in _problems(name, own, tables)]
    if wrong:
        return [], wrong
    reverses = _reverses(tables)
    for name, own in tables.items():
        link = Link(name, reverses.get(name))
        found.append(Part(link, _resolved(rest, own, link), own))
    return found, []


def _problems(name: str, own: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    path: Path = (LINKS, name)
    if what := problem_of(name):
        yield Problem(path, what, f"use lower-case letters, digits and _, a letter after each _, at most {LONGEST}")
    for section, value in own.items():
        if section not in _OWN:
            yield Problem((*path, section), f"unknown setting {section!r} in [links.{name}]", suggest(section, _OWN))
        elif section != REVERSE and not isinstance(value, dict):
            yield Problem((*path, section), f"{section} in [links.{name}]: write a section, [links.{name}.{section}]")
    reverse = own.get(REVERSE)
    if reverse is None:
        return
    if not isinstance(reverse, str) or reverse == name or reverse not in tables:
        others = [other for other in tables if other != name]
        yield Problem(
            (*path, REVERSE),
            f"{REVERSE} = {reverse!r}: there is no other link of that name",
            suggest(str(reverse), others, "there is"),
        )
    elif any(one.get(REVERSE) == reverse for other, one in tables.items() if other != name):
        yield Problem((*path, REVERSE), f"two links say {REVERSE} = {reverse!r}", "a way has one way back")
    elif tables[reverse].get(REVERSE) not in (None, name):
        yield Problem((*path, REVERSE), f"{reverse} is the way back of {tables[reverse][REVERSE]}, not of {name}")


def _reverses(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    said = {name: own[REVERSE] for name, own in tables.items() if REVERSE in own}
    return said | {other: name for name, other in said.items()}


def _resolved(rest: Mapping[str, Any], own: Mapping[str, Any], link: Link) -> dict[str, Any]:
    merged = {name: value for name, value in rest.items() if name not in (*_SIDES, "entities")}
    for section in _SHARED:
        merged[section] = _over(rest.get(section, {}), own.get(section, {}))
    for side in _SIDES:
        mine = own.get(side, {})
        merged[side] = dict(mine) if "url" in mine else _over(_without_names(rest.get(side, {})), mine)
    merged["source"].setdefault("view_name", link.view_name)
    merged["target"].setdefault("control_collection", link.control_collection)
    merged["target"].setdefault("control_schema", link.control_schema)
    return merged | {"entities": own.get("entities", {})}


def _without_names(section: Any) -> Any:
    """Leave out what two links cannot share."""
    if not isinstance(section, dict):
        return section
    return {name: value for name, value in section.items() if name not in _NAMES}


def _over(below: Any, above: Mapping[str, Any]) -> Any:
    return {**below, **above} if isinstance(below, dict) else below


def conflicts(settings: Sequence[Settings]) -> Iterator[Problem]:
    """Find what two links would both write, and what only one link without a name can."""
    owners: dict[tuple[str, str, str], tuple[Link, str]] = {}
    views: dict[tuple[str, str, str, str], Link] = {}
    for one in settings:
        place = place_of(one.target.url)[0], one.target.database
        base: Path = (LINKS, one.link.name) if one.link.name else ()
        if one.link.name and one.source.capture == "session":
            yield Problem(
                (*base, "source", "capture"),
                f'[links.{one.link.name}]: capture = "session" is for the link without a name',
                'capture = "triggers" sees what sessions write, too',
            )
        records = one.target.control_schema if one.target.in_postgresql else one.target.control_collection
        used = {entity.collection: entity.name for entity in one.entities} | {records: ""}
        for collection, entity in used.items():
            other = owners.setdefault((*place, collection), (one.link, entity))
            if other[0] != one.link:
                yield _shared(base, one, collection, entity, other[0])
        view = (*place_of(one.source.url), one.source.view_schema, one.source.view_name)
        if one.source.view_schema != "off" and views.setdefault(view, one.link) != one.link:
            yield Problem(
                (*base, "source", "view_name"),
                f"{one.link} and {views[view]} both call their view {one.source.view_name!r}",
                "give one of them another view_name",
            )


def _shared(base: Path, one: Settings, collection: str, entity: str, other: Link) -> Problem:
    if entity:
        path: Path = (*base, "entities", entity)
        what = f"{one.link} and {other} both write to {collection!r} of {one.target.database}"
        return Problem(path, what, "one link owns a collection or table; give one of them another")
    setting = "control_schema" if one.target.in_postgresql else "control_collection"
    what = f"{one.link} and {other} both keep their records in {collection!r} of {one.target.database}"
    return Problem((*base, "target", setting), what, f"give one of them another {setting}")


def _has(table: Mapping[str, Any], path: Sequence[str | int]) -> bool:
    value: Any = table
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True
