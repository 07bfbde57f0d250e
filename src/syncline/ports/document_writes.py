"""What an application writes into documents, and the log of what it intends: for writes that are to be on both sides.

Errors of the drivers never come out of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol

from syncline.errors import SynclineError
from syncline.ports.documents import MarkedDocument, Noted, Standing


class Action(StrEnum):
    """What an application does with a document."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Write:
    """A write of one document, by its key."""

    action: Action
    id: Any
    mark: str
    """Of this write alone; see ``WritableDocuments.new_mark``."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """All of a new document, or what an update sets at its top."""
    over: int | None = None
    """Only while the document has this version, as ``existing`` has read it."""


@dataclass(frozen=True, slots=True)
class Beside:
    """A document of another collection, which a write there puts beside it."""

    collection: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """That one of many writes was done."""

    document: MarkedDocument | None
    """What is there now. None: somebody has written over it since, or carried it to the other side."""


@dataclass(frozen=True, slots=True)
class Existing:
    """A document as it is."""

    version: int
    """Below 0: it has none."""
    fields: Mapping[str, Any]
    """Without ours."""


class IntentEnd(StrEnum):
    """What became of an operation that was begun."""

    OPEN = "open"
    """Nobody has said yet."""
    DONE = "done"
    NOT_DONE = "not done"
    REFUSED = "refused"
    """MongoDB did not take the document."""
    UNKNOWN = "unknown"
    """The process ended on the way, and somebody has written the document since."""


@dataclass(frozen=True, slots=True)
class Intent:
    """An operation that is begun: who does what."""

    mark: str
    """That of the write."""
    actor: str | None
    action: Action
    collection: str
    id: Any
    fields: Sequence[str]
    """The names of what is set."""
    before: Mapping[str, Any] | None = None
    """The document, where its values are kept."""
    after: Mapping[str, Any] | None = None
    """What is set, likewise."""


@dataclass(frozen=True, slots=True)
class OpenIntent:
    """An operation of which nobody has said what became of it."""

    mark: str
    collection: str
    id: Any
    at_version: int
    """A version that was drawn at its begin would be this one: the server's clock."""
    action: Action


class IntentLog(Protocol):
    """The log of operations, where the truth is; errors are those of ``WritableDocuments``."""

    async def begin(self, intents: Sequence[Intent]) -> None:
        """Write operations down before they are done. They are durable when the operations are."""
        ...

    def beginning(self, intent: Intent) -> Beside:
        """Give what ``begin`` would write, by this clock, for ``WritableDocuments.write_behind``."""
        ...

    async def end(self, ends: Mapping[str, tuple[IntentEnd, str | None]]) -> None:
        """Write down, by mark, what became of operations, with the reason; nobody is overruled who knows better."""
        ...

    async def enter(self, collection: str, noted: Sequence[tuple[Any, Noted]], *, done: bool = True) -> None:
        """Write updates down that stand in their documents, each with the document's ``_id``; again, nothing changes.

        Args:
            collection: that of the documents.
            noted: the updates.
            done: otherwise nobody has said yet what became of them.

        """
        ...

    async def open(self, older: timedelta, limit: int) -> Sequence[OpenIntent]:
        """List operations that were begun so long ago, and have no end."""
        ...


class WritableDocuments(Protocol):
    """The side that holds the truth, as a service writes it: each write marks, and is durable when it returns."""

    def new_mark(self) -> str:
        """Draw a mark."""
        ...

    async def write(self, collection: str, write: Write) -> MarkedDocument | None:
        """Write a document.

        Returns:
            What is there now. None: nothing was written, since a document is there already (create), or none is.

        Raises:
            SourceUnavailableError: the database does not answer; it may have written.
            RefusedDocumentError: it does not take this document; nothing is written.

        """
        ...

    async def write_behind(self, collection: str, write: Write, first: Beside) -> bool | None:
        """Insert ``first``, if it is not there, and then write a document, in one command; both durable at its end.

        Returns:
            Whether it was written, as ``write`` tells it. None: it cannot be done so, and nothing is.

        Raises:
            SourceUnavailableError, RefusedDocumentError: as ``write``; ``first`` may be done.

        """
        ...

    async def update_noted(self, collection: str, write: Write, noted: Noted) -> MarkedDocument | None:
        """Update a document, and note the update in it, by one write.

        Returns:
            What is there now. None: there is no such document, or it cannot be done so; nothing is written.

        Raises:
            SourceUnavailableError, RefusedDocumentError: as ``write``.

        """
        ...

    async def noted(self, collection: str, id_: Any) -> Sequence[Noted] | None:
        """Read what is noted in a document; None: there is none."""
        ...

    async def forget_noted(self, collection: str, noted: Sequence[tuple[Any, Noted]]) -> None:
        """Take out of documents what the log of operations has."""
        ...

    async def write_many(self, collection: str, writes: Sequence[Write]) -> Sequence[Written | SynclineError | None]:
        """Write documents of different keys in one bulk write.

        Returns:
            For each what ``write`` would give: an error stands where it would be raised.

        Raises:
            SourceUnavailableError: the database does not answer; it may have written.

        """
        ...

    async def erase(self, collection: str, id_: Any, *, over: int | None = None) -> bool:
        """Delete without a tombstone, where no other side has the document; tell whether there was one.

        One in which something is noted stays.

        Args:
            collection: its name.
            id_: the document's.
            over: only where the document has this version, as with ``Write.over``.

        """
        ...

    async def existing(self, collection: str, id_: Any) -> Existing | None:
        """Read a document; None: there is none."""
        ...

    async def standing(self, collection: str, id_: Any) -> Standing | None:
        """Tell how far a document is on its way. None: there is none, and no tombstone."""
        ...

    async def waiting(self, collection: str, without: AbstractSet[tuple[str, str]]) -> tuple[int, float]:
        """Count the marks that are not among these, and tell for how many seconds the oldest of them is there.

        A mark may be of many documents: each of ``without`` is a mark and what is shown of an ``_id``.
        """
        ...

    async def marked(self, collection: str, ids: Sequence[Any]) -> Sequence[MarkedDocument]:
        """Read those of these documents that are marked, with a drawn version."""
        ...
