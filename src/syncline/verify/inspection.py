"""What verification asks of a target, beyond applying states."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from syncline.model.entity import Entity
from syncline.ports import Document


class Inspection(Protocol):
    """Reads for comparison. Documents travel as BSON, so that the many equal ones are never decoded."""

    async def lane_epochs(self) -> dict[int, int]:
        """Read the highest epoch that each lane has announced."""
        ...

    async def installation(self) -> str | None:
        """Tell whose copy the target is; ``None``: nobody has claimed it yet."""
        ...

    async def read_encoded(self, entity: Entity, ids: Sequence[Any], *, keys_only: bool = False) -> list[bytes]:
        """Read documents by ``_id``, in any order."""
        ...

    async def read_confirmed(self, entity: Entity, ids: Sequence[Any]) -> list[bytes]:
        """Read documents by ``_id`` so that no acknowledged write is missed: from the primary, linearizably."""
        ...

    def walk_ids(self, entity: Entity, *, size: int = 2000) -> AsyncIterator[list[Any]]:
        """Walk every ``_id``, whatever its type."""
        ...

    async def sample_ids(self, entity: Entity, size: int) -> list[Any]:
        """Choose ids at random."""
        ...

    async def release(self, entity: Entity, seen: Mapping[str, Any]) -> bool:
        """Set a document's ticket to zero if it still has the one seen; tell whether it had."""
        ...

    def decode(self, document: bytes) -> Document:
        """Decode a document, whoever wrote it."""
        ...

    def encode(self, document: Document) -> bytes:
        """Encode a document exactly as it is written to the target."""
        ...
