"""What an update becomes, so that the same single write marks: pure functions of statements.

Operators cannot go through a pipeline: they add 1 to the version and set the mark beside the user's own. A pipeline, a
replacement and a delete are pipelines that draw the version from the server's clock.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from bson import Decimal128, Int64, ObjectId, Timestamp

from syncline.capture.documents.expressions import without_ours
from syncline.capture.documents.field import (
    DELETED,
    FIELD,
    LOGGED,
    MARK,
    VERSION,
    drawn,
    numbered,
    refuse_ours,
    undrawn,
)

Pipeline = list[dict[str, Any]]


def marked_update(update: Any) -> Any:
    """Mark what operators or a pipeline change."""
    return _marked_pipeline(update) if isinstance(update, list | tuple) else _marked_operators(update)


def _marked_operators(update: Mapping[str, Any]) -> dict[str, Any]:
    for operator, fields in update.items():
        for path, value in fields.items() if isinstance(fields, Mapping) else ():
            refuse_ours(path)
            if operator == "$rename":
                refuse_ours(value)
    if not all(isinstance(update.get(operator, {}), Mapping) for operator in ("$set", "$inc")):
        return dict(update)  # the server refuses it
    return {
        **update,
        "$set": {**update.get("$set", {}), MARK: ObjectId(), **_number()},
        "$inc": {**update.get("$inc", {}), VERSION: Int64(1)},
    }


def _number() -> dict[str, Any]:
    return {f"{FIELD}.{name}": number for name, number in numbered().items()}


def _marked_pipeline(stages: Sequence[Mapping[str, Any]]) -> Pipeline:
    return [*(_stage(stage) for stage in stages), {"$set": {FIELD: drawn()}}]


def _stage(stage: Mapping[str, Any]) -> dict[str, Any]:
    made = {}
    for name, value in stage.items():
        made[name] = _STAGES[name](value) if name in _STAGES else value  # the server refuses any other
    return made


def _fields(value: Any) -> Any:
    for path in value if isinstance(value, Mapping) else ():
        refuse_ours(path)
    return without_ours(value)


def _unset(value: Any) -> Any:
    for path in value if isinstance(value, list | tuple) else [value]:
        refuse_ours(path)
    return value


def _project(value: Any) -> Any:
    kept = _fields(value)
    return {**kept, FIELD: 1} if isinstance(kept, Mapping) and is_inclusion(kept) else kept


def _replace_with(value: Any) -> dict[str, Any]:
    """Keep our field over a replacement; ``$setField`` refuses what is no document, as the server does."""
    return {"$setField": {"field": FIELD, "input": without_ours(value), "value": f"${FIELD}"}}


def _replace_root(value: Any) -> Any:
    if isinstance(value, Mapping) and "newRoot" in value:
        return {**value, "newRoot": _replace_with(value["newRoot"])}
    return value


_STAGES: Mapping[str, Any] = {
    "$set": _fields,
    "$addFields": _fields,
    "$unset": _unset,
    "$project": _project,
    "$replaceWith": _replace_with,
    "$replaceRoot": _replace_root,
}


def is_inclusion(projection: Mapping[str, Any]) -> bool:
    """Tell whether a projection names what is kept; otherwise all is kept but what it names."""
    others = [value for name, value in projection.items() if name != "_id"]
    kinds = [kind for value in others if (kind := _includes(value)) is not None]
    if kinds:
        return any(kinds)
    if "_id" in projection and _includes(projection["_id"]):
        return True
    operators = {name for value in others for name in value}
    return "$elemMatch" in operators and "$slice" not in operators


def _includes(value: Any) -> bool | None:
    """Tell what a value in a projection says; None: it fits both kinds."""
    if isinstance(value, Decimal128):
        return value.to_decimal() != 0
    if not isinstance(value, Mapping):
        return bool(value) if isinstance(value, bool | int | float) else True
    if "$meta" in value or "$elemMatch" in value or _cuts(value.get("$slice")):
        return None
    if any(name.startswith("$") for name in value):
        return True
    kinds = [_includes(each) for each in value.values()]
    return any(kinds) if kinds else True


def _cuts(slice_: Any) -> bool:
    """Tell a ``$slice`` of ``find``, of numbers, from an expression's."""
    return all(isinstance(one, int | float) for one in (slice_ if isinstance(slice_, list | tuple) else [slice_]))


def replacement(document: Mapping[str, Any], *, mark: ObjectId | None = None) -> Pipeline:
    """Replace a document, or a tombstone, keeping what the version was."""
    ours = {FIELD: drawn(mark=mark) | LOGGED}
    return [{"$replaceWith": {"$mergeObjects": [{"_id": "$_id"}, _body(document), ours]}}]


def merged(
    fields: Mapping[str, Any], *, mark: ObjectId | None = None, noted: Mapping[str, Any] | None = None
) -> Pipeline:
    """Set fields at the top, by their names as they are; the others stay, and what is noted gets one more."""
    ours = drawn(mark=mark) | LOGGED
    if noted is not None:
        ours["log"] = {"$concatArrays": [{"$ifNull": [ours["log"], []]}, [{"$literal": noted}]]}
    return [{"$replaceWith": {"$mergeObjects": ["$$ROOT", _body(fields), {FIELD: ours}]}}]


def only_if(condition: Mapping[str, Any], update: Pipeline) -> Pipeline:
    """Have a replacement leave a document as it is where a condition does not hold.

    Who finds one by its ``_id`` alone needs no plan: a condition beside it costs the server as much as the write.
    """
    return [{"$replaceWith": {"$cond": [condition, update[0]["$replaceWith"], "$$ROOT"]}}]


def _body(document: Mapping[str, Any]) -> dict[str, Any]:
    for name in document:
        refuse_ours(name)
    return {"$literal": {name: _of_now(value) for name, value in document.items()}}


def _of_now(value: Any) -> Any:
    """Do what the server does with an empty timestamp in a document that is replaced, and not in a pipeline."""
    return Timestamp(int(time.time()), 1) if value == Timestamp(0, 0) else value


def tombstone(fields: Mapping[str, Any] | None = None, *, mark: ObjectId | None = None) -> Pipeline:
    """Leave a tombstone until the other side has deleted too; ``fields`` are those of an upsert that follows."""
    ours = {"_id": "$_id", FIELD: drawn(deleted=True, mark=mark) | LOGGED}
    return [{"$replaceWith": {"$mergeObjects": [{"$literal": dict(fields)}, ours]} if fields else ours}]


def inserted(document: Mapping[str, Any]) -> dict[str, Any]:
    """Give a document as it is inserted; the server draws its version when it is taken over."""
    for name in document:
        refuse_ours(name)
    return {**document, FIELD: undrawn()}


def revival(update: Any) -> Any:
    """Turn an upsert's marked update into one of a tombstone that has what the upsert begins with."""
    if isinstance(update, list):
        return [*update, {"$unset": DELETED}]
    revived = {name: fields for name, fields in update.items() if name != "$setOnInsert"}
    revived["$set"] = {**update.get("$setOnInsert", {}), **update["$set"]}
    revived["$unset"] = {**update.get("$unset", {}), DELETED: ""}
    return revived
