"""Writes of a rehearsal: as an application makes them, and each that was acknowledged must be there afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from syncline.capture.documents.field import FIELD as OURS
from syncline.capture.documents.field import LIVE
from syncline.documents.opening import DocumentLink
from syncline.errors import RefusedDocumentError, RehearsalError, UnknownOutcomeError
from syncline.model.strict_bson import encoded
from syncline.phases.dual_write import AsyncDualWriteService
from syncline.phases.switching.sides import MONGODB

FIELD = "syncline_rehearsal"
"""Counts the writes of a document."""
DOCUMENTS = 20
"""So many of a collection are written."""
_PAUSE_SECONDS = 0.005


class Writers:
    """Writes documents of the copy: each gets a field, and one of a collection is deleted and made again.

    Args:
        service: as the application has it.
        link: of the copy.
        writes: of each collection, where a number of them is asked for.

    """

    def __init__(self, service: AsyncDualWriteService, link: DocumentLink, writes: int) -> None:
        self.done: Counter[str] = Counter()
        """Acknowledged writes, by the side that served when they began."""
        self._service, self._link, self._writes = service, link, writes
        self._there: dict[str, list[Mapping[str, Any]]] = {}
        self._expected: dict[tuple[str, bytes], int | None] = {}
        """The newest write that was acknowledged, of each document; ``None``: one may have been done or not."""
        self._count = 0
        self._serving = MONGODB

    async def write(self, serving: str) -> None:
        """Write each collection so often.

        Raises:
            RehearsalError: a write is not taken.

        """
        self._serving = serving
        for collection in self._link.collections:
            for _ in range(self._writes):
                await self._one(collection)
            await self._again(collection)

    async def beside(self, work: Callable[[], Awaitable[None]]) -> None:
        """Write all the time while something is done."""
        ended = asyncio.Event()

        async def write() -> None:
            while not ended.is_set():
                for collection in self._link.collections:
                    await self._one(collection)
                await asyncio.sleep(_PAUSE_SECONDS)

        writing = asyncio.ensure_future(write())
        try:
            await work()
        finally:
            ended.set()
            await asyncio.wait({writing})
        writing.result()

    async def _one(self, collection: str) -> None:
        documents = await self._some(collection)
        if documents:
            self._count += 1
            await self._update(collection, documents[self._count % len(documents)])

    async def _update(self, collection: str, document: Mapping[str, Any]) -> None:
        id_, number = document["_id"], self._count
        key = collection, encoded({"": id_})
        try:
            done = await self._service.update_document(collection, id_, self._set(collection, document))
        except UnknownOutcomeError:
            self._expected[key] = None
            return
        except RefusedDocumentError as error:
            raise RehearsalError(f"a write of {collection} is refused: {error.message}", hint=error.hint) from error
        if not done:
            raise RehearsalError(f"{collection}: the document {id_!r} is gone, though nobody has deleted it")
        self._expected[key] = number if self._counts(collection) else None
        self.done[self._serving] += 1

    def _counts(self, collection: str) -> bool:
        """Tell whether rows keep a field that is not declared."""
        return bool(self._link.mapping(collection).collection.part.rest)

    def _set(self, collection: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Say what a write sets: the count, or a field as it is where no other is kept."""
        if self._counts(collection):
            return {FIELD: self._count}
        return {name: value for name, value in document.items() if name not in {"_id", OURS}}

    async def _again(self, collection: str) -> None:
        """Delete a document, and make it again."""
        for document in (await self._some(collection))[:1]:
            fields = {name: value for name, value in document.items() if name not in {"_id", OURS, FIELD}}
            self._count += 1
            try:
                gone = await self._service.delete_document(collection, document["_id"])
                anew = {**fields, **self._set(collection, document)}
                made = await self._service.create_document(collection, anew, document["_id"])
            except RefusedDocumentError as error:
                raise RehearsalError(f"a write of {collection} is refused: {error.message}", hint=error.hint) from error
            if not (gone and made):
                raise RehearsalError(f"{collection}: {document['_id']!r} cannot be deleted and made again")
            self._expected[collection, encoded({"": document["_id"]})] = (
                self._count if self._counts(collection) else None
            )
            self.done[self._serving] += 2

    async def _some(self, collection: str) -> list[Mapping[str, Any]]:
        if collection not in self._there:
            found = self._link.database[collection].find(dict(LIVE)).sort("_id", 1).limit(DOCUMENTS)
            self._there[collection] = await found.to_list()
        return self._there[collection]

    async def see_that_all_is_there(self) -> None:
        """See that each document has its newest acknowledged write; both sides are equal.

        Raises:
            RehearsalError: one has not.

        """
        for collection in self._link.collections:
            for document in await self._some(collection):
                expected = self._expected.get((collection, encoded({"": document["_id"]})))
                found = await self._link.database[collection].find_one({"_id": {"$eq": document["_id"]}, **LIVE})
                if expected is not None and (found is None or found.get(FIELD) != expected):
                    raise RehearsalError(
                        f"{collection}: a write of {document['_id']!r} was acknowledged, and is not there",
                        hint="this is a fault: please report it",
                    )
