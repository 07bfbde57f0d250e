"""Rules that are taken out: a run must notice each. `python -m tests.chaos --migrate --sabotage NAME`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pymongo import UpdateMany
from pymongo.write_concern import WriteConcern

from syncline.capture.documents import updates
from syncline.capture.documents.field import MARK
from syncline.engines.mongo import clearing
from syncline.engines.mongo.marked import MongoMarkedDocuments
from syncline.engines.mongo.written_back import DocumentTarget
from syncline.engines.postgres.documents.versions import VersionedRows
from syncline.errors import SynclineError
from syncline.phases.changing import Control
from syncline.phases.dual_write.left import Left
from syncline.phases.journal_phases import JournalPhases
from syncline.ports import Batch, Report
from syncline.ports.documents import Fate, MarkedDocument, Outcome

_LATE_SECONDS = 2.0


def marks_uncompared() -> None:
    """Clear whatever mark a document has."""

    async def clear(self: MongoMarkedDocuments, collection: str, documents: Sequence[MarkedDocument]) -> None:
        ids = [one.id for one in documents if not one.deleted]
        if ids:
            await self._write(collection, [UpdateMany({"_id": {"$in": ids}}, {"$unset": {MARK: ""}})])
        await kept(self, collection, [one for one in documents if one.deleted])

    kept = MongoMarkedDocuments.clear
    MongoMarkedDocuments.clear = clear  # type: ignore[method-assign]


def versions_uncompared() -> None:
    """Write rows whatever is there: the last to arrive wins."""
    made: Any = VersionedRows.__init__

    def init(self: VersionedRows, *args: Any, **options: Any) -> None:
        made(self, *args, **options)
        self._sql = {name: text.replace("WHERE k.version < excluded.version\n", "") for name, text in self._sql.items()}

    VersionedRows.__init__ = init  # type: ignore[method-assign]


def believed() -> None:
    """Take what PostgreSQL did not answer for written."""
    put = VersionedRows.put

    async def optimistic(self: VersionedRows, collection: str, documents: Any, number: int) -> Sequence[Outcome]:
        try:
            return await put(self, collection, documents, number)
        except SynclineError:
            return [Outcome(one, Fate.APPLIED) for one in documents]

    VersionedRows.put = optimistic  # type: ignore[method-assign]


def operators_unmarked() -> None:
    """Leave a new mark out of what operators write."""

    def unmarked(update: Any) -> Any:
        return update if isinstance(update, Mapping) else marked(update)

    marked = updates.marked_update
    for name, module in [*sys.modules.items()]:
        if name.startswith("syncline.capture.documents") and hasattr(module, "marked_update"):
            module.marked_update = unmarked  # type: ignore[attr-defined]


def barrier_unheeded() -> None:
    """Say that a change is in effect before every process goes by it."""

    def wait(self: Control, number: int, told: Callable[..., None] = lambda _: None) -> float:
        return 0.0

    Control.wait = wait  # type: ignore[method-assign]


def leases_endless() -> None:
    """Go by what was known, however long ago that was."""

    def standing(self: JournalPhases, collection: str) -> Any:
        return self._known.get(collection, self._default)

    JournalPhases._standing = standing  # type: ignore[method-assign]


def own_writes_forgotten() -> None:
    """Ask PostgreSQL though it lacks what this process has written."""

    def nothing(self: Left, collection: str) -> bool:
        return True

    Left.is_empty = nothing  # type: ignore[method-assign]


def journal_unwaited() -> None:
    """Acknowledge what a killed server forgets."""
    weak = WriteConcern(w=1, j=False)
    for name, module in [*sys.modules.items()]:
        if name.startswith("syncline.") and hasattr(module, "DURABLE"):
            module.DURABLE = weak  # type: ignore[attr-defined]


def tombstones_unwaited() -> None:
    """Remove an application's tombstone at once, though the way back sends each of its writes again, later."""

    def removing(tombstones: Sequence[MarkedDocument], _settled: int) -> Any:
        return kept(tombstones, 1 << 62)

    async def twice(self: DocumentTarget, batch: Batch) -> Report:
        report = await apply(self, batch)
        task = asyncio.create_task(again(self, batch))
        late.add(task)
        task.add_done_callback(late.discard)
        return report

    async def again(target: DocumentTarget, batch: Batch) -> None:
        await asyncio.sleep(_LATE_SECONDS)
        with contextlib.suppress(SynclineError):
            await apply(target, batch)

    late: set[asyncio.Task[None]] = set()
    kept, apply = clearing._removing, DocumentTarget.apply
    clearing._removing = removing
    DocumentTarget.apply = twice  # type: ignore[method-assign]


SABOTEURS: dict[str, Callable[[], None]] = {
    one.__name__: one
    for one in (
        marks_uncompared,
        versions_uncompared,
        believed,
        operators_unmarked,
        barrier_unheeded,
        leases_endless,
        own_writes_forgotten,
        journal_unwaited,
        tombstones_unwaited,
    )
}
