"""Aggregations that see no tombstone and none of our fields, in this collection and in those that they look up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from syncline.capture.documents.field import FIELD, LIVE, refuse_ours
from syncline.capture.documents.filters import asks_text, live
from syncline.errors import UnmarkableError

Stage = dict[str, Any]

HIDDEN: tuple[Stage, ...] = ({"$match": dict(LIVE)}, {"$unset": FIELD})
_WRITES = frozenset({"$out", "$merge"})
_OF_NO_DOCUMENTS = frozenset({"$collStats", "$indexStats", "$planCacheStats", "$listSessions", "$documents"})
_CHOOSE = frozenset({"$match", "$sort", "$limit", "$skip"})
_FIRST = frozenset({"$geoNear", "$search", "$vectorSearch", "$searchMeta"})


def hidden(pipeline: Sequence[Mapping[str, Any]]) -> list[Stage]:
    """Hide ours before the user's first stage, or behind it where it must be the first.

    Raises:
        UnmarkableError: the pipeline writes.

    """
    stages = _inner(pipeline)
    if not stages:
        return list(HIDDEN)
    first, name = stages[0], next(iter(stages[0]), "")
    if name in _OF_NO_DOCUMENTS:
        return stages
    if name == "$geoNear":
        near = {**first[name], "query": live(first[name].get("query"))}
        return [{name: near}, HIDDEN[1], *stages[1:]]
    if name in _FIRST:
        return [first, *HIDDEN, *stages[1:]]
    if name == "$match" and asks_text(first[name]):
        return [{name: live(first[name])}, HIDDEN[1], *stages[1:]]
    early = [*_early(stages)]
    return [HIDDEN[0], *early, HIDDEN[1], *stages[len(early) :]]


def _early(stages: Sequence[Stage]) -> Iterator[Stage]:
    """Give the first stages that choose and sort: behind the one that takes our field away no index serves a sort."""
    for stage in stages:
        name, value = next(iter(stage.items()), ("", None))
        if len(stage) > 1 or name not in _CHOOSE:
            return
        yield _choice(name, value) if isinstance(value, Mapping) else stage


def _choice(name: str, value: Mapping[str, Any]) -> Stage:
    if name == "$match":
        return {name: live(value)}
    for path in value:
        refuse_ours(path)
    return {name: value}


def _inner(pipeline: Any) -> list[Stage]:
    """Hide ours in what stages read of other collections; they may be marked, too."""
    made: list[Stage] = []
    for stage in pipeline or ():
        made.append(_within(stage))
        if "$graphLookup" in stage:  # it has no pipeline of its own
            into = stage["$graphLookup"]["as"]
            each = {"$unsetField": {"field": FIELD, "input": "$$this"}}
            made.append({"$set": {into: {"$map": {"input": f"${into}", "in": each}}}})
    return made


def _within(stage: Mapping[str, Any]) -> Stage:
    made: Stage = {}
    for name, value in stage.items():
        if name in _WRITES:
            raise UnmarkableError(
                f"{name} writes documents without marks",
                hint="write them with bulk_write of a wrapped collection; into one of no link: aggregate on `.bare`",
            )
        made[name] = _READS[name](value) if name in _READS and isinstance(value, Mapping | str) else value
    return made


def _lookup(value: Any) -> Any:
    return value if isinstance(value, str) else _with_pipeline(value, "from")


def _union(value: Any) -> Any:
    if isinstance(value, str):
        return {"coll": value, "pipeline": list(HIDDEN)}
    return _with_pipeline(value, "coll")


def _with_pipeline(value: Mapping[str, Any], collection: str) -> Stage:
    given = value.get("pipeline") or ()
    return {**value, "pipeline": hidden(given) if collection in value else _inner(given)}  # else: $documents


def _facet(value: Mapping[str, Any]) -> Stage:
    return {name: _inner(pipeline) for name, pipeline in value.items()}


def _graph(value: Mapping[str, Any]) -> Stage:
    return {**value, "restrictSearchWithMatch": live(value.get("restrictSearchWithMatch"))}


_READS: Mapping[str, Any] = {"$lookup": _lookup, "$unionWith": _union, "$facet": _facet, "$graphLookup": _graph}
