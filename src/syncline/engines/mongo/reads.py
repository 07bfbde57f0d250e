"""Reading what is synced: queries and aggregations with a deadline, and a quick no while MongoDB is away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pymongo
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from syncline.breaker import CircuitBreaker
from syncline.engines.mongo import errors as mongo_errors
from syncline.engines.mongo.damaged import documents
from syncline.errors import TargetError, TargetUnavailableError
from syncline.ports import Document

Sort = Sequence[tuple[str, int]]

_CODEC = CodecOptions[Document](
    uuid_representation=UuidRepresentation.STANDARD, datetime_conversion=DatetimeConversion.DATETIME_AUTO, tz_aware=True
)
_TROUBLE = mongo_errors.REFUSALS | {6, 7, 50, 89, 262, 9001}
"""Errors that no query is to blame for: those of the server, of its network, of its time limits."""


class Secondary:
    """Reads the documents, for applications: one object (one client, one pool) for a process and its event loop.

    A read that finds no server costs its deadline once; for ``rest`` afterwards all reads fail at once, then one tries
    again. So a stopped MongoDB does not slow the application down.

        secondary = Secondary(settings.mongodb_url)
        best = await secondary.query("users", {"showProfile": True}, sort=[("totalPoints", -1)], limit=10)

    Values of a filter or a pipeline that come from users belong into ``{"$eq": value}`` or must be of a checked type:
    ``{"$gt": ""}`` is a query, too.

    Args:
        url: a MongoDB connection string; the driver's pool and reconnection are set there.
        database: by default the one that the URL names.
        timeout: limit for one read, finding the server included.
        rest: how long to leave a server alone that could not be reached.
        listeners: PyMongo's, such as ``telemetry.queries.MongoTimer`` and ``MongoPool``.

    Raises:
        TargetError: the URL is not usable or names no database.

    """

    def __init__(
        self,
        url: str,
        database: str | None = None,
        *,
        timeout: timedelta = timedelta(seconds=1),
        rest: timedelta = timedelta(seconds=1),
        listeners: Sequence[Any] = (),
    ) -> None:
        milliseconds = int(timeout.total_seconds() * 1000)
        with mongo_errors.translated():
            self._client: AsyncMongoClient[Document] = AsyncMongoClient(
                url,
                appname="syncline reads",
                event_listeners=list(listeners),
                timeoutMS=milliseconds,
                serverSelectionTimeoutMS=milliseconds,
                connectTimeoutMS=milliseconds,
            )
            self._database = self._client.get_default_database(database, codec_options=_CODEC)
        self._breaker = CircuitBreaker(rest.total_seconds())

    async def query(
        self,
        collection: str,
        where: Mapping[str, Any] | None = None,
        *,
        sort: Sort | None = None,
        limit: int | None = None,
        projection: Mapping[str, Any] | Sequence[str] | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109  the driver keeps it, on the server too
    ) -> list[Document]:
        """Find documents.

        Args:
            collection: its name.
            where: the filter; by default everything.
            sort: pairs of a field and 1 or -1.
            limit: how many at most, 1 or more.
            projection: as MongoDB takes it; by default whole documents, with ``_id``, ``_v`` and the like.
            timeout: another limit for this read.

        Raises:
            TargetUnavailableError: no answer in time, or no server.
            DamagedDocumentError: some of the documents cannot be decoded; it names them, and has the others.
            TargetError: the query is wrong.

        """
        if limit is not None and limit < 1:
            raise TargetError(
                f"limit={limit}", hint="1 or more: MongoDB takes 0 for all, and a negative one as positive"
            )

        async def read(source: AsyncCollection[Document]) -> list[Document]:
            found = source.find(where or {}, projection)
            if sort:
                found = found.sort(list(sort))
            return await found.limit(limit or 0).to_list()

        with self._guarded(timeout):
            return await documents(self._collection(collection), read)

    async def aggregate(
        self,
        collection: str,
        pipeline: Sequence[Mapping[str, Any]],
        *,
        timeout: timedelta | None = None,  # noqa: ASYNC109  the driver keeps it, on the server too
    ) -> list[Document]:
        """Run an aggregation that only reads.

        Args:
            collection: its name.
            pipeline: its stages.
            timeout: another limit for this read.

        Raises:
            TargetUnavailableError: no answer in time, or no server.
            DamagedDocumentError: something of the result cannot be decoded; it has the rest.
            TargetError: the pipeline is wrong, or would write.

        """
        if any(stage in ("$out", "$merge") for stages in pipeline for stage in stages):
            raise TargetError("$out and $merge write", hint="write to the source; it is synced")

        async def read(source: AsyncCollection[Document]) -> list[Document]:
            return await (await source.aggregate(list(pipeline))).to_list()

        with self._guarded(timeout):
            return await documents(self._collection(collection), read)

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    def _collection(self, name: str) -> AsyncCollection[Document]:
        return self._database[name]

    @contextmanager
    def _guarded(self, limit: timedelta | None) -> Iterator[None]:
        if self._breaker.refuses():
            raise TargetUnavailableError("MongoDB was unavailable a moment ago", hint="read from the source")
        try:
            with mongo_errors.translated(), pymongo.timeout(limit.total_seconds() if limit else None), _judged():
                yield
        except TargetUnavailableError as error:
            slow = getattr(error.__cause__, "timeout", False) and isinstance(error.__cause__, OperationFailure)
            if slow:
                self._breaker.succeeded()
            else:
                self._breaker.failed()
            raise
        self._breaker.succeeded()


@contextmanager
def _judged() -> Iterator[None]:
    """Tell a wrong query from a server in trouble."""
    try:
        yield
    except OperationFailure as error:
        if error.code in _TROUBLE or error.timeout:
            raise
        raise TargetError(f"MongoDB refused the query: {error._message} (code {error.code})") from error  # noqa: SLF001
