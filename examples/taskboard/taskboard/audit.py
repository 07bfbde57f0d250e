"""Who did what."""

from __future__ import annotations

from typing import Any

from bson import ObjectId

from taskboard.repositories import Repositories
from taskboard.security import Caller, now
from taskboard.shown import shown


def audit(
    repositories: Repositories, caller: Caller, action: str, collection: str, id_: ObjectId, changes: Any = None
) -> None:
    """Note what was done; secrets are not noted."""
    entry = {
        "action": action,
        "collection_name": collection,
        "document_id": str(id_),
        "user_id": caller.id,
        "at": now(),
    }
    repositories.audit.create({**entry, "changes": shown(changes or {})})
