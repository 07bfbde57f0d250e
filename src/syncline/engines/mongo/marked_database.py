"""A MongoDB whose documents are marked, as a whole: who it is, what waits in it, and what is in the way."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, OperationFailure

from syncline.capture.documents import wrap
from syncline.capture.documents.examination import Obstacle, obstacles
from syncline.capture.documents.field import FIELD, LIVE, LOG, MARK, TOMBSTONE, VERSION, drawn, under
from syncline.capture.documents.indexes import MARKS, UNMARKED
from syncline.capture.documents.programs import arun
from syncline.engines.mongo.gates import admitted
from syncline.engines.mongo.intents import MongoIntentLog
from syncline.engines.mongo.marked import translated
from syncline.engines.mongo.noted import noted_in
from syncline.engines.mongo.stored import RAW, sent
from syncline.engines.mongo.waiting import Held, oldest
from syncline.engines.mongo.writes import DURABLE
from syncline.model.strict_bson import AS_STORED, decoded

IDENTITY = "_syncline_documents"
"""The collection in which a MongoDB says who it is; a copy of its files says the same."""
READER, BEATS = "reader", "beats"
MOST = 100_000
"""Marks of a collection that are counted, at most."""
SECONDS = 10.0
"""Limit of a look."""
FINDING_SECONDS = 5.0
"""Limit for finding the server."""
_NO_SUCH_COMMAND = 59
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MARKS, _UNMARKED = str(MARKS["name"]), str(UNMARKED["name"])


@dataclass(frozen=True, slots=True)
class Waiting:
    """What of a collection the other side lacks."""

    documents: int
    """``MOST`` at most."""
    oldest: timedelta = timedelta()
    """For how long the oldest mark is there, those of rejected documents left out; a new document's is as old as its
    ObjectId says."""


@dataclass(frozen=True, slots=True)
class Server:
    """What a MongoDB says of itself."""

    version: str
    replica_set: str | None
    sharded: bool


@dataclass(frozen=True, slots=True)
class Named:
    """Who a MongoDB says that it is, and where its documents go; ``None``: nobody has said so."""

    id: str | None = None
    target: str | None = None
    """The PostgreSQL that has its rows: no other may clear its marks."""
    system: str | None = None
    """Its cluster, and its database there: a copy says that it is the same one. ``None``: an older version noted it."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Where the reader of change events has come to."""

    token: Mapping[str, Any] | None
    tombstones: Sequence[Any] = ()
    """Those that it knows of: collection, key, version."""


def _in_charge(owner: str, seconds: float, **more: Any) -> list[dict[str, Any]]:
    until = {"$add": ["$$NOW", int(seconds * 1000)]}
    return [{"$set": {"owner": owner, "until": until, **more}}]


