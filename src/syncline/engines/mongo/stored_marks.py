"""All documents of a collection whose writes mark, marked or not, in the order of their ``_id``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bson import Int64, ObjectId
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from syncline.capture.documents.field import DRAWN, FIELD, FLOOR, LIVE, MARK, VERSION, drawn, under
from syncline.engines.mongo.errors import RIGHTS
from syncline.engines.mongo.gates import admitted
from syncline.engines.mongo.marked import apart, cut, of_somebody_else, said
from syncline.engines.mongo.marked import translated as of_source
from syncline.engines.mongo.marked_database import MarkedDatabase
from syncline.engines.mongo.stored import DECODED_OR_NOT, RAW, boundary, pages, sent
from syncline.engines.mongo.writes import DURABLE
from syncline.errors import PrivilegeError, SourceUnavailableError, TargetError
from syncline.model.strict_bson import AS_STORED, decoded, id_of
from syncline.ports.documents import MarkedDocument

_KEYS = {"_id": 1, FIELD: 1}
_TRIES = 3
"""So often a page is read again while others write into it who do not know of our field; the pump takes the rest."""


@dataclass(slots=True)
class Page:
    """Some documents that follow each other, without our field; tombstones are left out."""

    last: bytes
    """The ``_id`` of the last one, as a document."""
    count: int = 0
    """How many there are, tombstones and those without a version too."""
    fields: list[dict[str, Any]] = field(default_factory=list)
    """As the driver decodes them, exactly."""
    versions: list[int] = field(default_factory=list)
    """Of each of ``fields``."""
    marks: list[str] = field(default_factory=list)
    """Likewise; empty: it has none."""
    odd: list[MarkedDocument] = field(default_factory=list)
    """Those that the driver does not decode exactly; the mark may be empty."""
    low: list[Any] = field(default_factory=list)
    """The ``_id``s of those whose version is not drawn yet."""
    gone: list[Any] = field(default_factory=list)
    """Those of tombstones."""
    ids: list[Any] = field(default_factory=list)
    """Those of all, in their order."""


class StoredMarks:
    """The documents of a database."""

    def __init__(self, database: AsyncDatabase[Any], *, seconds: float = 30.0) -> None:
        self._database, self._seconds = database, seconds

    def _collection(self, name: str) -> AsyncCollection[Any]:
        return self._database[name].with_options(write_concern=DURABLE)

    async def count(self, collection: str) -> int:
        """Tell how many documents there are, roughly."""
        with translated():
            return await self._database[collection].estimated_document_count()

    async def page(
        self,
        collection: str,
        *,
        after: bytes | None,
        size: int,
        span: tuple[bytes | None, bytes | None] = (None, None),
    ) -> Page | None:
        """Read the documents behind an ``_id``; those whose version is not drawn get one first, and one mark for all.

        Returns:
            ``None``: there is none.

        Raises:
            SourceUnavailableError: the database does not answer.

        """
        page = await self.look(collection, after=after, size=size, span=span)
        for _ in range(_TRIES):
            if page is None or not page.low:
                break
            await self._draw(collection, page.low)
            page = await self.look(collection, after=after, size=size, span=span)
        return page

    async def look(
        self,
        collection: str,
        *,
        after: bytes | None,
        size: int,
        span: tuple[bytes | None, bytes | None] = (None, None),
        keys_only: bool = False,
    ) -> Page | None:
        """Read the documents behind an ``_id`` as they are; ``None``: there is none.

        Args:
            collection: its name.
            after: the ``_id``, as a document; ``None``: from the beginning.
            size: documents of a page, about.
            span: likewise, the ``_id`` that they begin with, and the one before which they end.
            keys_only: read ``_id`` and our field alone.

        """
        passed, (first, end) = after is not None, span
        options: dict[str, Any] = {
            "end": end,
            "size": size,
            "seconds": self._seconds,
            "fields": _KEYS if keys_only else None,
        }
        with translated():
            read = pages(self._database[collection], DECODED_OR_NOT, first=after or first, passed=passed, **options)
            async for found in read:
                return _page(found)
        return None

    async def boundary(
        self, collection: str, *, after: bytes | None, size: int, span: tuple[bytes | None, bytes | None]
    ) -> bytes | None:
        """Give the ``_id``, as a document, before which there are about so many; ``None``: there are no more."""
        first, end = after or span[0], span[1]
        with translated():
            return await boundary(
                self._database[collection],
                first=first,
                end=end,
                size=size + (after is not None),
                seconds=self._seconds,
            )

    async def of(self, collection: str, ids: Sequence[Any]) -> dict[bytes, bytes]:
        """Read documents as they are stored, by their encoded ``_id``; those that are not there are left out."""
        with translated():
            batches = self._database[collection].find_raw_batches(sent({"_id": {"$in": [*ids]}}))
            found = [one async for batch in batches for one in cut(batch)]
        return {id_of(one): one for one in found}

    async def sample(self, collection: str, size: int) -> list[Any]:
        """Choose ``_id``s of documents at random, without tombstones."""
        with translated():
            chosen = await self._database[collection].aggregate(
                [{"$sample": {"size": size}}, {"$match": LIVE}, {"$project": {"_id": 1}}]
            )
            return [one["_id"] async for one in chosen]

    async def there(self, collection: str, ids: Sequence[Any]) -> set[bytes]:
        """Tell of which keys there is a document, or a tombstone, by their encoded ``_id``."""
        with translated():
            whole = self._database[collection].with_options(RAW)
            return {bytes(one.raw) async for one in whole.find(sent({"_id": {"$in": [*ids]}}), {"_id": 1})}

    async def now(self) -> datetime:
        """Draw a moment by the server's clock, later than all before; by our own, where nothing is installed."""
        found = await MarkedDatabase(self._database).moment()
        return datetime.now(UTC) if found is None else found.replace(tzinfo=UTC)

    async def _draw(self, collection: str, ids: Sequence[Any]) -> None:
        low = {"$or": [{FIELD: None}, {VERSION: {"$lt": FLOOR}}]}
        with translated(), under(await admitted(self._database, collection)):
            await self._collection(collection).update_many(
                sent({"_id": {"$in": [*ids]}, **LIVE, **low}), [{"$set": {FIELD: drawn()}}]
            )

    async def mark(self, collection: str, ids: Sequence[Any]) -> int:
        """Mark documents: a pump carries them, whatever the other side has."""
        if not ids:
            return 0
        with translated():
            marked = [{"$set": {VERSION: DRAWN, MARK: ObjectId(), **said(await admitted(self._database, collection))}}]
            found = await self._collection(collection).update_many(sent({"_id": {"$in": [*ids]}}), marked)
        return found.matched_count


