"""What verification asks of a target, beyond applying states."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from syncline.model.entity import Entity
from syncline.ports.digests import TargetDigests
from syncline.ports.records import Plan
from syncline.ports.target import Beat, Document

Place = tuple[Any] | None
"""An ``_id`` as a bound of a range, the lower one included, the upper one not; ``None``: there is no bound."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as the target has it."""

    id: Any
    encoded: bytes
    """Its bytes and what tells one write from another: equal in two looks only if nothing wrote it between them."""
    document: Document


class Documents(Protocol):
    """Reads of many documents. They travel encoded, so that the many equal ones are never decoded."""

    async def read_encoded(self, entity: Entity, ids: Sequence[Any], *, keys_only: bool = False) -> list[bytes]:
        """Read documents by ``_id``, in any order."""
        ...

    def read_between(self, entity: Entity, first: Place, end: Place, *, size: int) -> AsyncIterator[list[bytes]]:
        """Read the documents of a part of the ``_id``s' order, whatever their types, in batches of about ``size``."""
        ...

    def ids_between(self, entity: Entity, first: Place, end: Place, *, size: int) -> AsyncIterator[list[Any]]:
        """Read the ``_id``s of a part of their order, by the index alone; UUIDs as ``Binary``."""
        ...

    def decode(self, document: bytes) -> Document:
        """Decode a document, whoever wrote it."""
        ...

    def encode(self, document: Document) -> bytes:
        """Encode a document exactly as it is written to the target."""
        ...


class Inspection(Protocol):
    """Reads for comparison; a target has ``documents`` or ``digests`` for first looks."""

    @property
    def documents(self) -> Documents | None:
        """Reads of many documents."""
        ...

    @property
    def digests(self) -> TargetDigests | None:
        """Sums that the target computes."""
        ...

    @property
    def has_tickets(self) -> bool:
        """Whether a record shows under which ticket it was written."""
        ...

    async def lane_epochs(self) -> dict[int, int]:
        """Read the highest epoch that each lane has announced."""
        ...

    async def owner(self) -> Beat | None:
        """Tell whose copy the target is; ``None``: nobody has claimed it yet."""
        ...

    async def confirmed(self, plan: Plan, ids: Sequence[Any]) -> list[Stored]:
        """Read records by key so that no acknowledged write is missed: from the primary, linearizably."""
        ...

    def walk_ids(self, entity: Entity, *, size: int = 2000, after: Place = None) -> AsyncIterator[list[Any]]:
        """Walk every key, whatever its type, or those after one."""
        ...

    async def sample_ids(self, entity: Entity, size: int) -> list[Any]:
        """Choose keys at random."""
        ...

    async def release(self, entity: Entity, seen: Sequence[Mapping[str, Any]]) -> list[bool]:
        """Set the ticket of each document to zero if it still has the one seen; tell of each whether it had."""
        ...
