"""Rows that become documents of a collection which an application has written: the way back of a document link.

Each write is one update or insert of one document, behind two comparisons: the ticket that the document carries
(``_sync.t``), as in any MongoDB that is a target, and the number of MongoDB's gate under which it was written
(``_sync.c``). It leaves a version that the server draws and no mark, so that no carrier takes it forward. A row that is
gone becomes a tombstone, which a later delete of the same key removes. See ``docs/explanation/phases.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

import pymongo
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.collection import AsyncCollection

from syncline.capture.documents.field import DELETED, DRAWN, FIELD, LOGGED, NUMBER, TICKET, VERSION
from syncline.capture.documents.validator import is_refusal_of_gate
from syncline.engines.mongo import errors as mongo_errors
from syncline.engines.mongo.bson_order import order
from syncline.engines.mongo.stored import RAW, sent
from syncline.engines.mongo.target import MongoTarget
from syncline.errors import TargetGateError
from syncline.model.entity import Entity
from syncline.model.strict_bson import decoded
from syncline.ports import Absence, Batch, Conflict, Rejection, Report, State

_CHUNK = 500
GATE = "mongodb"
"""How the gate is called in messages."""


class BackGate(Protocol):
    """What MongoDB's gate says."""

    async def links(self) -> Mapping[str, int]:
        """Give the numbers under which the link back may write now, by collection; where it may not, there is none.

        Raises:
            TargetUnavailableError: MongoDB does not answer.

        """
        ...

    async def last(self, collection: str) -> int:
        """Give the number under which the link back wrote last, whoever writes now; 0: it never did.

        Raises:
            TargetUnavailableError: MongoDB does not answer.

        """
        ...


