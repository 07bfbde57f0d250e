"""How far a document is on the other side."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SyncStatus(StrEnum):
    """The three states of a document; compared with texts they are those of the column ``sync_status``."""

    SYNCED = "SYNCED"
    """PostgreSQL has it as MongoDB has it."""
    PENDING = "PENDING"
    """It will be there, or its next attempt is not due yet."""
    FAILED = "FAILED"
    """PostgreSQL, or the mapping, did not take it, as often as it was tried; see ``retry_failed``."""


@dataclass(frozen=True, slots=True)
class SyncMetadata:
    """What is known of a document's rows."""

    sync_status: SyncStatus
    sync_error: str | None = None
    last_sync_at: datetime | None = None
    """When its rows were written last. None: there are none, or PostgreSQL does not answer."""
    attempts: int = 0
    """How often it was rejected, as it is now."""
