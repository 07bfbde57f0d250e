"""Our own tables in an SQL database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from syncline.engines.postgres.lanes import SqlLanes
from syncline.engines.postgres.tasks import SqlTasks
from syncline.journal.declared import declaration_digest
from syncline.journal.named import Statements
from syncline.journal.notices import leave_notice
from syncline.journal.registry import installed, known_columns
from syncline.journal.tables import foreign_rules
from syncline.model.notice import Notice
from syncline.ports import Entities, Lanes, Notices, Plan, Plans, Tasks
from syncline.postgres.catalog import fingerprint
from syncline.postgres.connection import translated
from syncline.postgres.sql import ours


class SqlNotices:
    """See ``syncline.ports.Notices``."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def leave(self, name: Notice, severity: str, message: str, *, entity: str | None = None) -> None:
        """Leave a message for the operators, once."""
        await leave_notice(self._statements.connection, name, severity, message, entity=entity)

    async def end(self, name: Notice, entity: str) -> None:
        """Say that a condition is over."""
        await self._statements.run("end_notice", name=name, entity=entity)

    async def end_others(self, name: Notice, *, still: Collection[str]) -> None:
        """Say that a condition is over, for every entity but those for which it still holds."""
        await self._statements.run("end_notices", name=name, still=list(still))

    async def settle(self, name: Notice) -> None:
        """Resolve the notices of this name."""
        await self._statements.run("settle", name=name)

    async def settle_causes(self, verdicts: Collection[str]) -> None:
        """End the notices whose causes our tables show to be gone."""
        await self._statements.run("settle_notices", verdicts=list(verdicts))


class SqlEntities:
    """See ``syncline.ports.Entities``."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def names(self) -> dict[int, str]:
        """List the installed entities."""
        return dict(await self._statements.all("entity_names"))

    async def states(self) -> dict[int, tuple[str, str]]:
        """Read name and state of every entity."""
        return {id_: (name, state) for id_, name, state in await self._statements.all("entity_states")}

    async def with_parked(self) -> set[int]:
        """List the entities that have parked records."""
        return {entity for (entity,) in await self._statements.all("parked_entities")}

    async def copied_lately(self, within: timedelta) -> set[int]:
        """List the entities whose changes wait for the copy of their table, or did within a time."""
        return {entity for (entity,) in await self._statements.all("copied_lately", within=within)}

    async def fingerprints(self) -> dict[int, str]:
        """Read from what each entity was last compiled."""
        return dict(await self._statements.all("fingerprints"))

    async def changed(self, plans: Plans) -> str | None:
        """Say what an installation has changed since these were compiled."""
        connection = self._statements.connection
        if plans.declared not in ("", await declaration_digest(connection)):
            return "an installation has changed what is synced"
        with translated():
            known = await known_columns(connection)
        return None if known == plans.known else "an installation has taken note of other columns"

    async def tables_changed(self, plans: Plans) -> bool:
        """Tell whether their tables are not what they were."""
        with translated():
            return await fingerprint(self._statements.connection, plans.tables) != plans.catalog

    async def others_installed(self, plans: Plans) -> bool:
        """Tell whether anything is installed otherwise than when these were compiled."""
        return await installed(self._statements.connection) != plans.installed

    async def note_fingerprints(self, plans: Collection[Plan]) -> set[int]:
        """Remember what entities were compiled from; give those for which it changed."""
        values = {"entities": [p.id for p in plans], "fingerprints": [p.projection.fingerprint for p in plans]}
        return {entity for (entity,) in await self._statements.all("note_fingerprints", **values)}


class SqlJournal:
    """See ``syncline.ports.Journal``; its history is cut into partitions by day."""

    def __init__(self, statements: Statements, lanes: SqlLanes) -> None:
        self._lanes = lanes
        self._statements = statements
        self._notices, self._entities = SqlNotices(statements), SqlEntities(statements)
        self._tasks = SqlTasks(statements.connection, lanes.worker)

    @property
    def lanes(self) -> Lanes:
        """Leases and heartbeat."""
        return self._lanes

    @property
    def notices(self) -> Notices:
        """Messages for the operators."""
        return self._notices

    @property
    def entities(self) -> Entities:
        """What is installed."""
        return self._entities

    @property
    def tasks(self) -> Tasks:
        """Backfills and sweeps."""
        return self._tasks

    async def foreign_rules(self) -> Sequence[str]:
        """Name triggers, rules and row-level security that somebody has put on our tables."""
        with translated():
            return await foreign_rules(self._statements.connection)

    async def rotate_history(self, keep: timedelta) -> None:
        """Make the partitions for today and tomorrow, drop the old ones."""
        with translated():
            await self._statements.connection.execute(ours("SELECT syncline.rotate_history(%s)"), (keep,))
