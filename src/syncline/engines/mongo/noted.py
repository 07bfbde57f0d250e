"""Updates that are noted in their documents, by the write that does them, until the log of operations has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId

from syncline.capture.documents.field import LOG
from syncline.engines.mongo.stored import sent
from syncline.ports.documents import Noted

MOST = 64
"""So many are noted in a document; who finds as many there writes his into the log first."""
ROOM: Mapping[str, Any] = {"$lt": [{"$size": {"$ifNull": [f"${LOG}", []]}}, MOST]}
"""There are fewer: an expression."""


def entry(noted: Noted) -> dict[str, Any]:
    """Give what a document has of an update; the rest is the document's."""
    return {"id": ObjectId(noted.mark), "actor": noted.actor, "fields": list(noted.fields), "at": noted.at}


def noted_in(ours: Mapping[str, Any]) -> tuple[Noted, ...]:
    """Read the updates out of our field; what somebody else has put there is none."""
    entries = ours.get("log")
    if type(entries) is not list:
        return ()
    return tuple(
        Noted(str(one["id"]), one["actor"], one["fields"], one["at"])
        for one in entries
        if type(one) is dict and {"id", "actor", "fields", "at"} <= one.keys() and type(one["id"]) is ObjectId
    )


def taken_out(noted: Sequence[tuple[Any, Noted]]) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
    """Find documents, and take these updates out of them; our field has no empty list."""
    marks = [ObjectId(one.mark) for _, one in noted]
    others = {"$filter": {"input": f"${LOG}", "cond": {"$not": [{"$in": ["$$this.id", marks]}]}}}
    left = {"$let": {"vars": {"left": others}, "in": {"$cond": [{"$eq": ["$$left", []]}, "$$REMOVE", "$$left"]}}}
    return sent({"_id": {"$in": [id_ for id_, _ in noted]}, LOG: {"$type": "array"}}), [{"$set": {LOG: left}}]
