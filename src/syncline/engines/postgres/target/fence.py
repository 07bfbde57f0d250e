"""What an SQL target remembers for its workers: the lanes' epochs, the heartbeat, the link's lock number."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import psycopg
from psycopg import sql

from syncline.engines.postgres.target.session import Connection, first_line
from syncline.errors import PrivilegeError, TargetUnavailableError
from syncline.ports import Beat
from syncline.postgres.sql import blocks

DDL: tuple[str, ...] = ("schema", "link", "lane_epoch", "heartbeat", "probe_table", "no_batches", "draw", "enter")
LOST = "SL001"
"""SQLSTATE of a batch whose lanes are another worker's."""
WAIT_SECONDS = 2
"""So long an announcement waits for open batches of a lane before it ends them."""


class Control:
    """Our statements, for one schema of the target."""

    def __init__(self, schema: str, link: str = "syncline") -> None:
        self.schema = schema
        self._name = sql.Identifier(schema)
        self._link = link
        self.enter = self._block("enter_call")

    def entering(self, lanes: Mapping[int, int], admission: str) -> list[object]:
        """Give the parameters of ``enter``: the lanes, their epochs, whose writes these are, what gates are shown."""
        return [list(lanes), list(lanes.values()), self._link, admission]

    def _block(self, name: str) -> sql.Composed:
        text = blocks("fence.sql", "syncline.engines.postgres.target")[name]
        return sql.SQL(text).format(schema=self._name)

    async def prepare(self, connection: Connection) -> None:
        """Create what is missing. Idempotent; where everything is there, no right to create is needed.

        Raises:
            PrivilegeError: the role may not create it.

        """
        async with connection.transaction():
            await connection.execute(self._block("turn"), {"schema": self.schema})
            missing = DDL
            if await self._is_there(connection):
                if await self._is_drawn(connection):
                    return
                missing = ("no_batches", "draw")
            try:
                await connection.execute(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'")
                for name in missing:
                    await connection.execute(self._block(name))
            except psycopg.errors.LockNotAvailable as error:
                raise TargetUnavailableError(
                    f"batches hold the target's lanes by a number that is no more in {self.schema}.link",
                    hint="another one is drawn once they have ended",
                ) from error
            except psycopg.errors.InsufficientPrivilege as error:
                raise PrivilegeError(
                    f"the target's schema {self.schema} cannot be created: {first_line(error)}",
                    hint="grant CREATE on the database to the role of [target], or give it a schema of that name",
                ) from error

    async def _is_there(self, connection: Connection) -> bool:
        where = {"schema": self._name.as_string(connection)}
        row = await (await connection.execute(self._block("exists"), where)).fetchone()
        return bool(row and row[0])

    async def _is_drawn(self, connection: Connection) -> bool:
        row = await (await connection.execute(self._block("drawn"))).fetchone()
        return bool(row and row[0])

    async def announce(self, connection: Connection, epochs: Mapping[int, int]) -> set[int]:
        """Raise the lanes' epochs where they are lower, each when no batch of the lane is open.

        Raises:
            TargetUnavailableError: open batches hold a lane and could not be ended.

        """
        raised = await self._raise_free(connection, epochs)
        for lane in sorted(epochs.keys() - raised):  # one transaction each: nothing is held while another is waited for
            if await self._raise(connection, lane, epochs[lane]):
                raised.add(lane)
        return raised

    async def _raise_free(self, connection: Connection, epochs: Mapping[int, int]) -> set[int]:
        """Raise the epochs of all lanes of which no batch is open, in one transaction."""
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'")
                locked = await connection.execute(self._block("lock_free"), {"lanes": [*epochs]})
                free = [lane for (lane,) in await locked.fetchall()]
                return await self._raised(connection, {lane: epochs[lane] for lane in free})
        except psycopg.errors.LockNotAvailable:
            return set()

    async def _raised(self, connection: Connection, epochs: Mapping[int, int]) -> set[int]:
        values = {"lanes": [*epochs], "epochs": [*epochs.values()]}
        found = await connection.execute(self._block("raise_epochs"), values)
        return {lane for (lane,) in await found.fetchall()}

    async def _raise(self, connection: Connection, lane: int, epoch: int) -> bool:
        where = {"lane": lane}
        for last in (False, True):
            try:
                async with connection.transaction():
                    await connection.execute(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'")
                    if (await connection.execute(self._block("lock_lane"), where)).rowcount != 1:
                        raise TargetUnavailableError(
                            f"the target's table {self.schema}.link is empty: there is no number to lock lanes by",
                            hint="Syncline draws one with the next renewal of its leases",
                        )
                    return bool(await self._raised(connection, {lane: epoch}))
            except psycopg.errors.LockNotAvailable as error:
                if last:
                    raise TargetUnavailableError(f"batches of another worker hold lane {lane} of the target") from error
                await connection.execute(self._block("holders_end"), where)
        return False

    async def epochs(self, connection: Connection) -> dict[int, int]:
        """Read the highest epoch that each lane has announced; none where our tables are not there."""
        try:
            return dict(await (await connection.execute(self._block("epochs"))).fetchall())
        except psycopg.errors.UndefinedTable:
            return {}

    async def beat(self, connection: Connection, beat: Beat, over: str | None) -> Beat | None:
        """Store a beat unless another system's stands there, or a higher count of its own; give what stood there.

        The first use of our tables at each renewal: what somebody has dropped of them is put back here.
        """
        await self.prepare(connection)
        async with connection.transaction():
            await connection.execute(self._block("turn"), {"schema": self.schema})
            row = await (await connection.execute(self._block("lock_beat"))).fetchone()
            before = Beat(*row) if row else None
            if before is None or _gives_way(before, beat, over):
                await connection.execute(self._block("write_beat"), dataclasses.asdict(beat))
        return before

    async def read_beat(self, connection: Connection) -> Beat | None:
        """Read the heartbeat; nothing where our tables are not there."""
        try:
            row = await (await connection.execute(self._block("read_beat"))).fetchone()
        except psycopg.errors.UndefinedTable:
            return None
        return Beat(*row) if row else None

    async def probe(self, connection: Connection) -> None:
        """Write something small and durable."""
        await connection.execute(self._block("probe"))


def _gives_way(before: Beat, beat: Beat, over: str | None) -> bool:
    if before.system not in {beat.system, over}:
        return False
    return before.installation != beat.installation or before.count <= beat.count
