"""A source in memory: rows, marks and journal without a server. It keeps ``SourceContract``."""

from __future__ import annotations

import asyncio
import time
import uuid
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from typing import Any

from syncline.errors import SourceUnavailableError
from syncline.model.entity import Entity
from syncline.model.mark import LANES, Hint, Mark, lane_mask
from syncline.model.notice import Notice
from syncline.ports import (
    Acknowledgement,
    ClaimLostError,
    Floor,
    Identity,
    LaneRow,
    Lookout,
    Plan,
    Plans,
    Pressure,
    Reinstall,
    Rejection,
    Renewal,
    States,
    Task,
    TaskKind,
    Traces,
)
from syncline.ports.records import Durability

Record = tuple[int, str]


@dataclass(slots=True)
class State:
    """Our tables. ``away``: no session can be opened."""

    away: bool = False
    beat: int = 0
    confirmed: int = 0
    epoch: int = 0
    installation: str = field(default_factory=lambda: str(uuid.uuid4()))
    nonces: list[str] = field(default_factory=list)
    contested: str | None = None
    workers: dict[str, float] = field(default_factory=dict)
    """Worker to the end of its leases (monotonic)."""
    owners: dict[int, str] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(LANES), 0))
    sure: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(LANES), 0))
    """Lane to the epoch that is known to stand in the target."""
    parked: dict[Record, Rejection] = field(default_factory=dict)
    notices: dict[tuple[Notice, str | None], str] = field(default_factory=dict)
    """Open ones, by name and entity."""
    tasks: dict[int, Task] = field(default_factory=dict)
    claims: dict[int, str] = field(default_factory=dict)

    def holds(self, worker: str, lane: int, epoch: int) -> bool:
        """Tell whether a worker owns a lane under an epoch."""
        return self.owners.get(lane) == worker and self.epochs[lane] == epoch

    def alive(self) -> list[str]:
        """List the live workers."""
        return sorted(worker for worker, end in self.workers.items() if end > time.monotonic())


class MemoryLanes:
    """See ``syncline.ports.Lanes``."""

    def __init__(self, state: State, worker: str) -> None:
        self._state = state
        self._worker = worker

    async def renew(self, *, ttl: timedelta, confirmed: int, seen: str = "", **_: Any) -> Renewal:
        state = self._state
        state.beat += 1
        state.confirmed = max(state.confirmed, confirmed)
        if not state.nonces or state.nonces[0] == seen:
            state.nonces = [str(uuid.uuid4()), *state.nonces][:16]
        state.workers[self._worker] = time.monotonic() + ttl.total_seconds()
        live = state.alive()
        rows = {
            lane: LaneRow(owner, state.epochs[lane], state.sure[lane], owner not in live)
            for lane, owner in ((lane, state.owners.get(lane)) for lane in range(LANES))
        }
        return Renewal(
            state.beat, state.confirmed, state.installation, state.epoch, rows, live, state.nonces, state.contested
        )

    async def acquire(self, lanes: Sequence[int], *, above: int) -> dict[int, int]:
        state, live = self._state, self._state.alive()
        state.epoch = max(state.epoch, above) + 1
        taken = [lane for lane in lanes if state.owners.get(lane) in (None, self._worker, *_dead(state, live))]
        state.owners |= dict.fromkeys(taken, self._worker)
        state.epochs |= dict.fromkeys(taken, state.epoch)
        return dict.fromkeys(taken, state.epoch)

    async def confirm(self, leases: Mapping[int, int]) -> set[int]:
        mine = {lane for lane, epoch in leases.items() if self._state.holds(self._worker, lane, epoch)}
        self._state.sure |= {lane: leases[lane] for lane in mine}
        return mine

    async def release(self, leases: Mapping[int, int]) -> None:
        for lane, epoch in leases.items():
            if self._state.holds(self._worker, lane, epoch):
                del self._state.owners[lane]

    async def call(self) -> bool:
        return False

    async def leave(self) -> None:
        self._state.workers.pop(self._worker, None)
        self._state.claims = {task: worker for task, worker in self._state.claims.items() if worker != self._worker}

    async def trim(self) -> None: ...

    async def forget_workers(self) -> None: ...

    async def current_epoch(self) -> int:
        return self._state.epoch

    async def current_beat(self) -> int:
        return self._state.beat

    async def raise_beat(self, beat: int, nonce: str = "") -> None:
        state = self._state
        state.beat = max(state.beat, beat)
        state.nonces = [*state.nonces[:1], nonce, *state.nonces[1:15]]

    async def nonces(self) -> Sequence[str]:
        return list(self._state.nonces)

    async def contested(self) -> str | None:
        return self._state.contested

    async def contest(self, who: str) -> None:
        self._state.contested = who

    async def adopt(self, *, count: int, above: int) -> tuple[int, str, str]:
        state = self._state
        state.beat, state.epoch = max(state.beat, count) + 1, max(state.epoch, above) + 1
        state.contested, state.nonces = None, [str(uuid.uuid4()), *state.nonces][:16]
        return state.beat, state.installation, state.nonces[0]