def _page(found: Sequence[dict[str, Any] | bytes]) -> Page:
    page = Page(DECODED_OR_NOT.id_of(found[-1]), len(found))
    page.ids = [_id_of(one) if isinstance(one, bytes) else one["_id"] for one in found]
    if not _is_whole(page, found):
        for one in found:
            if isinstance(one, bytes):
                _add_odd(page, one)
            else:
                _add(page, one)
    return page


def _is_whole(page: Page, found: Sequence[Any]) -> bool:
    """Fill a page whose documents all have a drawn version and are marked, or all are not: as they mostly are."""
    ours: list[Any] = [one.get(FIELD) if type(one) is dict else None for one in found]
    if {*map(type, ours)} != {dict}:
        return False
    versions, marks = [one.get("v") for one in ours], [one.get("mark") for one in ours]
    marked, sizes = {*map(type, marks)}, {*map(len, ours)}
    alike = (marked == {type(None)} and sizes == {1}) or (marked == {ObjectId} and sizes == {2})
    if not alike or {*map(type, versions)} != {Int64} or min(versions) < FLOOR:
        return False
    for one in found:
        del one[FIELD]
    page.fields, page.versions = [*found], versions
    page.marks = [""] * len(found) if sizes == {1} else [*map(str, marks)]
    return True


def _add(page: Page, one: dict[str, Any]) -> None:
    state = _state(one["_id"], one.pop(FIELD, None))
    if state is None:
        page.gone.append(one["_id"])
    elif state[0] < FLOOR:
        page.low.append(one["_id"])
    else:
        page.fields.append(one)
        page.versions.append(state[0])
        page.marks.append(state[1])


def _add_odd(page: Page, one: bytes) -> None:
    id_ = _id_of(one)
    body, state = taken_apart(id_, one)
    if state is None:
        page.gone.append(id_)
    elif state[0] < FLOOR:
        page.low.append(id_)
    else:
        page.odd.append(MarkedDocument(id_, state[1], state[0], deleted=False, stored=body))


def taken_apart(id_: Any, raw: bytes) -> tuple[bytes, tuple[int, str] | None]:
    """Give a document without our field, and its version (below 0: none) and mark; ``None``: it is a tombstone."""
    body, ours = apart(raw)
    return body, _state(id_, _field(id_, ours) if ours else None)


def _id_of(document: bytes) -> Any:
    return decoded(id_of(document), AS_STORED)["_id"]


def _field(id_: Any, ours: bytes) -> Any:
    try:
        return decoded(ours)
    except Exception:  # noqa: BLE001  it is no document
        raise of_somebody_else(id_) from None


def _state(id_: Any, ours: Any) -> tuple[int, str] | None:
    """Read our field: version and mark, or ``None`` of a tombstone."""
    if ours is None:
        return -1, ""
    if type(ours) is dict:
        if "deleted" in ours:
            return None
        version, mark = ours.get("v"), ours.get("mark")
        if isinstance(version, int) and (mark is None or type(mark) is ObjectId):
            return int(version), "" if mark is None else str(mark)
    raise of_somebody_else(id_)


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of the driver, and of what reads targets, into those of a source."""
    try:
        with of_source():
            yield
    except TargetError as error:
        of_rights = getattr(error.__cause__, "code", None) in RIGHTS
        kind = PrivilegeError if of_rights else SourceUnavailableError
        raise kind(error.message, hint=error.hint) from error
