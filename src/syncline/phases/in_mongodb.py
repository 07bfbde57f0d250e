"""The phases as a MongoDB keeps them: one document for all collections, and one for each process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pymongo import MongoClient, ReadPreference, ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from syncline.capture.documents.field import FIELD, MARK
from syncline.capture.documents.validator import Validator
from syncline.config.urls import database_of
from syncline.engines.mongo.gates import COLLECTION as PHASES
from syncline.engines.mongo.gates import ID, Gate, gates_in
from syncline.engines.mongo.validators import KeptBy, Validators
from syncline.errors import ConfigError, PhaseError, SourceUnavailableError
from syncline.forking import after_fork, leave_to_parent
from syncline.phases.phase import Phase, phase_named
from syncline.phases.standing import Change, Entry, Process, Standing, Standings, highest

PROCESSES = "syncline_phase_processes"
_DURABLE = WriteConcern(w="majority", j=True)
_TRIES = 20
MARKS = 10_000
"""As many of a collection are looked at, the oldest."""


class InMongoDB:
    """A MongoDB that keeps the phases of its collections.

    Args:
        url: the database.
        seconds: limit of a question.

    Raises:
        ConfigError: it is not a URL, or names no database.

    """

    def __init__(self, url: str, *, seconds: float = 2.0) -> None:
        name = database_of(url)
        if not name:
            raise ConfigError("`url` in [source] names no database", hint="end it in /NAME: mongodb://host:27017/shop")
        self._url, self._name, self._limit = url, name, int(seconds * 1000)
        self._open()
        after_fork(self._forked)

    def _forked(self) -> None:
        leave_to_parent(self._client)
        self._open()

    def _open(self) -> None:
        limit = self._limit
        try:
            self._client: MongoClient[Any] = MongoClient(
                self._url,
                connect=False,
                appname="syncline phases",
                serverSelectionTimeoutMS=limit,
                connectTimeoutMS=limit,
                socketTimeoutMS=limit,
                tz_aware=True,
            )
        except (PyMongoError, OSError, ValueError) as error:
            raise ConfigError(f"`url` in [source] is not a usable MongoDB URL: {error}") from error
        # What the URL says of reading is not for gates: a process that reads an old one writes where it is closed.
        database = self._client.get_database(
            self._name, None, ReadPreference.PRIMARY, _DURABLE, ReadConcern("majority")
        )
        self._phases, self._processes = database[PHASES], database[PROCESSES]

    def read(self) -> Standings:
        """Give what it says."""
        with _translated():
            return standings_in(self._phases.find_one({"_id": ID}))

    def read_all(self) -> tuple[Standings, Mapping[str, Gate]]:
        """Give what it says, and what the gates of its collections say at the same moment."""
        with _translated():
            found = self._phases.find_one({"_id": ID})
        return standings_in(found), gates_in(found)

    def kept_by(self, collection: str) -> KeptBy:
        """Ask by what a gate of a collection can be kept here."""
        with _translated():
            return Validators(self._phases.database).kept_by(collection)

    def validators(self, collections: Sequence[str]) -> Mapping[str, Validator]:
        """Read the validators of collections that are there."""
        with _translated():
            return Validators(self._phases.database).read(collections)

    def admit(self, collection: str, number: int | None) -> None:
        """Have a collection's validator admit exactly this number; ``None``: take ours away.

        Raises:
            SourceUnavailableError: what became of it is not known.

        """
        with _translated():
            Validators(self._phases.database).admit(collection, number)

    def default(self) -> Phase | None:
        """Give the phase that processes have agreed on for collections that nobody has changed yet."""
        with _translated():
            said = (self._phases.find_one({"_id": ID}) or {}).get("default")
        return said and phase_named(said)

    def agree(self, default: Phase) -> Phase:
        """Give what the first process has said of collections that nobody has changed yet: this one, if it is it."""
        if said := self.default():
            return said

        def after(before: Any) -> dict[str, Any]:
            return {"default": before.get("default") or str(default)}

        return phase_named(self.replaced(after)["default"])

    def put(self, standings: Standings) -> None:
        """Keep these beside the others."""
        self.replaced(lambda before: {"collections": _listed(highest([standings_in(before), standings]))})

    def renew(self) -> None:
        """Go on after a restore with versions that nobody has seen: the seconds of the server's clock."""
        later = {"$max": [{"$add": ["$version", 1]}, {"$floor": {"$divide": [{"$toLong": "$$NOW"}, 1000]}}]}
        with _translated():
            self._phases.update_one({"_id": ID}, [{"$set": {"version": {"$toLong": later}}}])

    def change(self, change: Change, known: Standings, *, reason: str | None, against: Sequence[str]) -> Standings:
        """Make a change under a number of its own, higher than all that are known, and note it for the journal.

        Args:
            change: what goes where; its number is not looked at.
            known: what the other place says.
            reason: why it was done.
            against: what spoke against it.

        Returns:
            Where its collections stand now.

        Raises:
            PhaseError: one of them is not where the change begins.

        """

        def after(before: Any) -> dict[str, Any]:
            now = highest([standings_in(before), known])
            change.see_that_it_begins(now)
            number = max((one.number for one in now.values()), default=0) + 1
            made = {name: replace(one, number=number, since=None) for name, one in change.becomes.items()}
            noted = [_noted(name, change.was[name], one, reason, against) for name, one in made.items()]
            return {
                "collections": _listed(highest([now, made])),
                "pending": {"$concatArrays": [{"$ifNull": ["$pending", []]}, noted]},
            }

        found = standings_in(self.replaced(after))
        return {name: found[name] for name in change.becomes}

    def announce(
        self, collection: str, phase: Phase, known: Standings, may: Callable[[Any], dict[str, Any]]
    ) -> Standing:
        """Have a collection in a phase, by a switch; where it is there already, its number stays.

        Args:
            collection: the collection.
            phase: where it is to be.
            known: what the other place says.
            may: is given the document, and says what of the switch is kept: ``percent`` of a ramp, ``reason``,
                ``against``, and other fields of the document, as ``fields``. It may refuse by an error.

        """

        def after(before: Any) -> dict[str, Any]:
            kept, now = may(before), highest([standings_in(before), known])
            was = now.get(collection, Standing(Phase.OFF))
            fields: dict[str, Any] = kept["fields"]
            if was.phase.postgresql_is_truth is phase.postgresql_is_truth:
                return fields | {"collections": _listed(now)}
            if phase is Phase.LIVE and was.phase is not Phase.RAMP:
                raise PhaseError(f"{collection} is in {was} meanwhile, and not in {Phase.RAMP} any more")
            number = max((one.number for one in now.values()), default=0) + 1
            made = Standing(phase, kept["percent"] if phase is Phase.RAMP else 0.0, number)
            noted = [_noted(collection, was, made, kept["reason"], kept["against"])]
            pending = {"$concatArrays": [{"$ifNull": ["$pending", []]}, noted]}
            return fields | {"collections": _listed(highest([now, {collection: made}])), "pending": pending}

        return standings_in(self.replaced(after))[collection]

    def pending(self) -> Sequence[Entry]:
        """List the changes that the journal may lack."""
        with _translated():
            listed = (self._phases.find_one({"_id": ID}) or {}).get("pending", [])
        return [_entry(one) for one in listed]

    def journaled(self, entries: Sequence[Entry]) -> None:
        """Forget these: the journal has them."""
        if not entries:
            return
        numbers = sorted({one.number for one in entries})
        done = {"$pull": {"pending": {"number": {"$in": numbers}}}, "$inc": {"version": 1}}
        with _translated():
            self._phases.update_one({"_id": ID}, done)

    def replaced(self, after: Callable[[Any], dict[str, Any]]) -> Any:
        """Change the document by what it was, which nobody else has changed meanwhile; give what it is then."""
        for _ in range(_TRIES):
            with _translated():
                before = self._phases.find_one({"_id": ID}) or {"version": 0}
                step = after(before) | {"version": before["version"] + 1}
                which = {"_id": ID, "version": before["version"] or None}
                try:
                    done = self._phases.find_one_and_update(
                        which, [{"$set": step}], upsert=not before["version"], return_document=ReturnDocument.AFTER
                    )
                except DuplicateKeyError:
                    continue
                if done is not None:
                    return done
        raise SourceUnavailableError("others change the phases in MongoDB without end")

    def beat(self, process: str, number: int, lease_seconds: float, *, gate: int = 0) -> None:
        """Note what a process goes by, by the server's clock: the change of the phases, and that of the gates."""
        until = {"$add": ["$$NOW", int(lease_seconds * 1000)]}
        noted = {"number": number, "gate": gate, "until": until, "validators": True}
        with _translated():
            self._processes.update_one({"_id": process}, [{"$set": noted}], upsert=True)

    def processes(self) -> Sequence[Process]:
        """List those whose lease holds."""
        left = {"$subtract": ["$until", "$$NOW"]}
        pipeline: list[dict[str, Any]] = [
            {"$set": {"left": left}}, {"$match": {"left": {"$gt": 0}}}, {"$sort": {"_id": 1}}
        ]  # fmt: skip
        with _translated():
            found = self._processes.aggregate(pipeline).to_list()
        return [
            Process(one["_id"], one["number"], one["left"] / 1000, one.get("gate", 0), one.get("validators", False))
            for one in found
        ]

    def leave(self, process: str) -> None:
        """Forget a process that ends."""
        with _translated():
            self._processes.delete_one({"_id": process})

    def waiting(self, collection: str) -> frozenset[str]:
        """Give the oldest marks of a collection."""
        marked = self._phases.database[collection].find({MARK: {"$exists": True}}, {"_id": 0, MARK: 1})
        with _translated():
            return frozenset(str(one[FIELD]["mark"]) for one in marked.sort(MARK, 1).limit(MARKS))

    def close(self) -> None:
        """Close the client."""
        self._client.close()


def standings_in(document: Any) -> dict[str, Standing]:
    """Read the phases in the document."""
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


def _noted(name: str, was: Standing, becomes: Standing, reason: str | None, against: Sequence[str]) -> dict[str, Any]:
    told: dict[str, Any] = {"collection": name, "was": str(was.phase), "reason": reason, "against": list(against)}
    told |= {"number": becomes.number, "phase": str(becomes.phase), "percent": becomes.percent}
    return {key: {"$literal": value} for key, value in told.items()} | {"at": "$$NOW"}


def _entry(one: Any) -> Entry:
    return Entry(
        one["number"],
        one["collection"],
        one["at"],
        phase_named(one["was"]),
        phase_named(one["phase"]),
        one["percent"],
        None,
        one["reason"],
        tuple(one["against"]),
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise SourceUnavailableError(f"MongoDB: {str(error).split(', Timeout:')[0]}") from error