def _dead(state: State, live: Collection[str]) -> set[str]:
    return set(state.owners.values()).difference(live)


class MemoryNotices:
    """See ``syncline.ports.Notices``."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def leave(self, name: Notice, severity: str, message: str, *, entity: str | None = None) -> None:
        if severity != "info":
            self._state.notices[name, entity] = message

    async def end(self, name: Notice, entity: str) -> None:
        self._state.notices.pop((name, entity), None)

    async def end_others(self, name: Notice, *, still: Collection[str]) -> None:
        kept = self._state.notices.items()
        self._state.notices = {one: text for one, text in kept if one[0] != name or one[1] in (None, *still)}

    async def settle(self, name: Notice) -> None:
        self._state.notices = {one: text for one, text in self._state.notices.items() if one[0] != name}

    async def settle_causes(self, verdicts: Collection[str]) -> None: ...


class MemoryEntities:
    """See ``syncline.ports.Entities``: what is installed never changes."""

    def __init__(self, state: State, plans: Mapping[int, Plan]) -> None:
        self._state = state
        self._plans = plans

    async def names(self) -> dict[int, str]:
        return {id_: plan.name for id_, plan in self._plans.items()}

    async def states(self) -> dict[int, tuple[str, str]]:
        return {id_: (plan.name, "armed") for id_, plan in self._plans.items()}

    async def with_parked(self) -> set[int]:
        return {entity for entity, _ in self._state.parked}

    async def copied_lately(self, within: timedelta) -> set[int]:
        return set()

    async def fingerprints(self) -> dict[int, str]:
        return {id_: plan.projection.fingerprint for id_, plan in self._plans.items()}

    async def changed(self, plans: Plans) -> str | None:
        return None

    async def tables_changed(self, plans: Plans) -> bool:
        return False

    async def others_installed(self, plans: Plans) -> bool:
        return False

    async def note_fingerprints(self, plans: Collection[Plan]) -> set[int]:
        return set()


class MemoryTasks:
    """See ``syncline.ports.Tasks``; a claim lasts as long as its worker."""

    _numbers = count(1)

    def __init__(self, state: State, worker: str, marks: Mapping[int, Mark]) -> None:
        self._state = state
        self._worker = worker
        self._marks = marks

    async def request(
        self,
        kind: str,
        entity: int,
        reason: str,
        options: Mapping[str, Any] | None = None,
        *,
        progress: Mapping[str, Any] | None = None,
    ) -> int:
        wish = (TaskKind(kind), entity, reason, dict(options or {}))
        for task in self._state.tasks.values():
            idle = task.id not in self._state.claims and not task.progress and not progress
            if idle and (task.kind, task.entity, task.reason, task.options) == wish:
                return task.id
        task = Task(next(self._numbers), *wish, dict(progress or {}))
        self._state.tasks[task.id] = task
        return task.id

    async def claim(self, entities: Collection[int], only: int | None = None, *, held: bool = False) -> Task | None:
        for task in self._state.tasks.values():
            owner = self._state.claims.get(task.id)
            free = owner == self._worker or not (held or owner)
            if free and task.entity in entities and only in (None, task.id):
                self._state.claims[task.id] = self._worker
                return replace(task, progress=dict(task.progress))
        return None

    async def find(self, *, entity: int | None = None, task: int | None = None) -> list[Task]:
        return [t for t in self._state.tasks.values() if entity in (None, t.entity) and task in (None, t.id)]

    async def advance(self, task: Task) -> None:
        if self._state.claims.get(task.id) != self._worker:
            raise ClaimLostError
        self._state.tasks[task.id].progress = dict(task.progress)
        task.options = self._state.tasks[task.id].options
        at_work = [self._state.tasks[one] for one in self._state.claims]
        task.sharing = sum("shared" in one.options for one in at_work) if "shared" in task.options else 1

    async def cover(self, task: Task) -> None: ...

    async def finish(self, task: Task) -> None:
        self._state.tasks.pop(task.id, None)
        self._state.claims.pop(task.id, None)

    async def give_back(self, task: Task) -> None:
        if self._state.claims.get(task.id) == self._worker:
            del self._state.claims[task.id]

    async def change(self, task: Task, options: Mapping[str, Any]) -> None:
        self._state.tasks[task.id].options = {**self._state.tasks[task.id].options, **options}

    async def cancel(self, task: int) -> bool:
        return self._state.tasks.pop(task, None) is not None

    async def pressure(self, limit: int) -> Pressure:
        others = any(mark.hint in "IUDE" for mark in self._marks.values())
        return Pressure(min(limit, len(self._marks)), 0.0, len(self._state.alive()), time.time(), others)

    async def newest_mark(self, entity: int) -> int | None:
        return max((number for number, mark in self._marks.items() if mark.entity == entity), default=None)

    async def marks_up_to(self, entity: int, seq: int) -> bool:
        return any(mark.entity == entity and number <= seq for number, mark in self._marks.items())


class MemoryJournal:
    """See ``syncline.ports.Journal``."""

    def __init__(self, state: State, worker: str, marks: Mapping[int, Mark], plans: Mapping[int, Plan]) -> None:
        self.lanes = MemoryLanes(state, worker)
        self.notices = MemoryNotices(state)
        self.entities = MemoryEntities(state, plans)
        self.tasks = MemoryTasks(state, worker, marks)

    async def foreign_rules(self) -> Sequence[str]:
        return ()

    async def rotate_history(self, keep: timedelta) -> None: ...


Values = Mapping[str, Any]


def lane_of(entity: int, key: str) -> int:
    """Give the lane of a key."""
    return zlib.crc32(f"{entity}/{key}".encode()) % LANES


class MemoryDatabase:
    """Rows of entities with one key column, and what is journalled of them; shared by its sessions.

    ``put`` and ``remove`` are what an application commits: the row and its mark, at once. Every column must be read as
    it is (no casts, expressions or filters).
    """

    def __init__(self, plans: Iterable[Plan]) -> None:
        self.plans = {plan.id: plan for plan in plans}
        self.rows: dict[int, dict[str, Values]] = {id_: {} for id_ in self.plans}
        self.marks: dict[int, Mark] = {}
        self.deferred: list[tuple[float, Mark]] = []
        self.state = State()
        self.identity = Identity("memory", "1", str(uuid.uuid4()))
        self.armed: set[str] = set()
        self.listeners: dict[str, Callable[[bool], None]] = {}
        self._numbers = count(1)

    def put(self, entity: int, **values: Any) -> None:
        """Insert or update a row."""
        (column,) = self.plans[entity].projection.key
        key = str(values[column.name])
        hint = Hint.UPDATE if key in self.rows[entity] else Hint.INSERT
        self.rows[entity][key] = values
        self.mark(entity, [key], hint)

    def remove(self, entity: int, key: str) -> None:
        """Delete a row."""
        del self.rows[entity][key]
        self.mark(entity, [key], Hint.DELETE)

    def mark(self, entity: int, keys: Iterable[str], hint: str) -> None:
        """Mark records, and wake whoever sleeps."""
        for key in keys:
            number = next(self._numbers)
            self.marks[number] = Mark(number, lane_of(entity, key), entity, key, str(hint), True)
        if self.armed:
            self.wake()

    def wake(self, *, call: bool = False) -> None:
        """Wake the workers that listen."""
        for wake in list(self.listeners.values()):
            wake(call)


class MemoryRecords:
    """See ``syncline.ports.Records``."""

    name = "memory"
    durability: Durability | None = None

    def __init__(self, database: MemoryDatabase) -> None:
        self._rows = database.rows

    async def read(
        self,
        plan: Plan,
        keys: Sequence[str],
        *,
        most_bytes: int | None = None,
        apart: bool = False,
    ) -> States:
        projection, rows = plan.projection, self._rows[plan.id]
        projection.codec.parameters(keys)
        columns = [item.column or "" for item in (*projection.ids, *projection.selected)]
        found = [(key, rows[key]) for key in keys if key in rows]
        return States(plan, [(*(row.get(column) for column in columns), key) for key, row in found], ())


class MemoryMarks:
    """See ``syncline.ports.Marks``."""

    traces: Traces | None = None

    def __init__(self, database: MemoryDatabase, worker: str) -> None:
        self._database = database
        self._worker = worker

    def floor(self) -> Floor | None:
        return None

    async def read(self, *, after: int, lanes: int, limit: int, without: Sequence[int] = ()) -> list[Mark]:
        wanted = {lane for lane in range(LANES) if lanes & lane_mask([lane])}
        found = (m for n, m in sorted(self._database.marks.items()) if n > after and m.entity not in without)
        return [mark for mark in found if mark.lane in wanted][:limit]

    async def read_with_states(self, plan: Plan, **_: Any) -> tuple[list[Mark], States] | None:
        return None

    async def acknowledge(self, ack: Acknowledgement, *, grace: timedelta, history: bool) -> set[int]:
        database, state = self._database, self._database.state
        lanes = {lane for lane, epoch in ack.leases.items() if state.holds(self._worker, lane, epoch)}
        gone = [database.marks.pop(m[0]) for m in ack.marks if m[1] in lanes and m[0] in database.marks]
        bad = {(entity, rejection.key): rejection for entity, rejection in ack.rejected}
        for mark in gone:
            record = mark.entity, mark.key
            if record in bad:
                state.parked[record] = bad[record]
            elif ack.unpark:
                state.parked.pop(record, None)
        due = time.monotonic() + grace.total_seconds()
        for entity, lane, key in ack.absent:
            if lane in lanes:
                database.deferred.append((due, Mark(0, lane, entity, key, Hint.GRACE.value, True)))
        return lanes

    async def add(self, entity: int, keys: Sequence[str], hint: str) -> None:
        self._database.mark(entity, keys, hint)

    async def promote_deferred(self, limit: int = 5000) -> int:
        now, deferred = time.monotonic(), self._database.deferred
        due = [one for one in deferred if one[0] <= now][:limit]
        for one in due:
            deferred.remove(one)
            self._database.mark(one[1].entity, [one[1].key], Hint.GRACE.value)
        return len(due)


class MemoryWaker:
    """See ``syncline.ports.Waker``; every worker may hold the lock, since all writers are in this process."""

    can_listen = True

    def __init__(self, database: MemoryDatabase, worker: str) -> None:
        self._database = database
        self._worker = worker

    @property
    def holds(self) -> bool:
        return self._worker in self._database.armed

    async def arm(self) -> bool:
        self._database.armed.add(self._worker)
        return True

    async def disarm(self) -> None:
        self._database.armed.discard(self._worker)

    def has_lost_connection(self) -> bool:
        return False

    async def another_holds(self) -> bool:
        return False

    async def another_holds_still(self) -> bool:
        return True

    async def listen(self, wake: Callable[[bool], None]) -> None:
        self._database.listeners[self._worker] = wake
        wake(False)
        try:
            await asyncio.Event().wait()
        finally:
            del self._database.listeners[self._worker]

    async def notify(self, *, call: bool = False) -> None:
        self._database.wake(call=call)


class MemorySource:
    """A session with a database in memory; implements ``syncline.ports.Source``."""

    def __init__(self, database: MemoryDatabase, worker: str) -> None:
        self.worker = worker
        self.identity = database.identity
        self.records = MemoryRecords(database)
        self.marks = MemoryMarks(database, worker)
        self.waker = MemoryWaker(database, worker)
        self.journal = MemoryJournal(database.state, worker, database.marks, database.plans)
        self._database = database

    async def compile(self, entities: Sequence[Entity], *, differs: Callable[[str], None]) -> Plans:
        names = {entity.name for entity in entities}
        return Plans({id_: plan for id_, plan in self._database.plans.items() if plan.name in names})

    def lookout(self, reinstall: Reinstall | None, *, stopped: Mapping[str, str]) -> Lookout | None:
        return None

    async def close(self) -> None:
        self._database.armed.discard(self.worker)


def opening(database: MemoryDatabase) -> Callable[..., Any]:
    """Give what opens sessions, as a worker calls it; raises when ``database.state`` is closed."""

    async def open_(_: str, *, worker: str, **__: Any) -> MemorySource:
        if database.state.away:
            raise SourceUnavailableError("the database in memory is away")
        return MemorySource(database, worker)

    return open_
