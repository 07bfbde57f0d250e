"""What of a collection is not ready to be a source, each with what to do; as a program, for both kinds of clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from syncline.capture.documents.field import DELETED, FIELD, VERSION
from syncline.capture.documents.indexes import MARKS, UNMARKED, admits_tombstones, expires
from syncline.capture.documents.programs import Call, Program
from syncline.capture.documents.validator import validator_in

_CHARACTERS = "^[0-9a-f]{24}$"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What is in the way."""

    what: str
    fix: str = ""
    """What to do, where a few words say it."""
    grave: bool = False
    """The collection cannot be a source."""
    unprepared: bool = False
    """It is an index of marks that is missing: an installation makes it."""

    def __str__(self) -> str:
        """Say it in one sentence."""
        return f"{self.what}; {self.fix}" if self.fix else self.what


def examined(*, typed_ids: bool = True) -> Program[list[str]]:
    """Say what ``obstacles`` finds."""
    found = yield from obstacles(typed_ids=typed_ids)
    return [str(one) for one in found]


def obstacles(*, typed_ids: bool = True) -> Program[list[Obstacle]]:
    """Look at indexes, the validator and the keys; an empty list: all is well.

    ``typed_ids`` also reads every ``_id`` that is text, by the index, and looks for a field of ours that others wrote.
    """
    indexes = yield Call("index_information", ())
    options = yield Call("options", ())
    problems = [*_of_indexes(indexes), *_of_options(options)]
    if typed_ids:
        text = {"_id": {"$type": "string", "$regex": _CHARACTERS}, DELETED: {"$exists": False}}
        looks = yield Call("find_one", (text, {"_id": 1}))
        objects = yield Call("find_one", ({"_id": {"$type": "objectId"}}, {"_id": 1}))
        foreign = yield Call(
            "find_one", ({FIELD: {"$exists": True}, VERSION: {"$not": {"$type": "number"}}}, {"_id": 1})
        )
        if foreign:
            what = f"the document {foreign['_id']!r} has a field {FIELD} that is not Syncline's"
            problems.append(Obstacle(what, "give it another name", grave=True))
        if looks and objects:
            what = f"some _id are ObjectIds, and {looks['_id']!r} is the text of one: two keys, one where ids are text"
            problems.append(Obstacle(what, 'declare `id = "any"`'))
    return problems


def _of_indexes(indexes: Mapping[str, Any]) -> Iterator[Obstacle]:
    for name, index in indexes.items():
        fields = [field for field, _ in index["key"]]
        if expires(index):
            yield Obstacle(
                f"by the index {name} MongoDB deletes documents itself, and marks nothing: rows stay until a sweep"
            )
        if not admits_tombstones(fields, index):
            yield Obstacle(
                f"the unique index {name} takes one tombstone only",
                f'make it anew with partialFilterExpression={{"{fields[0]}": {{"$exists": True}}}}',
            )
    for ours in (MARKS, UNMARKED):
        if ours["name"] not in indexes:
            yield Obstacle(f"the index {ours['name']} is missing", "call prepare_marks()", unprepared=True)


def _of_options(options: Mapping[str, Any]) -> Iterator[Obstacle]:
    for kind in ("timeseries", "capped", "viewOn"):
        if options.get(kind):
            yield Obstacle(f"it is no plain collection ({kind}): its documents cannot be marked", grave=True)
    validator = validator_in(options).rule
    if validator and not _admits(validator):
        yield Obstacle("the validator may refuse tombstones", f'admit them: {{"$or": [{{"{DELETED}": true}}, …]}}')
    schema = validator.get("$jsonSchema") or {}
    if schema.get("additionalProperties") is False and FIELD not in schema.get("properties", {}):
        yield Obstacle(f"the validator's schema knows no {FIELD}, and forbids what it does not know")


def _admits(validator: Mapping[str, Any]) -> bool:
    return any(isinstance(one, Mapping) and DELETED in one for one in validator.get("$or", ()))
