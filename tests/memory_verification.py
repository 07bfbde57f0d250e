"""Both sides of a verification in memory: see ``syncline.ports.SourceSide`` and ``Inspection``."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import bson

from syncline.engines.memory import MemoryTarget
from syncline.engines.mongo.bson_order import order
from syncline.engines.mongo.target import CODEC
from syncline.errors import PassLostError
from syncline.model.entity import Entity
from syncline.model.mark import Hint
from syncline.model.notice import Notice
from syncline.ports import (
    Absent,
    Beat,
    Certificate,
    Checkpoint,
    Document,
    Documents,
    Plan,
    Rounds,
    Situation,
    SourceDigests,
    States,
    Stored,
    Stretch,
    TargetDigests,
    Turn,
    Why,
)
from tests.memory_source import MemoryDatabase, MemoryRecords, lane_of

Place = tuple[Any] | None


class MemoryPages:
    """See ``syncline.ports.Pages``."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._records = MemoryRecords(database)

    async def rows(self, plan: Plan, stretch: Stretch, limit: int) -> States:
        return await self._records.read(plan, self._keys(plan, stretch)[:limit])

    async def ids(self, plan: Plan, stretch: Stretch, limit: int) -> list[Any]:
        return [plan.projection.codec.document_id(key) for key in self._keys(plan, stretch)[:limit]]

    async def keys(self, plan: Plan, stretch: Stretch, limit: int, *, filtered: bool = True) -> list[str]:
        return self._keys(plan, stretch)[:limit]

    async def read(self, plan: Plan, keys: Sequence[str]) -> States:
        return await self._records.read(plan, keys)

    def _keys(self, plan: Plan, stretch: Stretch) -> list[str]:
        place = _order_of(plan)
        first, end = (None if key is None else place(key) for key in (stretch.first, stretch.end))
        keys = sorted(self._database.rows[plan.id], key=place)
        after = [k for k in keys if first is None or place(k) > first or (place(k) == first and not stretch.passed)]
        return [key for key in after if end is None or place(key) < end]


def _order_of(plan: Plan) -> Callable[[str], Any]:
    return lambda key: order(plan.projection.codec.document_id(key))


class MemorySnapshot:
    """See ``syncline.ports.Snapshot``."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def read(self, plan: Plan, keys: Sequence[str]) -> States:
        return await MemoryRecords(self._database).read(plan, keys)

    async def unsettled(self, plan: Plan, keys: Sequence[str]) -> Mapping[str, Why]:
        database = self._database
        found = dict.fromkeys(keys, Why.TASK) if any(t.entity == plan.id for t in database.state.tasks.values()) else {}
        found |= {key: Why.PARKED for entity, key in database.state.parked if entity == plan.id and key in keys}
        found |= {m.key: Why.DEFERRED for _, m in database.deferred if m.entity == plan.id and m.key in keys}
        return found | {m.key: Why.MARK for m in database.marks.values() if m.entity == plan.id and m.key in keys}


class MemoryLooks:
    """See ``syncline.ports.Looks``."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[MemorySnapshot]:
        yield MemorySnapshot(self._database)

    async def clock(self) -> datetime:
        return datetime.now(UTC)

    async def horizon(self) -> str | None:
        return None

    async def lanes(self, plan: Plan, keys: Sequence[str]) -> list[int]:
        return [lane_of(plan.id, key) for key in keys]

    async def read(self, plan: Plan, keys: Sequence[str]) -> States:
        return await MemoryRecords(self._database).read(plan, keys)

    async def absent(self, plan: Plan, keys: Sequence[str], *, newer: str | None = None) -> Absent:
        return Absent([key for key in keys if key not in self._database.rows[plan.id]], [])

    async def inside(
        self, plan: Plan, keys: Sequence[str], first: str | None, end: str | None
    ) -> tuple[list[str], list[str]]:
        place = _order_of(plan)
        after = [key for key in keys if first is None or place(key) >= place(first)]
        return [key for key in after if end is None or place(key) < place(end)], []

    async def sample(self, plan: Plan, size: int) -> list[str]:
        keys = list(self._database.rows[plan.id])
        return random.sample(keys, min(size, len(keys)))

    async def mark(self, plan: Plan, keys: Sequence[str], hint: Hint) -> None:
        self._database.mark(plan.id, keys, hint)


class MemoryPasses:
    """See ``syncline.ports.Passes``; nothing expires: who was killed lets go by ``claims.clear()``."""

    def __init__(self) -> None:
        self.kept: dict[int, tuple[int, str, dict[str, Any], Sequence[Mapping[str, Any]]]] = {}
        self.claims: set[int] = set()
        self._numbers = count(1)

    async def guard(self) -> str:
        return "memory"

    async def begin(self, plan: Plan, scope: str, state: Mapping[str, Any]) -> Checkpoint:
        number = next(self._numbers)
        self.kept[number] = (plan.id, scope, dict(state), ())
        self.claims.add(number)
        return Checkpoint(number)

    async def save(
        self, checkpoint: Checkpoint, state: Mapping[str, Any], findings: Sequence[Mapping[str, Any]] | None
    ) -> None:
        await self.hold(checkpoint)
        entity, scope, _, before = self.kept[checkpoint.id]
        self.kept[checkpoint.id] = (entity, scope, dict(state), before if findings is None else findings)

    async def hold(self, checkpoint: Checkpoint) -> None:
        if checkpoint.id not in self.claims:
            raise PassLostError

    async def end(self, checkpoint: Checkpoint) -> None:
        self.kept.pop(checkpoint.id, None)

    async def release(self, checkpoint: Checkpoint) -> None:
        self.claims.discard(checkpoint.id)

    async def forget(self, plans: Sequence[Plan]) -> None:
        ids = {plan.id for plan in plans}
        self.kept = {number: one for number, one in self.kept.items() if one[0] not in ids}

    async def resume(self, plan: Plan, scope: str) -> Checkpoint | None:
        for number, (entity, about, state, findings) in reversed(self.kept.items()):
            if entity == plan.id and about == scope and number not in self.claims:
                self.claims.add(number)
                return Checkpoint(number, state, findings)
        return None


