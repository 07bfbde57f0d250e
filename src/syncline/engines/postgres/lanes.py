"""Leases and heartbeat in an SQL database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb

from syncline.engines.postgres.connections import require_same
from syncline.errors import VersionError
from syncline.journal.migration import SCHEMA_VERSION
from syncline.journal.named import Statements
from syncline.ports import Identity, LaneRow, Renewal


class SqlLanes:
    """See ``syncline.ports.Lanes``."""

    def __init__(self, statements: Statements, worker: str, identity: Identity) -> None:
        self.worker = worker
        self._identity = identity
        self._statements = statements

    async def renew(
        self, *, name: str, version: str, ttl: timedelta, confirmed: int, report: Mapping[str, Any], seen: str = ""
    ) -> Renewal:
        """Renew this worker's leases, advance the beat, and read who holds what."""
        await require_same(self._statements.connection, self._identity)
        told = Jsonb({**report, "lease_seconds": ttl.total_seconds(), "schema": SCHEMA_VERSION})
        values = {"name": name, "version": version, "ttl": ttl, "confirmed": confirmed, "report": told, "seen": seen}
        found = await self._statements.one("renew", **values)
        beat, confirmed_beat, installation, epoch, nonces, contested, oldest = found
        if oldest > SCHEMA_VERSION:
            raise VersionError(
                f"the database has schema version {oldest}, this Syncline knows {SCHEMA_VERSION}",
                hint="upgrade the syncline package here",
            )
        lanes = await self._statements.all("lanes")
        workers = await self._statements.all("live_workers")
        rows = {lane: LaneRow(owner, at, sure, free) for lane, owner, at, sure, free in lanes}
        live = [worker for (worker,) in workers]
        return Renewal(beat, confirmed_beat, installation, epoch, rows, live, nonces, contested)

    async def call(self) -> bool:
        """Shorten the leases of other workers that rest to their usual length; tell whether there are any."""
        return bool(await self._statements.all("call_resting"))

    async def acquire(self, lanes: Sequence[int], *, above: int) -> dict[int, int]:
        """Take the free ones of these lanes under one new epoch higher than ``above``; return lane to epoch."""
        return {lane: epoch for lane, epoch, _ in await self._acquired(lanes, above)}

    async def _acquired(self, lanes: Sequence[int], above: int) -> list[tuple[Any, ...]]:
        return await self._statements.all("acquire", lanes=list(lanes), above=above)

    async def confirm(self, leases: Mapping[int, int]) -> set[int]:
        """Note that these epochs stand in the target; return the lanes that we still own."""
        return {lane for (lane,) in await self._statements.all("confirm", **_arrays(leases))}

    async def release(self, leases: Mapping[int, int]) -> None:
        """Give lanes back."""
        await self._statements.run("release", **_arrays(leases))

    async def leave(self) -> None:
        """Take this worker off the list."""
        await self._statements.run("leave")

    async def trim(self) -> None:
        """End leases in time that were given before the source's clock was set back."""
        await self._statements.run("trim_leases")

    async def forget_workers(self) -> None:
        """Remove the rows of workers that are long gone."""
        await self._statements.run("forget_workers")

    async def current_epoch(self) -> int:
        """Read the epoch counter as it stands."""
        return int((await self._statements.one("installation"))[3])

    async def current_beat(self) -> int:
        """Read the beat as it stands."""
        return int((await self._statements.one("installation"))[4])

    async def raise_beat(self, beat: int, nonce: str = "") -> None:
        """Set the beat to at least this."""
        await self._statements.run("raise_beat", beat=beat, nonce=nonce)

    async def nonces(self) -> Sequence[str]:
        """Read what renewals have left in the target, as of now."""
        return list((await self._statements.one("nonces"))[0])

    async def contested(self) -> str | None:
        """Tell who else was seen to write to the target."""
        found = (await self._statements.one("contested"))[0]
        return None if found is None else str(found)

    async def contest(self, who: str) -> None:
        """Note that somebody else writes to the target."""
        await self._statements.run("contest", who=who)

    async def adopt(self, *, count: int, above: int) -> tuple[int, str, str]:
        """Take counters above these; return beat, installation and a new nonce."""
        beat, installation, nonce = await self._statements.one("adopt", count=count, above=above)
        return int(beat), str(installation), str(nonce)


def _arrays(leases: Mapping[int, int]) -> dict[str, Any]:
    return {"lanes": list(leases), "epochs": list(leases.values())}