class MarkedDatabase:
    """The database of a document link's source."""

    def __init__(self, database: AsyncDatabase[Any], *, seconds: float = SECONDS) -> None:
        self._database, self._seconds = database, seconds

    @property
    def _limit(self) -> float:
        """The driver's own limit for finding a server does not hold within ``pymongo.timeout``."""
        known = self._database.client.topology_description.has_readable_server()
        return self._seconds if known else min(self._seconds, FINDING_SECONDS)

    async def server(self) -> Server:
        """Ask the server what it is.

        Raises:
            SourceUnavailableError: it does not answer.

        """
        with translated(), pymongo.timeout(self._limit):
            hello = await self._database.client.admin.command("hello")
            build = await self._database.client.admin.command("buildInfo")
        return Server(build["version"], hello.get("setName"), hello.get("msg") == "isdbgrid")

    async def now(self) -> datetime | None:
        """Read the server's clock, by which versions are drawn; ``None``: nothing is installed there."""
        with translated(), pymongo.timeout(self._limit):
            cursor = await self._database[IDENTITY].aggregate([{"$limit": 1}, {"$project": {"now": "$$NOW"}}])
            return next((one["now"] for one in await cursor.to_list()), None)

    async def moment(self) -> datetime | None:
        """Draw a moment after all drawn before, though the clock be set back; ``None``: nothing is installed there."""
        if await self.now() is None:
            return None
        later = {"$max": [{"$add": [{"$ifNull": ["$at", _EPOCH]}, 1]}, "$$NOW"]}
        with translated(), pymongo.timeout(self._limit):
            ours = self._database[IDENTITY].with_options(write_concern=DURABLE)
            found = await ours.find_one_and_update(
                {"_id": "clock"}, [{"$set": {"at": later}}], upsert=True, return_document=ReturnDocument.AFTER
            )
        return found and found["at"]

    async def beats(self) -> tuple[int, int]:
        """Read the counters by which a restore is noticed: our own, and PostgreSQL's."""
        with translated(), pymongo.timeout(self._limit):
            found = await self._database[IDENTITY].find_one({"_id": BEATS}) or {}
        return found.get("there", 0), found.get("here", 0)

    async def advance(self, *, there: int = 0, here: int = 0, by: int = 1) -> tuple[int, int]:
        """Advance our own counter, from this at least, and note what PostgreSQL's has come to."""
        ours = {"$add": [{"$max": [{"$ifNull": ["$there", 0]}, there]}, by]}
        step = {"there": ours, "here": {"$max": [{"$ifNull": ["$here", 0]}, here]}}
        with translated(), pymongo.timeout(self._limit):
            kept = self._database[IDENTITY].with_options(write_concern=DURABLE)
            found = await kept.find_one_and_update(
                {"_id": BEATS}, [{"$set": step}], upsert=True, return_document=ReturnDocument.AFTER
            )
        return (0, 0) if found is None else (found["there"], found["here"])

    async def build(self) -> Mapping[str, Any]:
        """Give its ``buildInfo``."""
        with translated(), pymongo.timeout(self._limit):
            found: Mapping[str, Any] = await self._database.client.admin.command("buildInfo")
            return found

    async def privileges(self) -> Mapping[str, Any]:
        """Give who is connected, and what he may do."""
        with translated(), pymongo.timeout(self._limit):
            command = {"connectionStatus": 1, "showPrivileges": True}
            try:
                found: Mapping[str, Any] = (await self._database.client.admin.command(command))["authInfo"]
            except OperationFailure as error:
                if error.code != _NO_SUCH_COMMAND:
                    raise
                return {"authenticatedUsers": [], "authenticatedUserPrivileges": []}
            return found

    async def identity(self) -> Named:
        """Read who it is."""
        with translated(), pymongo.timeout(self._limit):
            found = await self._database[IDENTITY].find_one({"_id": "link"}) or {}
        return Named(str(found["id"]) if "id" in found else None, found.get("target"), found.get("system"))

    async def identify(self, target: str, system: str, *, instead: bool = False) -> Named:
        """Say who it is, unless that is said, and that its rows are in a PostgreSQL, unless they are in another.

        Args:
            target: that PostgreSQL.
            system: its cluster and database.
            instead: it takes the place of another one.

        """
        with translated(), pymongo.timeout(self._limit):
            ours = self._database[IDENTITY].with_options(write_concern=DURABLE)
            await ours.update_one({"_id": "link"}, {"$setOnInsert": {"id": ObjectId()}}, upsert=True)
            free: dict[str, Any] = {} if instead else {"target": {"$in": [None, target]}, "system": None}
            await ours.update_one({"_id": "link", **free}, {"$set": {"target": target, "system": system}})
        return await self.identity()

    async def release(self) -> None:
        """Say that no PostgreSQL has its rows: from then on no worker begins."""
        with translated(), pymongo.timeout(self._limit):
            ours = self._database[IDENTITY].with_options(write_concern=DURABLE)
            await ours.update_one({"_id": "link"}, {"$unset": {"target": "", "system": ""}})

    async def waiting(self, collection: str, rejected: Held = frozenset()) -> Waiting:
        """Count the marks of a collection, those of rejected documents left out."""
        marked, exists = self._database[collection], {MARK: {"$exists": True}}
        with translated(), pymongo.timeout(self._limit):
            count = await marked.count_documents(exists, hint=_MARKS, limit=MOST)
            unmarked = await marked.count_documents({FIELD: None}, hint=_UNMARKED, limit=MOST)
            age = await oldest(marked, rejected) if count else timedelta()
        waits = max(0, count - len(rejected)) + unmarked
        return Waiting(min(waits, MOST), age)

    async def lacking(self, collection: str) -> Sequence[str]:
        """Name the indexes of marks that are missing."""
        with translated(), pymongo.timeout(self._limit):
            there = await self._database[collection].index_information()
        return [name for name in (_MARKS, _UNMARKED) if name not in there]

    async def make_indexes(self, collection: str) -> None:
        """Make the indexes of marks; the collection too, if there is none."""
        with translated():
            await wrap(self._database[collection]).prepare_marks()

    async def examine(self, collection: str) -> Sequence[Obstacle]:
        """List what is in the way of a collection as a source; indexes of marks that are missing ``lacking`` names."""
        with translated(), pymongo.timeout(self._limit):
            found = await arun(self._database[collection], obstacles())
        return [one for one in found if not one.unprepared]

    async def mark(self, collection: str, ids: Sequence[Any]) -> int:
        """Give documents that somebody has written a new mark and a higher version; tombstones stay as they are."""
        ours = self._database[collection].with_options(write_concern=DURABLE)
        with translated(), pymongo.timeout(self._limit), under(await admitted(self._database, collection)):
            which = sent({"_id": {"$in": list(ids)}, **LIVE})
            return (await ours.update_many(which, [{"$set": {FIELD: drawn()}}])).modified_count

    async def tombstones(self, collection: str) -> AsyncIterator[tuple[Any, int]]:
        """Walk the tombstones that are there, each with its version."""
        where = self._database[collection].with_options(RAW)
        with translated():
            cursor = where.find({MARK: {"$exists": True}, **TOMBSTONE}, {"_id": 1, VERSION: 1}, hint=_MARKS)
            async for one in cursor:
                found = decoded(bytes(one.raw), AS_STORED)
                yield found["_id"], int(found[FIELD]["v"])

    async def reader(self, owner: str, seconds: float) -> Reader | None:
        """Take charge of reading change events, or say that somebody else has; where the last one has come to."""
        ours = self._database[IDENTITY].with_options(write_concern=DURABLE)
        free = {"$or": [{"owner": owner}, {"$expr": {"$lt": ["$until", "$$NOW"]}}]}
        with translated(), pymongo.timeout(self._limit):
            with contextlib.suppress(DuplicateKeyError):
                await ours.insert_one({"_id": READER, "owner": owner, "until": datetime.fromtimestamp(0, UTC)})
            found = await ours.find_one_and_update({"_id": READER, **free}, _in_charge(owner, seconds))
        return None if found is None else Reader(found.get("token"), found.get("tombstones", []))

    async def save(self, owner: str, seconds: float, reader: Reader) -> bool:
        """Save where a reader has come to; not if somebody else is in charge."""
        ours = self._database[IDENTITY].with_options(write_concern=DURABLE)
        new = {"token": {"$literal": reader.token}, "tombstones": {"$literal": reader.tombstones}}
        with translated(), pymongo.timeout(self._limit):
            which = {"_id": READER, "owner": owner}
            return (await ours.update_one(which, _in_charge(owner, seconds, **new))).matched_count == 1

    async def forget_marks(self, collection: str) -> int:
        """Take our field, tombstones and indexes out of a collection; how many documents had the field."""
        with translated():
            ours = self._database[collection].with_options(write_concern=DURABLE)
            for name in (_UNMARKED, _MARKS):
                if name in await ours.index_information():
                    await ours.drop_index(name)
            await self._enter(collection)
            await ours.delete_many(dict(TOMBSTONE))
            return (await ours.update_many({FIELD: {"$exists": True}}, {"$unset": {FIELD: ""}})).modified_count

    async def _enter(self, collection: str) -> None:
        """Write down what documents have noted: who was killed could not."""
        log, where = MongoIntentLog(self._database), self._database[collection].with_options(RAW)
        async for found in where.find({LOG: {"$type": "array"}}, {LOG: 1}):
            one = decoded(bytes(found.raw), AS_STORED)
            await log.enter(collection, [(one["_id"], noted) for noted in noted_in(one[FIELD])])

    async def forget_identity(self) -> None:
        """Forget who it is."""
        with translated():
            await self._database[IDENTITY].drop()
