"""Our own records in the target: lanes, the heartbeat of the source. Somebody may have edited them: each is judged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from syncline.errors import DamagedRecordError
from syncline.model.mark import MAX_EPOCH
from syncline.model.strict_bson import Odd, Repeated, decoded
from syncline.ports import Beat

SOURCE = "source"
LANES = {"$or": [{"_id": {"$gte": "lane/", "$lt": "lane0"}}, {"lane": {"$exists": True}}]}
"""What is a lane's record, or passes for one."""
MAX_COUNT = 1 << 62
"""Far above what a renewal every second counts to, and small enough to be counted on from."""
_NAMED = 3
"""Damaged records that are named in one message."""
_LANE = "a worker then takes the target for a restored one, and has every record written again"
_SOURCE = (
    "a worker of the source whose copy this is then has every record written again (a worker of another source takes "
    "the target for its own: be sure which one is pointed at it)"
)


def lane_epochs(records: Iterable[bytes], collection: str) -> dict[int, int]:
    """Read the lanes' records.

    Raises:
        DamagedRecordError: one of them says nothing that an epoch could be taken from.

    """
    epochs: dict[int, int] = {}
    damaged: list[tuple[Any, str]] = []
    for record in map(decoded, records):
        lane, epoch = record.get("lane"), record.get("epoch")
        if why := _lane_problem(record["_id"], lane) or _number_problem(record, "epoch", MAX_EPOCH):
            damaged.append((record["_id"], why))
        elif lane is not None and epoch is not None:
            epochs[int(lane)] = int(epoch)
    if damaged:
        raise _error(collection, damaged, _LANE)
    return epochs


def beat_of(record: bytes | None, collection: str) -> Beat | None:
    """Read the heartbeat record.

    Raises:
        DamagedRecordError: it does not say whose copy the target is.

    """
    if record is None:
        return None
    found = decoded(record)
    why = _number_problem(found, "count", MAX_COUNT)
    for name in ("installation", "system"):
        why = why or _text_problem(found, name, required=True)
    for name in ("timeline", "nonce", "worker"):  # older releases left them out
        why = why or _text_problem(found, name)
    if why:
        raise _error(collection, [(SOURCE, why)], _SOURCE)
    said = {name: found.get(name, "") for name in ("timeline", "nonce", "worker")}
    return Beat(found["installation"], found["system"], int(found["count"]), **said)


def replacement(beat: Beat, record: Mapping[str, Any], *, over: str | None) -> list[Mapping[str, Any]]:
    """Make the update that stores a beat: where there is none, where its own is lower, or where another may go.

    What does not say whose it is stays as it is, to be judged.
    """
    nothing = {"$eq": ["$$ROOT", {"_id": SOURCE}]}
    higher = {"$and": [{"$eq": ["$installation", beat.installation]}, {"$gt": ["$count", beat.count]}]}
    ours = {"$in": ["$system", [beat.system, over]]}
    known = {"$and": [{"$isNumber": "$count"}, {"$eq": [{"$type": "$installation"}, "string"]}]}
    goes = {"$or": [nothing, {"$and": [ours, known, {"$not": higher}]}]}
    return [{"$replaceWith": {"$cond": [goes, {"$literal": record}, "$$ROOT"]}}]


def _lane_problem(id_: Any, lane: Any) -> str | None:
    if _is_whole(lane) and id_ == f"lane/{int(lane)}":
        return None
    if isinstance(id_, str) and id_.startswith("lane/"):
        return _said("lane", lane, "not the lane that its _id names")
    return "it has a lane, but is no record of ours"


def _number_problem(record: Mapping[str, Any], name: str, most: int) -> str | None:
    value = record.get(name)
    if _is_whole(value) and 0 <= value <= most:
        return None
    return _said(name, value, f"not a whole number from 0 to {most}")


def _text_problem(record: Mapping[str, Any], name: str, *, required: bool = False) -> str | None:
    value = record.get(name)
    if isinstance(value, str) and (value or not required):
        return None
    return None if name not in record and not required else _said(name, value, "not a text")


def _is_whole(value: Any) -> TypeGuard[int | float]:
    """Say whether it is a whole number, also one that a shell has written as a double."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


def _said(name: str, value: Any, wanted: str) -> str:
    if value is None:
        return f"it has no {name}"
    shown = repr(value) if isinstance(value, (Odd, Repeated)) else f"{value!r:.60}"
    return f"{name} is {shown}, {wanted}"


def _error(collection: str, damaged: list[tuple[Any, str]], then: str) -> DamagedRecordError:
    named = [f"{_shown(id_)} is damaged: {why}" for id_, why in damaged[:_NAMED]]
    more = [f"and {len(damaged) - _NAMED} more"] if len(damaged) > _NAMED else []
    ids = ", ".join(_shown(id_) for id_, _ in damaged[:_NAMED])
    name = collection.partition(".")[2]
    remove = f"db.getCollection({json.dumps(name)}).deleteMany({{_id: {{$in: [{ids}]}}}})"
    return DamagedRecordError(
        f"in the target, {collection}: the record {'; '.join([*named, *more])}",
        hint=f"put it back as it was, or remove it: {remove}; {then}",
    )


def _shown(id_: Any) -> str:
    """Write an ``_id`` as mongosh takes it, where that is simple."""
    return json.dumps(id_) if isinstance(id_, str) else repr(id_)
