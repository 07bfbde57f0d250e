"""The phases as a MongoDB keeps them: one document for all collections, and one for each process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.write_concern import WriteConcern

from syncline.capture.documents.field import FIELD, MARK
from syncline.config.urls import database_of
from syncline.errors import ConfigError, SourceUnavailableError
from syncline.phases.phase import phase_named
from syncline.phases.standing import Process, Standing, Standings, highest

PHASES, PROCESSES = "syncline_phases", "syncline_phase_processes"
_ID = "phases"
_DURABLE = WriteConcern(w="majority", j=True)
_TRIES = 20
_MARKS = 1000


class InMongoDB:
    """A MongoDB that keeps the phases of its collections.

    Args:
        url: the database.
        seconds: limit of a question.

    Raises:
        ConfigError: the URL is none, or names no database.

    """

    def __init__(self, url: str, *, seconds: float = 2.0) -> None:
        name = database_of(url)
        if not name:
            raise ConfigError("`url` in [source] names no database", hint="end it in /NAME: mongodb://host:27017/shop")
        limit = int(seconds * 1000)
        try:
            self._client: MongoClient[Any] = MongoClient(
                url,
                appname="syncline phases",
                serverSelectionTimeoutMS=limit,
                connectTimeoutMS=limit,
                socketTimeoutMS=limit,
                tz_aware=True,
            )
        except (PyMongoError, OSError, ValueError) as error:
            raise ConfigError(f"`url` in [source] is not a usable MongoDB URL: {error}") from error
        database = self._client.get_database(name, write_concern=_DURABLE)
        self._phases, self._processes = database[PHASES], database[PROCESSES]

    def read(self) -> Standings:
        """Give what it says."""
        with _translated():
            return _standings(self._phases.find_one({"_id": _ID}))

    def put(self, standings: Standings) -> None:
        """Keep these beside the others."""
        for _ in range(_TRIES):
            with _translated():
                before = self._phases.find_one({"_id": _ID}) or {"version": 0}
                merged = highest([_standings(before), standings])
                after = {"version": before["version"] + 1, "collections": _listed(merged)}
                which = {"_id": _ID, "version": before["version"] or None}
                try:
                    done = self._phases.update_one(which, [{"$set": after}], upsert=not before["version"])
                except DuplicateKeyError:
                    continue
                if done.matched_count or done.upserted_id:
                    return
        raise SourceUnavailableError("others change the phases in MongoDB without end")

    def beat(self, process: str, number: int, lease_seconds: float) -> None:
        """Note what a process goes by, by the server's clock."""
        until = {"$add": ["$$NOW", int(lease_seconds * 1000)]}
        with _translated():
            self._processes.update_one({"_id": process}, [{"$set": {"number": number, "until": until}}], upsert=True)

    def processes(self) -> Sequence[Process]:
        """List those whose lease holds."""
        left = {"$subtract": ["$until", "$$NOW"]}
        pipeline: list[dict[str, Any]] = [
            {"$set": {"left": left}}, {"$match": {"left": {"$gt": 0}}}, {"$sort": {"_id": 1}}
        ]  # fmt: skip
        with _translated():
            found = self._processes.aggregate(pipeline).to_list()
        return [Process(one["_id"], one["number"], one["left"] / 1000) for one in found]

    def leave(self, process: str) -> None:
        """Forget a process that ends."""
        with _translated():
            self._processes.delete_one({"_id": process})

    def waiting(self, collection: str) -> frozenset[str]:
        """Give the oldest marks of a collection."""
        marked = self._phases.database[collection].find({MARK: {"$exists": True}}, {"_id": 0, MARK: 1})
        with _translated():
            return frozenset(str(one[FIELD]["mark"]) for one in marked.sort(MARK, 1).limit(_MARKS))

    def close(self) -> None:
        """Close the client."""
        self._client.close()


def _standings(document: Any) -> dict[str, Standing]:
    listed = (document or {}).get("collections", [])
    return {
        one["name"]: Standing(phase_named(one["phase"]), one["percent"], one["number"], one.get("since"))
        for one in listed
    }


def _listed(standings: Standings) -> list[dict[str, Any]]:
    """Give them for a pipeline; names may have dots and dollar signs: they are values."""
    return [
        {"name": {"$literal": name}, "phase": str(one.phase), "percent": one.percent, "number": one.number}
        | {"since": one.since or "$$NOW"}
        for name, one in sorted(standings.items())
    ]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise SourceUnavailableError(f"MongoDB: {str(error).split(', Timeout:')[0]}") from error
