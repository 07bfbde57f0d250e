"""Documents as a source: who has marked documents, who keeps their rows, and what became of each.

A version belongs to a key for ever, a mark to one write. Several carriers may work at once: a carrier may stop after
any call, and any call may come late or twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from syncline.model.strict_bson import encoded


@dataclass(frozen=True, slots=True)
class Noted:
    """An update that was done, as its document has it until it is in the log of operations."""

    mark: str
    actor: str | None
    fields: Sequence[str]
    """The names of what was set."""
    at: datetime


@dataclass(frozen=True, slots=True)
class MarkedDocument:
    """A document that the other side may lack, as it was read."""

    id: Any
    """As ``model.strict_bson`` decodes it."""
    mark: str
    version: int
    deleted: bool
    stored: bytes = b""
    """The document as it is stored, without our field; empty where ``fields`` says all of it."""
    fields: dict[str, Any] | None = field(default=None, repr=False)
    """The document as the driver decodes it, where encoding it again gives what is stored."""
    noted: tuple[Noted, ...] = ()
    """What the log of operations may lack: it goes with the mark."""

    @property
    def body(self) -> bytes:
        """Give the document as it is stored, without our field."""
        return self.stored if self.fields is None else encoded(self.fields)


class Fate(StrEnum):
    """What became of a document on the other side."""

    APPLIED = "applied"
    """Its rows are written or deleted, now or before."""
    REFUSED = "refused"
    """There is a version as high, of another write."""
    REJECTED = "rejected"
    """It cannot become rows, or the database does not take them; nothing of it is written."""
    LATE = "late"
    """The link has another number since the document was read; nothing is written."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one."""

    document: MarkedDocument
    fate: Fate
    version: int = 0
    """Of what refused it."""
    reason: str = ""
    attempts: int = 0
    """How often this write has been rejected."""
    given_up: bool = False
    """It is tried again only when somebody asks, or the document is written anew; now and then, if it ``waits``."""
    waits: bool = False
    """Another row is in its way, or missing, which may be on its way itself."""
    already: bool = False
    """Somebody else had applied this very write."""


class MarkedDocuments(Protocol):
    """The side that holds the truth."""

    def pages(self, collection: str, size: int) -> AsyncIterator[Sequence[MarkedDocument]]:
        """Read marked documents in the order of their marks; those without a drawn version get one first.

        A page is read when it is asked for, and none is ahead of it: the link's number is read before.

        Raises:
            SourceUnavailableError: the database does not answer.
            SourceError: it lacks the indexes of marks.

        """
        ...

    async def first(self, collection: str, size: int) -> Sequence[MarkedDocument]:
        """Read the first marked documents, up to so many, in one question.

        Left to ``pages`` is what has no mark yet, and what came late from before MongoDB was opened again. Whether it
        was is known as ``pages`` has read it last: who writes what this gives does so under a link's number that he has
        read before that; it is another one when MongoDB was opened since.

        Raises:
            SourceUnavailableError, SourceError: as ``pages``.

        """
        ...

    async def clear(self, collection: str, documents: Sequence[MarkedDocument]) -> None:
        """Take the marks away, and tombstones, where the mark is still the one that was read, with what is noted there.

        What is noted in a document was written down before; of which more is noted than was read keeps its mark.
        A tombstone may stay, without its mark; see ``remove_tombstones``.
        """
        ...

    async def remove_tombstones(self, collection: str, ids: Sequence[Any]) -> int:
        """Remove those tombstones of these keys that have stayed, and need not any more; tell how many."""
        ...

    async def raise_above(self, collection: str, refused: Sequence[Outcome]) -> None:
        """Give documents a version above the one that refused them, and a new mark, likewise."""
        ...

    async def mark_all(self, collection: str) -> int:
        """Give every document a new mark and a higher version."""
        ...

    async def mark_carried(self, collection: str) -> int:
        """Give those a new mark and a higher version that another one's rows had: they have a version, and no mark."""
        ...

    async def absent(self, collection: str, ids: Sequence[Any]) -> Sequence[Any]:
        """Give those of these keys, the same objects, that have neither a document nor a tombstone."""
        ...

    async def leave_tombstones(self, collection: str, ids: Sequence[Any]) -> int:
        """Mark tombstones of these keys, and insert one for each that has no document."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """What MongoDB knows of a document's way to the other side."""

    mark: str | None
    """None: it has none."""
    adopted: bool
    """It has our field. One without it was written by somebody who does not know of it, and has no mark yet."""
    deleted: bool
    version: int


@dataclass(frozen=True, slots=True)
class Known:
    """What PostgreSQL knows of a document."""

    written: str | None
    """The mark of the write that its rows are of."""
    rejected: str | None
    """The mark of the write that was rejected last."""
    reason: str | None
    attempts: int | None
    given_up: bool | None
    last_sync_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A document that was rejected, and not written since."""

    collection: str
    mongo_id: str
    reason: str
    attempts: int
    first_at: datetime
    last_at: datetime
    next_at: datetime | None
    given_up: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """How many documents of a collection are rejected."""

    rejected: int = 0
    given_up: int = 0
    """Of these."""
    marks: frozenset[tuple[str, str]] = frozenset()
    """Each with what is shown of its ``_id``."""


class DocumentRows(Protocol):
    """The side that is kept equal."""

    async def number(self) -> int:
        """Read the link's number; before the documents are read that are put under it."""
        ...

    async def renumber(self) -> int:
        """Give the link a number that it never had, when nobody writes under the old one any more."""
        ...

    async def remap(self, collection: str) -> int:
        """Have a collection written under this declaration, and no other, under a new number; all is to be marked then.

        Raises:
            OtherDeclarationError: its tables are not made for it.

        """
        ...

    async def due(self, collection: str, documents: Sequence[MarkedDocument]) -> Sequence[MarkedDocument]:
        """Leave out those that were rejected under their mark, and are not to be tried now, or not again."""
        ...

    async def remarked(self, collection: str) -> None:
        """Note that all is marked since."""
        ...

    async def drop_strangers(self, collection: str) -> int:
        """Delete the rows of keys that no ``_id`` becomes: the declaration before had ids of another type.

        Returns:
            How many keys.

        """
        ...

    def keys(self, collection: str, size: int) -> AsyncIterator[Sequence[Any]]:
        """Walk the keys that have rows, as the ``_id``s that they are of."""
        ...

    def deleted_keys(self, collection: str, size: int) -> AsyncIterator[Sequence[tuple[str, Any, int]]]:
        """Walk the deleted keys whose versions are kept: each as text, as the ``_id`` that it is of, its version."""
        ...

    async def forget(self, collection: str, keys: Mapping[str, int]) -> int:
        """Forget deleted keys, those that still have the version that was read, under a new number.

        Returns:
            How many.

        """
        ...

    async def put(self, collection: str, documents: Sequence[MarkedDocument], number: int) -> Sequence[Outcome]:
        """Write or delete the rows of documents, each only over a lower version, with the version.

        Raises:
            TargetUnavailableError: the database does not answer; each may be written or not.
            OtherDeclarationError: the collection is written under another declaration; nothing is written.

        """
        ...
