"""A reader of change events that only marks: for writers who do not. See ``docs/explanation/documents-as-a-source.md``.

An event may come twice: it looks at the document as it is now. Where it goes on from, the token, is saved in MongoDB
when what came before it is marked. A token that is lost means that everything is marked, never that it begins anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from syncline.documents.opening import DocumentLink
from syncline.documents.standing import keeping, require_same
from syncline.ending import end
from syncline.engines.mongo import changes
from syncline.engines.mongo.changes import Change, Feed, Kind
from syncline.engines.mongo.marked_database import MarkedDatabase, Reader
from syncline.engines.postgres.documents.keys import key_text
from syncline.errors import LostTokenError
from syncline.model.strict_bson import encoded
from syncline.relay.documents.recovery import restored

SAVE_SECONDS = 1.0
"""How often the token is saved, on an idle collection too."""
BATCH = 500
"""Events that are judged before their documents are marked together."""
MOST_TOMBSTONES = 20_000
"""Tombstones that are remembered with the token. Beyond, the oldest are forgotten: their removal makes new ones."""
LEASE_SECONDS = 10.0
"""A reader that is silent for so long gives way to another worker's."""

Open = Callable[[Mapping[str, Any] | None], AbstractAsyncContextManager[Feed]]


class Watcher:
    """The reader of a link.

    Args:
        link: both sides; it uses ``rows`` alone.
        owner: whose reader it is; one works at a time.
        open_: opens a stream behind a token.

    """

    def __init__(self, link: DocumentLink, owner: str, *, open_: Open | None = None) -> None:
        self._link, self._owner = link, owner
        self._database = MarkedDatabase(link.database)
        self._open: Open = open_ or self._stream
        self._tombstones: dict[tuple[str, bytes], int] = {}
        self._saved = 0.0

    async def run(self) -> None:
        """Read until cancelled.

        Raises:
            SynclineError: a side does not answer, or has no change streams.
            ForeignTargetError: MongoDB is not the one whose documents the rows are: it came back empty, or is another.

        """
        lost = False
        while True:
            reader = await self._database.reader(self._owner, LEASE_SECONDS)
            if reader is None:  # another one reads
                await asyncio.sleep(LEASE_SECONDS / 2)
                continue
            try:
                if lost or reader.token is None:
                    await self._begin_anew()
                else:
                    self._tombstones = dict(_known(reader.tombstones))
                    async with self._open(reader.token) as feed:
                        await self.follow(feed)
                lost = False
            except LostTokenError:
                lost = True

    async def _begin_anew(self) -> None:
        """Mark everything, and find rows without documents, while a new stream is open already; then save its token."""
        async with self._open(None) as feed:
            await self._require_same()
            renewing = asyncio.ensure_future(self._renew())
            try:
                for name in self._link.collections:
                    await self._database.make_indexes(name)  # of a collection that was dropped they are gone
                await restored(self._link.source, self._link.rows, self._link.collections)
            finally:
                await end(renewing, seconds=1.0)
            self._tombstones = {}
            for name in self._link.collections:
                async for id_, version in self._database.tombstones(name):
                    self._tombstones[name, _key(id_)] = version
            self._saved = 0.0
            await self.follow(feed)

    async def _require_same(self) -> None:
        """See that it is the same MongoDB still: in one that came back empty, no row would have a document."""
        kept = keeping(self._link)
        try:
            require_same(await kept.kept(), await self._database.identity())
        finally:
            await kept.close()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 4)
            await self._database.reader(self._owner, LEASE_SECONDS)

    async def follow(self, feed: Feed) -> None:
        """Mark what events tell, for as long as this reader is in charge.

        Raises:
            LostTokenError: what happened is not told any more.

        """
        while True:
            found = [change async for change in _batch(feed)]
            if any(change.kind is Kind.LOST for change in found):
                raise LostTokenError("a collection was dropped or renamed")
            token = feed.token
            for name in self._link.collections:
                await self._mark(name, [one for one in found if one.collection == name])
            if not await self._save(token):
                return

    async def _save(self, token: Mapping[str, Any] | None) -> bool:
        """Save from where to go on, now that all before it is marked; tell whether this reader is in charge still."""
        if token is None or time.monotonic() - self._saved < SAVE_SECONDS:
            return True
        self._saved = time.monotonic()
        tombstones = [[name, key, version] for (name, key), version in self._tombstones.items()]
        return await self._database.save(self._owner, LEASE_SECONDS, Reader(token, tombstones[-MOST_TOMBSTONES:]))

    async def _mark(self, name: str, found: list[Change]) -> None:
        gone: list[tuple[Any, int]] = []
        marks: dict[bytes, Any] = {}
        for one in found:
            key = _key(one.id)
            if one.live:
                self._tombstones.pop((name, key), None)
            if one.kind is Kind.TOMBSTONE or (one.version and (name, key) in self._tombstones):
                self._tombstones[name, key] = one.version
            if one.kind is Kind.GONE:
                gone.append((one.id, self._tombstones.pop((name, key), 0)))
            elif one.kind is Kind.MARK:
                marks[key] = one.id
        if marks:
            await self._database.mark(name, list(marks.values()))
        if gone and (unknown := await self._unknown(name, gone)):
            await self._link.source.leave_tombstones(name, unknown)

    async def _unknown(self, name: str, gone: list[tuple[Any, int]]) -> list[Any]:
        """Leave out those of which PostgreSQL has the tombstone that was removed: that was a carrier.

        Of what can be no key it has nothing: its first tombstone settles its rejection, and no other follows.
        """
        versions = await self._link.rows.versions(name, [id_ for id_, version in gone if version])
        mapping = self._link.mapping(name)
        return [
            id_
            for id_, version in gone
            if not version or (versions.get(_key(id_), 0) < version and key_text(mapping, id_) is not None)
        ]

    @asynccontextmanager
    async def _stream(self, token: Mapping[str, Any] | None) -> AsyncIterator[Feed]:
        async with changes.opened(self._link.database, self._link.collections, token) as feed:
            yield feed


async def _batch(feed: Feed) -> AsyncIterator[Change]:
    """Give what there is now, at most ``BATCH``; the first call waits for a moment."""
    for _ in range(BATCH):
        change = await feed.next()
        if change is None:
            return
        yield change


def _key(id_: Any) -> bytes:
    return encoded({"_id": id_})


def _known(tombstones: Any) -> list[tuple[tuple[str, bytes], int]]:
    return [((str(name), bytes(key)), int(version)) for name, key, version in tombstones]
