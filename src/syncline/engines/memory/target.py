"""A target in memory: MongoDB's behaviour without a server, for tests and dry runs."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

import bson
from bson.errors import BSONError

from syncline.engines.mongo import errors as mongo_errors
from syncline.engines.mongo.bson_order import order
from syncline.engines.mongo.documents import as_json, documents
from syncline.engines.mongo.writes import CODEC
from syncline.model.entity import Entity, Index
from syncline.ports import Absence, Batch, Beat, Conflict, Document, Fence, Rejection, Report, Reverse

LARGEST = mongo_errors.MAX_DOCUMENT_BYTES
_MISSING = object()

Records = dict[Any, bytes]
"""Place in MongoDB's order of ``_id`` to the encoded document."""


class MemoryTarget:
    """Keeps documents as BSON in this process; implements ``syncline.ports.Target``.

    Nothing survives the process, and nothing ever fails: ``syncline.testing.FaultyTarget`` around it does that.
    Unique indexes hold; of their options only ``sparse`` is known.
    """

    fence = Fence.RECORD
    deletes_twice = True
    """A write that was given up may still arrive."""
    admission = ""
    reverse: Reverse | None = None
    """No link goes back from here, unless a test says otherwise."""

    def __init__(self) -> None:
        self._collections: dict[str, Records] = {}
        self._unique: dict[str, list[Index]] = {}
        self._epochs: dict[int, int] = {}
        self._beat: Beat | None = None
        self.probes = 0
        """How often somebody asked whether a write goes through."""

    async def ask_gate(self) -> bool:
        """Say that there is no gate."""
        return True

    async def prepare(self, entities: Sequence[Entity]) -> None:
        """Note the unique indexes."""
        for entity in entities:
            self._unique[entity.collection] = [index for index in entity.indexes if index.unique]

    async def apply(self, batch: Batch) -> Report:
        """Write states; see ``syncline.ports.Target.apply``."""
        report = Report()
        records = self._collections.setdefault(batch.entity.collection, {})
        unique = self._unique.get(batch.entity.collection, [])
        report.present = sum(order(state.id) in records for state in batch.inserts)
        for document in documents(batch, batch.states):
            self._put(records, unique, document, report)
        for absence in batch.deletes:
            self._remove(records, absence, report)
        return report

    def as_json(self, batch: Batch) -> dict[str, str]:
        """Give a batch's documents as MongoDB's extended JSON."""
        return as_json(batch)

    def _put(self, records: Records, unique: Iterable[Index], document: Document, report: Report) -> None:
        key = document["_originalId"]
        problem = mongo_errors.encoding_problem(document, CODEC)
        if problem is not None:
            report.rejected.append(Rejection(key, *problem))
            return
        place = order(document["_id"])
        stored = records.get(place)
        # A ticket that is no number stands above all numbers, as the order of BSON types has it.
        if stored is not None and not order(_ticket(stored, -1)) < order(document["_v"]):
            report.stale += 1
            if order(_ticket(stored, -1)) != order(document["_v"]):
                report.outranked[key] = _ticket(stored, -1)
            return
        encoded = bson.encode(document, codec_options=CODEC)
        decoded = _decode(encoded)
        for index in unique:
            value = _indexed(decoded, index)
            if value is not None and any(
                _indexed(_decode(other), index) == value for where, other in records.items() if where != place
            ):
                name = "_".join(f"{field}_{direction}" for field, direction in index.keys)
                fields = {field: _at(decoded, field, None) for field, _ in index.keys}
                report.conflicts.append(Conflict(key, name, fields))
                return
        records[place] = encoded

    @staticmethod
    def _remove(records: Records, absence: Absence, report: Report) -> None:
        place = order(absence.id)
        stored = records.get(place)
        if stored is None:
            return
        ticket = _ticket(stored, None)
        if isinstance(ticket, (int, float)) and ticket >= absence.ticket:
            report.stale += 1
            report.outranked[absence.key] = ticket
            return
        del records[place]

    async def lane_epochs(self) -> dict[int, int]:
        """Read what each lane announced here."""
        return dict(self._epochs)

    async def announce(self, epochs: Mapping[int, int]) -> set[int]:
        """Raise lane records."""
        raised = {lane for lane, epoch in epochs.items() if self._epochs.get(lane, 0) <= epoch}
        self._epochs.update({lane: epochs[lane] for lane in raised})
        return raised

    async def beat(self, beat: Beat, *, over: str | None = None) -> Beat | None:
        """Advance the heartbeat record; another system's stays unless it is ``over``."""
        before = self._beat
        ours = before is None or before.system in (beat.system, over)
        if ours and (before is None or before.installation != beat.installation or before.count <= beat.count):
            self._beat = beat
        return before

    async def read_beat(self) -> Beat | None:
        """Read the heartbeat record without touching it."""
        return self._beat

    async def probe(self) -> None:
        """Succeed."""
        self.probes += 1

    async def holders(self, entity: Entity, values: Sequence[Mapping[str, Any]]) -> list[Document | None]:
        """Find, for each unique value, the record that has it now."""
        return [self._holder(entity, value) if value else None for value in values]

    def _holder(self, entity: Entity, value: Mapping[str, Any]) -> Document | None:
        wanted = {path: order(one) for path, one in value.items()}
        for document in self.documents(entity):
            if all(order(_at(document, path, None)) == one for path, one in wanted.items()):
                return document
        return None

    async def read(self, entity: Entity, ids: Sequence[Any]) -> list[Document]:
        """Read records by ``_id``."""
        records = self._collections.get(entity.collection, {})
        return [_decode(records[place]) for place in map(order, ids) if place in records]

    async def walk(
        self,
        entity: Entity,
        *,
        after: Any = None,
        size: int = 1000,
        resume: bool = False,
        until: Any = ...,
        tickets: bool = True,
    ) -> AsyncIterator[list[Document]]:
        """Walk ``{_id, _v}`` in the order of ``_id``, across types."""
        fields = {"_id", "_v"} if tickets else {"_id"}
        last, end = order(after) if resume else None, None if until is ... else order(until)
        while True:
            records = self._collections.get(entity.collection, {})
            behind = (place for place in records if last is None or place > last)
            places = sorted(place for place in behind if end is None or place <= end)[:size]
            if not places:
                return
            last = places[-1]
            page = [_decode(records[place]) for place in places]
            yield [{name: value for name, value in document.items() if name in fields} for document in page]

    async def cut(self, entity: Entity, parts: int, *, least: int) -> list[Any]:
        """Cut a collection."""
        records = self._collections.get(entity.collection, {})
        places, size = sorted(records), max(least, -(-len(records) // parts))
        return [_decode(records[place])["_id"] for place in places[size::size]]

    async def discard(self, entity: Entity, ids: Sequence[Any]) -> int:
        """Remove records of ours."""
        records = self._collections.get(entity.collection, {})
        found = [place for place in map(order, ids) if place in records and _is_ours(_decode(records[place]))]
        for place in found:
            del records[place]
        return len(found)

    async def ping(self) -> Mapping[str, Any]:
        """Name ourselves."""
        return {"version": "memory", "replica_set": None, "max_document_bytes": LARGEST}

    async def close(self) -> None:
        """Keep everything: another worker may have the same object."""

    # -- for those who look at it or play tricks on it

    def documents(self, entity: Entity) -> list[Document]:
        """Give an entity's records in the order of ``_id``."""
        records = self._collections.get(entity.collection, {})
        return [_decode(records[place]) for place in sorted(records)]

    def store(self, entity: Entity, *documents: Document) -> None:
        """Put records there, past the fence and the indexes, as somebody else might."""
        records = self._collections.setdefault(entity.collection, {})
        for document in documents:
            records[order(document["_id"])] = bson.encode(document, codec_options=CODEC)

    def backup(self) -> Callable[[], None]:
        """Remember everything, control records included; call the result to go back to it."""
        kept = copy.deepcopy((self._collections, self._epochs, self._beat))

        def restore() -> None:
            self._collections, self._epochs, self._beat = copy.deepcopy(kept)

        return restore

    def wipe(self) -> None:
        """Forget everything, control records included."""
        self._collections, self._epochs, self._beat = {}, {}, None


def _decode(encoded: bytes) -> Document:
    try:
        return bson.decode(encoded, codec_options=CODEC)
    except BSONError as error:  # pragma: no cover  we encoded it ourselves
        raise AssertionError(error) from error


def _ticket(encoded: bytes, default: Any) -> Any:
    ticket = _decode(encoded).get("_v")
    return default if ticket is None else ticket


def _indexed(document: Document, index: Index) -> tuple[Any, ...] | None:
    """Give the place of a document in an index, ``None`` when it is not in it."""
    values = [_at(document, field, _MISSING) for field, _ in index.keys]
    if index.options.get("sparse") and all(value is _MISSING for value in values):
        return None
    return tuple(order(None if value is _MISSING else value) for value in values)


def _at(document: Document, path: str, default: Any) -> Any:
    """Read a dotted path."""
    value: Any = document
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return default
        value = value[name]
    return value


def _is_ours(record: Document) -> bool:
    return isinstance(record.get("_v"), int) and all(isinstance(record.get(n), str) for n in ("_originalId", "_source"))
