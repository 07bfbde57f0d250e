"""An import over two databases: the run in PRIMARY, its rows in DATA, and never a transaction over both.

Each act is three transactions in this order: PRIMARY says what is about to be done, DATA does it, PRIMARY says that
it is done. DATA decides: an act has been done if and only if its batch says so. Who dies in between leaves a run in a
state that says what was about to be done; ``settle`` finishes it, or finds that nothing was done and says so, for good:
it writes a batch of its own, so that a slow process which was thought dead cannot come after it.

A transaction in DATA is run again as a whole where its tables are changing sides (a switch of the split).

    staging → staged → committing → committed
       ↓         ↓
     failed   discarding → discarded
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from backoffice.audit import audit
from backoffice.callers import Caller
from backoffice.imports.files import FileError
from backoffice.imports.staging import DATA, stage
from backoffice.imports.statements import APPLY, IMPATIENCE, PATIENCE
from backoffice.imports.transform import Reject, Row, Transform
from backoffice.models.delivery import ImportBatch, ImportReject, ImportRow
from backoffice.models.integrations import ImportRun
from backoffice.models.people import PrimaryAudit
from syncline.split import Databases

Result = TypeVar("Result")

LOCKED = "55P03"
INTERRUPTED = "it was interrupted; upload the file again"
LEFT_ALONE = dt.timedelta(minutes=1)
"""So long a run is left to the process that works on it. Only politeness: nothing goes wrong when it is shorter."""


class Imports:
    """The acts on imports."""

    def __init__(
        self, sessions: async_sessionmaker[AsyncSession], databases: Databases, deadline: dt.timedelta
    ) -> None:
        self._sessions = sessions
        self._databases = databases
        self._deadline = deadline

    async def _in_data(self, work: Callable[[AsyncSession], Awaitable[Result]]) -> Result:
        return await self._databases.arun(work, self._sessions.begin, deadline=self._deadline)

    async def begin(self, caller: Caller, name: str, format_: str, transform: tuple[str, int] | None) -> int:
        """Say in PRIMARY that rows are about to be staged."""
        async with self._sessions.begin() as session:
            run = ImportRun(name=name, format=format_, state="staging", started_by=caller.user_id)
            run.transform, run.transform_version = transform or (None, None)
            session.add(run)
            await session.flush()
            audit(session, PrimaryAudit, caller, "import.uploaded", run.id, name=name)
            return run.id

    async def stage(
        self, import_id: int, read: Callable[[], Iterator[tuple[int, Row] | Reject]], transform: Transform
    ) -> None:
        """Stage rows in DATA, and say so in PRIMARY. What fails on the way is settled at once.

        Args:
            import_id: the run.
            read: reads the file from its beginning; called again where the transaction is.
            transform: applied to each row.

        Raises:
            FileError: the file cannot be read; the run says why.
            GivenUpError: somebody has settled it meanwhile, and found nothing.

        """
        try:
            rows, rejects = await self._in_data(lambda session: stage(session, import_id, read(), transform))
        except FileError as error:
            await self._settle_staging(import_id, f"the file cannot be read: {error}")
            raise
        await self._advance(import_id, "staging", "staged", rows=rows, rejects=rejects)

    async def commit(self, import_id: int, caller: Caller) -> bool:
        """Make the staged rows prices; false: it is not staged."""
        if not await self._advance(import_id, "staged", "committing", caller=caller, action="import.committed"):
            return False
        await self._finish(import_id)
        return True

    async def discard(self, import_id: int, caller: Caller) -> bool:
        """Drop the staged rows; false: it is not staged."""
        if not await self._advance(import_id, "staged", "discarding", caller=caller, action="import.discarded"):
            return False
        await self._drop(import_id)
        return True

    async def settle(self, left_alone: dt.timedelta = LEFT_ALONE) -> list[int]:
        """Finish what others have left half done. Any number of processes may do this, at any time."""
        unsettled = select(ImportRun.id, ImportRun.state).where(
            ImportRun.state.in_(("staging", "committing", "discarding")),
            ImportRun.changed_at <= func.now() - left_alone,
        )
        async with self._sessions() as session:
            found = [(id_, state) for id_, state in await session.execute(unsettled.order_by(ImportRun.id).limit(100))]
        acts = {"staging": self._settle_staging, "committing": self._finish, "discarding": self._drop}
        settled = []
        for import_id, state in found:
            try:
                await acts[state](import_id)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) != LOCKED:
                    raise
                continue  # somebody is at it: not dead after all
            settled.append(import_id)
            structlog.get_logger().warning("an import was left half done; it is settled", id=import_id, state=state)
        return settled

    async def _settle_staging(self, import_id: int, why: str = INTERRUPTED) -> None:
        async def give_up(session: AsyncSession) -> ImportBatch:
            await session.execute(IMPATIENCE, bind_arguments=DATA)
            given_up = insert(ImportBatch).values(import_id=import_id, state="dropped").on_conflict_do_nothing()
            await session.execute(given_up)
            return await session.get_one(ImportBatch, import_id)

        batch = await self._in_data(give_up)
        if batch.state == "staged":
            await self._advance(import_id, "staging", "staged", rows=batch.rows, rejects=batch.rejects)
        else:
            await self._advance(import_id, "staging", "failed", message=why)

    async def _finish(self, import_id: int) -> None:
        async def apply(session: AsyncSession) -> None:
            batch = await self._locked(session, import_id)
            if batch.state == "staged":
                await session.execute(APPLY, {"import_id": import_id})
                await session.execute(delete(ImportRow).where(ImportRow.import_id == import_id))
                batch.state = "committed"

        await self._in_data(apply)
        await self._advance(import_id, "committing", "committed")

    async def _drop(self, import_id: int) -> None:
        async def drop(session: AsyncSession) -> None:
            batch = await self._locked(session, import_id)
            for table in (ImportRow, ImportReject):
                await session.execute(delete(table).where(table.import_id == import_id))
            batch.state = "dropped"

        await self._in_data(drop)
        await self._advance(import_id, "discarding", "discarded")

    async def _locked(self, session: AsyncSession, import_id: int) -> ImportBatch:
        await session.execute(IMPATIENCE, bind_arguments=DATA)
        batch = await session.get_one(ImportBatch, import_id, with_for_update=True)
        await session.execute(PATIENCE, bind_arguments=DATA)
        return batch

    async def _advance(
        self,
        import_id: int,
        before: str,
        after: str,
        *,
        caller: Caller | None = None,
        action: str = "",
        **values: Any,
    ) -> bool:
        """Change the run's state in PRIMARY, if it still is what it was."""
        change = update(ImportRun).where(ImportRun.id == import_id, ImportRun.state == before)
        async with self._sessions.begin() as session:
            changed = await session.scalar(change.values(state=after, **values).returning(ImportRun.id))
            if changed is not None and caller is not None:
                audit(session, PrimaryAudit, caller, action, import_id)
        return changed is not None