class MemoryBacklog:
    """See ``syncline.ports.Backlog``."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def situation(self) -> Situation:
        return Situation(len(self._database.marks), 0.0, len(self._database.state.alive()))

    async def waiting(self, plan: Plan, before: datetime) -> tuple[int, int]:
        marks = sum(mark.entity == plan.id for mark in self._database.marks.values())
        return marks, sum(task.entity == plan.id for task in self._database.state.tasks.values())

    async def parked_keys(self, plan: Plan) -> list[str]:
        return [key for entity, key in self._database.state.parked if entity == plan.id]


class MemoryCertificates:
    """See ``syncline.ports.Certificates``."""

    def __init__(self) -> None:
        self.certified: list[tuple[str, Certificate]] = []
        self.warned: dict[Notice, str] = {}
        self.audited: dict[str, tuple[int, int]] = {}

    async def certify(self, plan: Plan, certificate: Certificate) -> None:
        self.certified.append((plan.name, certificate))

    async def warn(self, plan: Plan, name: Notice, message: str) -> None:
        self.warned[name] = message

    async def audit(self, entity: str, *, marked: int, left: int) -> None:
        self.audited[entity] = (marked, left)


class MemoryRounds:
    """See ``syncline.ports.Rounds``: the only worker there is."""

    def __init__(self, passes: MemoryPasses) -> None:
        self.passes = passes

    async def claim(self) -> Turn | None:
        return Turn(Checkpoint(0), 0, "")

    async def begin(self, turn: Turn, plan: Plan, scope: str) -> Turn:
        return Turn(await self.passes.begin(plan, scope, {}), plan.id, scope)

    async def done(self, turn: Turn) -> None:
        await self.passes.end(turn.checkpoint)

    async def copies(self) -> dict[int, tuple[str, bool]]:
        return {}

    async def ages(self) -> dict[int, float]:
        return {}


class MemorySide:
    """See ``syncline.ports.SourceSide``."""

    name = "memory"

    def __init__(self, database: MemoryDatabase) -> None:
        self.database = database
        self.pages, self.looks = MemoryPages(database), MemoryLooks(database)
        self.passes, self.certificates = MemoryPasses(), MemoryCertificates()
        self.backlog = MemoryBacklog(database)
        self.digests: SourceDigests | None = None

    def rounds(self, owner: str) -> Rounds:
        return MemoryRounds(self.passes)

    async def arrived(self, patience: timedelta) -> None: ...

    async def identity(self) -> tuple[str, str]:
        return self.database.state.installation, self.database.identity.system


class MemoryInspection:
    """See ``syncline.ports.Inspection`` and ``Documents``."""

    has_tickets = True
    digests: TargetDigests | None = None

    def __init__(self, target: MemoryTarget) -> None:
        self._target = target

    @property
    def documents(self) -> Documents:
        return self

    async def lane_epochs(self) -> dict[int, int]:
        return await self._target.lane_epochs()

    async def owner(self) -> Beat | None:
        return await self._target.read_beat()

    async def confirmed(self, plan: Plan, ids: Sequence[Any]) -> list[Stored]:
        found = await self.read_encoded(plan.entity, ids)
        return [Stored(self.decode(one)["_id"], one, self.decode(one)) for one in found]

    async def read_encoded(self, entity: Entity, ids: Sequence[Any], *, keys_only: bool = False) -> list[bytes]:
        found = await self._target.read(entity, ids)
        return [self.encode({"_id": one["_id"]} if keys_only else one) for one in found]

    async def read_between(self, entity: Entity, first: Place, end: Place, *, size: int) -> AsyncIterator[list[bytes]]:
        yield [self.encode(one) for one in self._between(entity, first, end)]

    async def ids_between(self, entity: Entity, first: Place, end: Place, *, size: int) -> AsyncIterator[list[Any]]:
        yield [one["_id"] for one in self._between(entity, first, end)]

    def _between(self, entity: Entity, first: Place, end: Place) -> Iterator[Document]:
        for one in self._target.documents(entity):
            place = order(one["_id"])
            if (first is None or place >= order(first[0])) and (end is None or place < order(end[0])):
                yield one

    async def walk_ids(self, entity: Entity, *, size: int = 2000, after: Place = None) -> AsyncIterator[list[Any]]:
        start = None if after is None else after[0]
        async for page in self._target.walk(entity, after=start, size=size, resume=after is not None):
            yield [one["_id"] for one in page]

    async def sample_ids(self, entity: Entity, size: int) -> list[Any]:
        return [one["_id"] for one in self._target.documents(entity)][:size]

    async def release(self, entity: Entity, seen: Sequence[Mapping[str, Any]]) -> list[bool]:
        for one in seen:
            (there,) = await self._target.read(entity, [one["_id"]])
            self._target.store(entity, there | {"_v": 0})
        return [True for _ in seen]

    def decode(self, document: bytes) -> Document:
        return bson.decode(document, codec_options=CODEC)

    def encode(self, document: Document) -> bytes:
        return bson.encode(document, codec_options=CODEC)
