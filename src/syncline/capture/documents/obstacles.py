"""What is in the way of a write that MongoDB refuses as a duplicate: a document, or a tombstone, which gives way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from syncline.capture.documents.field import DELETED, FIELD, TOMBSTONE
from syncline.capture.documents.filters import asks_for
from syncline.capture.documents.programs import Call, Program
from syncline.capture.documents.updates import tombstone
from syncline.capture.documents.validator import INVALID, is_of_gate
from syncline.errors import UnmarkableError

DUPLICATE = 11000
TRIES = 100
"""A try fails only when somebody else has changed the same document since."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A document that was deleted, and has not been deleted on the other side yet."""

    id: Any
    mark: ObjectId | None
    has_fields: bool


def own(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give what our own statements take over from a user's."""
    return {name: options[name] for name in ("session", "comment") if options.get(name) is not None}


def obstacle(
    refusal: Exception, details: Mapping[str, Any], options: Mapping[str, Any], filter_: Any = None
) -> Program[Tombstone | None]:
    """Find the tombstone in the way; None: there is nothing any more, try again.

    ``filter_`` is an upsert's. Where it asks for just the values of a unique index, somebody else has inserted
    meanwhile, and the next try will match: the server itself tries again then, but not with our condition beside it.

    Raises:
        Exception: ``refusal`` itself, when a document is in the way.

    """
    values, index = details.get("keyValue") or {}, list(details.get("keyPattern") or ())
    raced = filter_ is not None and asks_for(filter_, index)
    if index != ["_id"]:
        if not raced:
            yield from _strip(refusal, values, options)
        return None
    transaction = getattr(options.get("session"), "in_transaction", False)
    found = yield Call("find_one", ({"_id": {"$eq": values.get("_id")}},), {} if transaction else own(options))
    if found is None:
        return None
    ours = found.get(FIELD) or {}
    if not isinstance(ours, Mapping) or "deleted" not in ours:
        if raced and not transaction:
            return None
        raise refusal
    if transaction:
        raise UnmarkableError(
            f"the delete of {found['_id']!r} has not reached the other side yet; a transaction ends at its tombstone",
            hint="run the transaction again when the relay has caught up, or write this document outside of it",
        ) from refusal
    return Tombstone(found["_id"], ours.get("mark"), found.keys() > {"_id", FIELD})


def _strip(refusal: Exception, values: Mapping[str, Any], options: Mapping[str, Any]) -> Program[None]:
    """Take a unique value from a tombstone: an upsert onto it has ended half-way."""
    holders = {path: {"$eq": value} for path, value in values.items() if value is not None}
    if not holders or getattr(options.get("session"), "in_transaction", False):
        raise refusal
    done = yield Call("update_many", ({**holders, **TOMBSTONE}, tombstone()), own(options))
    if not done.matched_count:
        raise refusal


def no_room(error: Any) -> Exception:
    """Explain why a tombstone cannot be written.

    Returns:
        What is to be raised: ``error`` itself, if it has nothing to do with tombstones.

    """
    if error.code == DUPLICATE:
        index = ", ".join(dict((error.details or {}).get("keyPattern") or {}))
        return UnmarkableError(
            f"a second tombstone does not fit into the unique index on {index}: both have no such field",
            hint=f'make the index partial: partialFilterExpression={{"{index}": {{"$exists": True}}}}',
        )
    if error.code == INVALID and not is_of_gate(error):
        return UnmarkableError(
            "the collection's validator refuses a tombstone",
            hint=f'admit tombstones in it: {{"$or": [{{"{DELETED}": true}}, …]}}',
        )
    return error  # type: ignore[no-any-return]