class DocumentTarget(MongoTarget):
    """The collections of a document link as the target of its way back; implements ``syncline.ports.Target``.

    Args:
        url: a MongoDB connection string.
        database: name of the database that holds the collections.
        gate: says under which number may be written.
        age: of a tombstone that is removed: no write from before it may be under way any more.
        options: those of ``MongoTarget``.

    """

    def __init__(
        self,
        url: str,
        database: str,
        gate: BackGate,
        *,
        age: timedelta = timedelta(seconds=30),
        **options: Any,
    ) -> None:
        super().__init__(url, database, **options)
        self._gate = gate
        self._age = int(age.total_seconds() * 1000)
        self._numbers: Mapping[str, int] = {}

    @property
    def admission(self) -> str:  # type: ignore[override]  # it is read before marks, not set
        """The numbers that the gate gave when it was asked last."""
        return json.dumps(dict(self._numbers)) if self._numbers else ""

    async def ask_gate(self) -> bool:
        """Ask the gate; tell whether it lets the link in anywhere."""
        self._numbers = await self._gate.links()
        return bool(self._numbers)

    async def prepare(self, entities: Sequence[Entity]) -> None:
        """Ask the gate; the collections are the application's, and stay as they are."""
        await self.require_suitable(entities)
        await self.ask_gate()

    async def apply(self, batch: Batch) -> Report:
        """Write states; see ``syncline.ports.Target.apply``.

        Second deletes alone are done whoever MongoDB belongs to by now: what they name is of the link, and of nobody
        else. Those of deletes just before a way back come due after it. Where a row is there again, there is nothing
        to do: what made it has a mark of its own, or was carried here.
        """
        there = [one for one in batch.states if one.key not in batch.again]
        if not there and all(gone.again for gone in batch.deletes):
            number = await self._gate.last(batch.entity.collection)
        else:
            number = self._admitted(batch)
        collection, report = self._database[batch.entity.collection], Report()
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            for states in _parts(there):
                await self._put(collection, [_Written(state, number) for state in states], report)
            for gone in _parts(batch.deletes):
                await self._delete(collection, gone, number, report)
        return report

    def _admitted(self, batch: Batch) -> int:
        """Take the number that was read before the marks; what has changed since is for the documents to tell.

        Raises:
            TargetGateError: there is none.

        """
        numbers: dict[str, int] = json.loads(batch.admission) if batch.admission else {}
        if batch.entity.collection not in numbers:
            self._numbers = {}
            raise TargetGateError(f"MongoDB's gate of {batch.entity.collection} lets no link in", gate=GATE)
        return numbers[batch.entity.collection]

    def as_json(self, batch: Batch) -> dict[str, str]:  # noqa: ARG002  the rows are the truth, and where they can be read
        """Give nothing."""
        return {}

    async def discard(self, entity: Entity, ids: Sequence[Any]) -> int:  # noqa: ARG002
        """Remove nothing: a key that no row can have is one of a document that was never carried."""
        return 0

    async def _put(self, collection: AsyncCollection[Any], written: Sequence[_Written], report: Report) -> None:
        updates = [one.update() for one in written]
        try:
            reply = await self._writes.command("update", collection, "updates", updates)
        except Exception as refusal:
            if not mongo_errors.is_of_contents(refusal):
                raise
            await self._halved(collection, written, refusal, report)
            return
        errors = list(mongo_errors.of(reply))
        if any(map(is_refusal_of_gate, errors)):
            self._numbers = {}
            raise TargetGateError("MongoDB's gate was changed since the marks were read", gate=GATE)
        for error in errors:
            self._note(written[error["index"]], error, report)
        if reply["n"] - len(reply.get("upserted", ())) - reply["nModified"]:
            refused = {error["index"] for error in errors}
            await self._passed_over(collection, [one for n, one in enumerate(written) if n not in refused], report)

    async def _halved(
        self, collection: AsyncCollection[Any], written: Sequence[_Written], refusal: Exception, report: Report
    ) -> None:
        """Find what cannot be sent."""
        if len(written) == 1:
            (one,) = written
            report.rejected.append(Rejection(one.state.key, "too_large", f"MongoDB cannot be sent it: {refusal}"))
            return
        half = len(written) // 2
        await self._put(collection, written[:half], report)
        await self._put(collection, written[half:], report)

    def _note(self, one: _Written, error: Mapping[str, Any], report: Report) -> None:
        if mongo_errors.is_conflict(error) and one.body is not None:
            value = mongo_errors.unique_value(error, decoded(bytes(one.body.raw)))
            report.conflicts.append(Conflict(one.state.key, mongo_errors.index_name(error), value))
        else:
            code = mongo_errors.rejection_code(error)
            report.rejected.append(Rejection(one.state.key, code, str(error.get("errmsg", ""))))

    async def _passed_over(self, collection: AsyncCollection[Any], written: Sequence[_Written], report: Report) -> None:
        """Read what kept writes out: a higher ticket, or the number of a gate that was changed since.

        Raises:
            TargetGateError: the gate was changed.

        """
        there = await self._fields(collection, [one.state.id for one in written])
        for one in written:
            ours = there.get(order(one.state.id), {})
            if _whole(ours.get("c")) > one.number:
                self._numbers = {}
                raise TargetGateError("MongoDB's gate was changed since the marks were read", gate=GATE)
            if _whole(ours.get("t"), -1) > one.state.ticket:
                report.stale += 1
                report.outranked[one.state.key] = ours["t"]
            elif ours.get("t") != one.state.ticket:
                report.unknown.add(one.state.key)

    async def _fields(self, collection: AsyncCollection[Any], ids: Sequence[Any]) -> dict[Any, dict[str, Any]]:
        cursor = collection.with_options(RAW).find(sent({"_id": {"$in": list(ids)}}), {FIELD: 1}, batch_size=len(ids))
        found = [decoded(bytes(one.raw)) for one in await cursor.to_list()]
        fields = {order(one["_id"]): one.get(FIELD) for one in found}
        return {id_: field if isinstance(field, dict) else {} for id_, field in fields.items()}

    async def _delete(
        self, collection: AsyncCollection[Any], gone: Sequence[Absence], number: int, report: Report
    ) -> None:
        """Have tombstones at the first delete of a key, and none after the second: each first one has a second."""
        tombstones = [State(one.key, one.id, one.ticket, None) for one in gone if not one.again]
        if tombstones:
            await self._put(collection, [_Written(state, number) for state in tombstones], report)
        if again := [one for one in gone if one.again]:
            await self._remove(collection, again, number)

    async def _remove(self, collection: AsyncCollection[Any], again: Sequence[Absence], number: int) -> None:
        """Remove tombstones by the ticket and the number that were read: no other document matches, however late.

        One that is young is of a later delete, whose own second one removes it.
        """
        there = await self._fields(collection, [one.id for one in again])
        ours = [one for one in again if _is_ours(there.get(order(one.id)), number, one.ticket)]
        past = {"$lt": [f"${VERSION}", {"$subtract": [{"$toLong": "$$NOW"}, self._age]}]}
        named = {DELETED: True, NUMBER: number, "$expr": past}
        queries = [sent({"_id": one.id, TICKET: there[order(one.id)]["t"], **named}) for one in ours]
        if queries:
            deletes = [{"q": query, "limit": 1} for query in queries]
            mongo_errors.of(await self._writes.command("delete", collection, "deletes", deletes))


class _Written:
    """A state as it is written; without a body it is a tombstone."""

    __slots__ = ("body", "number", "state")

    def __init__(self, state: State, number: int) -> None:
        self.state, self.number = state, number
        self.body: RawBSONDocument | None = state.body

    def update(self) -> dict[str, Any]:
        """Give the update; the document comes as a constant, so that values which begin with ``$`` stay values."""
        ours: dict[str, Any] = {"v": DRAWN, **LOGGED, "c": self.number, "t": self.state.ticket}
        if self.body is None:
            ours["deleted"] = True
        passes = [
            {"$lt": [{"$ifNull": [f"${TICKET}", -1]}, self.state.ticket]},
            {"$lte": [{"$ifNull": [f"${NUMBER}", 0]}, self.number]},
        ]
        written = {"$mergeObjects": ["$$new", {FIELD: ours}]}
        pipeline = [{"$replaceWith": {"$cond": [{"$and": passes}, written, "$$ROOT"]}}]
        new = self.body if self.body is not None else sent({"_id": self.state.id})
        return {"q": sent({"_id": self.state.id}), "u": pipeline, "c": {"new": new}, "upsert": True}


def _parts(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]


def _is_ours(field: dict[str, Any] | None, number: int, ticket: int) -> bool:
    if not field or field.get("deleted") is not True or field.get("c") != number:
        return False
    return 0 <= _whole(field.get("t"), -1) < ticket


def _whole(value: Any, otherwise: int = 0) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise
