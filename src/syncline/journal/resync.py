"""A full resync: every record marked again and every stray document removed, as one thing that can be followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from syncline.errors import SynclineError
from syncline.postgres.connection import Connection, translated
from syncline.postgres.retrying import in_transaction
from syncline.postgres.sql import blocks


class ResyncState(StrEnum):
    """How far it is."""

    RUNNING = "running"
    """Records are being marked; or wait for a worker to mark them."""
    APPLYING = "applying"
    """All are marked; the worker still writes them."""
    FINISHED = "finished"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self in (ResyncState.FINISHED, ResyncState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Part:
    """One task that is left."""

    kind: str
    entity: str
    done: int
    total: int | None
    """About so many there are; ``None``: not known yet."""
    marked: int
    running: bool

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Resync:
    """A full resync as it stands."""

    id: int
    state: ResyncState
    requested_at: datetime
    finished_at: datetime | None
    message: str
    left: Sequence[Part]
    """What is still to be marked."""
    tasks: int
    """Number of tasks in all; 0 when none of them is left to say so."""
    queue_size: int
    workers: int

    def as_dict(self) -> dict[str, Any]:
        """Give the form that ``syncline resync --json`` prints; times in ISO 8601."""
        return {
            "id": self.id,
            "state": self.state.value,
            "progress": self.progress,
            "message": self.message,
            "requested_at": self.requested_at.isoformat(),
            "finished_at": self.finished_at and self.finished_at.isoformat(),
            "left": [
                {"kind": p.kind, "entity": p.entity, "done": p.done, "total": p.total, "marked": p.marked}
                for p in self.left
            ],
            "queue_size": self.queue_size,
            "workers": self.workers,
        }

    @property
    def progress(self) -> float:
        """How much is marked, from 0 to 1."""
        if not self.left:
            return 0.0 if self.state is ResyncState.CANCELLED else 1.0
        done = max(self.tasks - len(self.left), 0) + sum(part.share for part in self.left)
        return round(min(done / max(self.tasks, len(self.left)), 0.999), 3)


async def start(
    connection: Connection, options: Mapping[str, Any] | None = None, *, names: Sequence[str] | None = None
) -> Resync:
    """Ask for a full resync; any worker does it. One that is not over yet is given instead of a second one.

    Args:
        connection: to the source.
        options: of its tasks, such as ``max_queue``.
        names: only these entities; all when it is ``None``.

    Raises:
        SynclineError: there is nothing to sync, or an entity is not installed.

    """
    chosen = None if names is None else list(names)

    async def begin() -> int:
        await _rows(connection, "only_one")
        if (running := await current(connection)) is not None:
            return running.id
        entities = await _rows(connection, "entities", names=chosen)
        _check(entities, chosen)
        message = f"full resync of {', '.join(entity['name'] for entity in entities)}"
        id_ = int((await _rows(connection, "begin", message=message))[0]["id"])
        ids = [entity["id"] for entity in entities]
        await _rows(connection, "request_all", reason=_reason(id_), options=Jsonb(dict(options or {})), entities=ids)
        return id_

    found = await look(connection, await in_transaction(connection, begin))
    assert found is not None  # noqa: S101  it was there or was made just now
    return found


async def current(connection: Connection) -> Resync | None:
    """Find the resync that is not over yet; ``None``: there is none."""
    for row in await _rows(connection, "unfinished_resync"):
        found = await look(connection, row["id"])
        if found is not None and not found.state.is_over:
            return found
    return None


def _check(entities: Sequence[Mapping[str, Any]], names: Sequence[str] | None) -> None:
    unknown = sorted(set(names or ()) - {entity["name"] for entity in entities})
    if unknown:
        raise SynclineError(f"not installed: {', '.join(unknown)}", hint="`syncline install` installs what is declared")
    if not entities:
        raise SynclineError("no entity is installed: there is nothing to sync", hint="run `syncline install`")


async def look(connection: Connection, id_: int) -> Resync | None:
    """Tell how far a resync is; ``None``: there is no such one. The first look that finds it finished notes it down."""
    rows = await _rows(connection, "resync", id=id_)
    if not rows:
        return None
    row = rows[0]
    tasks = await _rows(connection, "resync_tasks", reason=_reason(id_))
    state = _state(row, bool(tasks))
    finished = row["resolved_at"]
    if state is ResyncState.FINISHED and finished is None:
        await _rows(connection, "end", id=id_, name="ResyncFinished")
        finished = (await _rows(connection, "resync", id=id_))[0]["resolved_at"]
    total = max((int(task["options"].get("resync_tasks", 0)) for task in tasks), default=0)
    return Resync(
        id_, state, row["at"], finished, row["message"], [_part(t) for t in tasks], total,
        row["queue_size"], row["workers"],
    )  # fmt: skip


async def cancel(connection: Connection, id_: int) -> Resync | None:
    """Drop what is left of a resync: what is marked already is still written. ``None``: there is no such one."""

    async def end() -> None:
        if await _rows(connection, "end", id=id_, name="ResyncCancelled"):
            await _rows(connection, "drop_tasks", reason=_reason(id_))

    await in_transaction(connection, end)
    return await look(connection, id_)


def _state(row: Mapping[str, Any], tasks_left: bool) -> ResyncState:
    if row["name"] == "ResyncCancelled":
        return ResyncState.CANCELLED
    if row["name"] == "ResyncFinished":
        return ResyncState.FINISHED
    if tasks_left:
        return ResyncState.RUNNING
    return ResyncState.APPLYING if row["applying"] else ResyncState.FINISHED


def _part(task: Mapping[str, Any]) -> Part:
    progress = task["progress"]
    return Part(
        task["kind"], task["entity"], int(progress.get("done") or 0), progress.get("total"),
        int(progress.get("marked") or 0), task["running"],
    )  # fmt: skip


def _reason(id_: int) -> str:
    return f"resync {id_}"


async def _rows(connection: Connection, block: str, /, **values: Any) -> list[dict[str, Any]]:
    with translated():
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(blocks("resync.sql")[block], values)
            return await cursor.fetchall() if cursor.description else []
