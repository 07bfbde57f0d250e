"""Change events of a MongoDB's collections, judged: what of them somebody has written who does not mark.

Source: MongoDB's manual, "Change Events" and "Change Streams" (resume tokens, invalidate).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError

from syncline.capture.documents.field import DELETED, FIELD, LOG, MARK, NUMBER, TICKET, VERSION
from syncline.engines.mongo.marked import translated
from syncline.engines.mongo.stored import RAW
from syncline.errors import LostTokenError, SourceError
from syncline.model.strict_bson import AS_STORED, decoded

_LOST = {
    260,  # InvalidResumeToken: of another deployment
    280,  # ChangeStreamFatalError: the token was not found
    286,  # ChangeStreamHistoryLost: the oplog has forgotten it
    136,  # CappedPositionLost: likewise, in the middle of reading
}
_NEVER_AGAIN = "NonResumableChangeStreamError"
_NO_REPLICA_SET = 40573
_TOPS = frozenset({"drop", "rename", "dropDatabase", "invalidate"})
"""After these a collection is not what it was, and MongoDB says nothing of its documents."""


class Kind(StrEnum):
    """What an event asks for."""

    NOTHING = "nothing"
    """It is marked, its mark was cleared, or the way back wrote it: by us, or by who writes through the wrapper."""
    MARK = "mark"
    """Somebody has written who does not mark."""
    TOMBSTONE = "tombstone"
    """It is a tombstone now, of this version."""
    GONE = "gone"
    """There is no such document any more."""
    LOST = "lost"
    """What happened to the documents is not told."""


@dataclass(frozen=True, slots=True)
class Change:
    """An event, judged."""

    kind: Kind
    collection: str = ""
    id: Any = None
    version: int = 0
    """As far as the event tells it."""
    live: bool = False
    """It tells that the document is no tombstone."""


def judged(event: Mapping[str, Any]) -> Change:
    """Judge an event, decoded as it is stored."""
    operation = event["operationType"]
    collection = (event.get("ns") or {}).get("coll", "")
    if operation in _TOPS:
        return Change(Kind.LOST, collection)
    if operation not in {"insert", "update", "replace", "delete"}:
        return Change(Kind.NOTHING, collection)  # an index, a view, a shard key: no document was written
    id_ = event["documentKey"]["_id"]
    if operation == "delete":
        return Change(Kind.GONE, collection, id_)
    if operation == "update":
        return _updated(collection, id_, event.get("updateDescription") or {})
    return _whole(collection, id_, event.get("fullDocument") or {}, replaced=operation == "replace")


def _whole(collection: str, id_: Any, document: Mapping[str, Any], *, replaced: bool) -> Change:
    ours = document.get(FIELD)
    if not isinstance(ours, Mapping):  # without our field the pump finds it by itself
        return Change(Kind.NOTHING, collection, id_, live=True)
    if "deleted" in ours:
        return Change(Kind.TOMBSTONE, collection, id_, _version(ours.get("v")))
    # A replacement may have taken our field along from an older state: its mark is no proof that it is marked.
    marked = "mark" in ours and not replaced
    return Change(Kind.NOTHING if marked else Kind.MARK, collection, id_, live=True)


def _updated(collection: str, id_: Any, description: Mapping[str, Any]) -> Change:
    changed = {path: value for path, value in (description.get("updatedFields") or {}).items() if not _is_noted(path)}
    removed = [path for path in description.get("removedFields") or () if not _is_noted(path)]
    cut = [one for one in description.get("truncatedArrays") or () if not _is_noted(one["field"])]
    ours = changed.get(FIELD)
    whole = ours if isinstance(ours, Mapping) else {}
    version = _version(whole.get("v", changed.get(VERSION)))
    if "deleted" in whole or DELETED in changed:
        return Change(Kind.TOMBSTONE, collection, id_, version)
    live = bool(whole) or not {FIELD, DELETED}.isdisjoint(removed)
    # Who marks draws a version, and so does the way back; without one it was taken along from an older state.
    if "mark" in whole or (VERSION in changed and {MARK, TICKET} & changed.keys()):
        return Change(Kind.NOTHING, collection, id_, version, live)
    # Where a validator wants the number of the gate, whoever clears a mark says it.
    cleared = changed.keys() <= {NUMBER} and set(removed) <= {MARK} and not cut
    return Change(Kind.NOTHING if cleared else Kind.MARK, collection, id_, version, live)


def _is_noted(path: str) -> bool:
    """Tell what is noted of operations: whoever notes one sets a mark, too."""
    return path == LOG or path.startswith(f"{LOG}.")


def _version(value: Any) -> int:
    return int(value) if isinstance(value, int) else 0


class Feed(Protocol):
    """An open stream of events."""

    async def next(self) -> Change | None:
        """Give the next event; ``None``: there is none now.

        Raises:
            LostTokenError: it does not go on.

        """
        ...

    @property
    def token(self) -> Mapping[str, Any] | None:
        """From where to go on, after what was given last; on an idle collection it moves on, too."""
        ...


class MongoFeed:
    """A change stream over the collections of a database."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def next(self) -> Change | None:
        """Give the next event; ``None`` when the server had none for a moment."""
        with telling_lost(), translated():
            event = await self._stream.try_next()
        if event is None:
            return None
        return judged(decoded(bytes(event.raw), AS_STORED))

    @property
    def token(self) -> Mapping[str, Any] | None:
        """The token of the last event, or of the batch behind it."""
        found: Mapping[str, Any] | None = self._stream.resume_token
        return found


@asynccontextmanager
async def opened(
    database: AsyncDatabase[Any], collections: Sequence[str], token: Mapping[str, Any] | None
) -> AsyncIterator[Feed]:
    """Open a stream: behind a token, or from now on.

    Raises:
        LostTokenError: the token is not accepted.
        SourceError: the server has no change streams.

    """
    names: list[Any] = list(collections)
    wanted = {"$or": [{"ns.coll": {"$in": names}}, {"to.coll": {"$in": names}}, {"operationType": "invalidate"},
                      {"operationType": "dropDatabase"}]}  # fmt: skip
    options: dict[str, Any] = {} if token is None else {"resume_after": token}
    with telling_lost(), translated():
        stream = await database.with_options(codec_options=RAW).watch(
            [{"$match": wanted}], max_await_time_ms=500, **options
        )
    try:
        yield MongoFeed(stream)
    finally:
        await stream.close()


class telling_lost:  # noqa: N801  a context manager
    """Turn the errors by which a server says that a stream cannot go on into ``LostTokenError``."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        """Translate."""
        cause = error.__cause__ if isinstance(error, SourceError) else error
        if isinstance(cause, PyMongoError) and is_lost(cause):
            raise LostTokenError(f"the change stream cannot go on: {cause}") from error
        if isinstance(cause, OperationFailure) and cause.code == _NO_REPLICA_SET:
            raise SourceError(
                "this MongoDB has no change streams: it is a standalone",
                hint="take `watch` out of [source], and wrap every writer; or make it a replica set",
            ) from error


def is_lost(error: PyMongoError) -> bool:
    """Tell whether a stream cannot go on behind its token, however often it is tried."""
    code = error.code if isinstance(error, OperationFailure) else None
    return code in _LOST or error.has_error_label(_NEVER_AGAIN)
