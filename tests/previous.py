"""The previous release, played: its worker and its applications, by the statements that they send (``data/release_1``).

A clone in CI may have no history to run the release itself from. What is played is what the database sees of it: its
sessions and their names, the look at the version, leases, marks, states, the acknowledgement, and what it does when a
session ends. It serves one plain table.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from syncline.errors import VersionError
from syncline.model.mark import ticket
from syncline.ports import Absence, Batch, Beat, State, Target
from tests.relay import ITEM

DATA = Path(__file__).parent / "data" / "release_1"
SCHEMA_VERSION = 1
LANES = range(64)
TTL, GRACE = timedelta(seconds=5), timedelta(seconds=1)
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def blocks(file: str) -> Mapping[str, str]:
    """Read what the release sent, by name."""
    parts = _NAME.split((DATA / file).read_text("utf-8"))[1:]
    return {
        name: "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


def acknowledgement(*parts: str) -> str:
    """Compose the statement as the release did."""
    texts = blocks("acknowledge.sql")
    return f"WITH {', '.join(texts[part] for part in ('held', 'done', *parts))} SELECT lane FROM held"


class PreviousWorker:
    """A worker of the previous release that serves ``item``."""

    def __init__(self, url: str, target: Target) -> None:
        self.url, self.target = url, target
        self.id = str(uuid4())
        self.held: dict[int, int] = {}
        self.applied = 0
        self.sessions = 0
        self._batch = 0
        self._stopping = False

    async def run(self) -> None:
        """Work until ``stop``; a session that ends is opened anew.

        Raises:
            VersionError: the schema is another release's.

        """
        while not self._stopping:
            with contextlib.suppress(psycopg.OperationalError, psycopg.InterfaceError):
                await self._session()

    def stop(self) -> None:
        """End after the batch that is under way, and give the lanes back."""
        self._stopping = True

    async def _session(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            reader, acker, control = [
                await stack.enter_async_context(
                    await AsyncConnection.connect(self.url, autocommit=True, application_name=f"syncline {role}")
                )
                for role in ("reader", "acker", "control")
            ]
            await self._require_version(control)
            self.sessions += 1
            self.held = {}
            beat = asyncio.get_running_loop().time()
            while not self._stopping:
                if asyncio.get_running_loop().time() >= beat:
                    await self._renew(control)
                    beat += 0.2
                if not await self._apply(reader, acker):
                    await control.execute(blocks("queries.sql")["promote_deferred"], {"limit": 1000})
                    await asyncio.sleep(0.01)
            await self._run(control, "release", lanes=list(self.held), epochs=list(self.held.values()), worker=self.id)
            await self._run(control, "leave", worker=self.id)

    @staticmethod
    async def _require_version(conn: AsyncConnection[Any]) -> None:
        row = await (await conn.execute(blocks("registry.sql")["version"])).fetchone()
        assert row is not None
        if row[0] != SCHEMA_VERSION:
            raise VersionError(
                f"the database has schema version {row[0]}, this Syncline knows {SCHEMA_VERSION}",
                hint="upgrade the syncline package here; a newer one has been at this database",
            )
        await conn.execute(blocks("registry.sql")["entities"])

    @staticmethod
    async def _run(conn: AsyncConnection[Any], block: str, /, **values: Any) -> list[Any]:
        cursor = await conn.execute(blocks("queries.sql")[block], values)
        return await cursor.fetchall() if cursor.description else []

    async def _renew(self, conn: AsyncConnection[Any]) -> None:
        [(system, timeline, *_)] = await self._run(conn, "identity")
        report = Jsonb({"lease_seconds": TTL.total_seconds()})
        [(count, _, installation, _)] = await self._run(
            conn, "renew", worker=self.id, name="previous", version="0.1.0", ttl=TTL, confirmed=0, report=report
        )
        rows = {row[0]: row[1:] for row in await self._run(conn, "lanes")}
        self.held = {lane: epoch for lane, epoch in self.held.items() if rows[lane][:2] == (self.id, epoch)}
        await self.target.beat(Beat(installation, system, count, timeline))
        share = len(LANES) // len(await self._run(conn, "live_workers"))
        given = dict(list(self.held.items())[share:])
        if given:
            await self._run(conn, "release", lanes=list(given), epochs=list(given.values()), worker=self.id)
            self.held = {lane: epoch for lane, epoch in self.held.items() if lane not in given}
        free = [lane for lane, (_, _, _, free) in rows.items() if free and lane not in self.held][
            : share - len(self.held)
        ]
        if free:
            above = max((await self.target.lane_epochs()).values(), default=0)
            taken = {
                row[0]: row[1] for row in await self._run(conn, "acquire", lanes=free, above=above, worker=self.id)
            }
            told = {lane: taken[lane] for lane in await self.target.announce(taken)}
            sure = await self._run(conn, "confirm", lanes=list(told), epochs=list(told.values()), worker=self.id)
            self.held |= {lane: told[lane] for (lane,) in sure}

    async def _apply(self, reader: AsyncConnection[Any], acker: AsyncConnection[Any]) -> bool:
        """Apply the marks that wait; tell whether there were any."""
        lanes = sum(1 << lane for lane in self.held)
        mask = lanes - (1 << 64) if lanes >> 63 else lanes
        values = {"after": 0, "lanes": mask, "except": [2, 3], "limit": 500}
        marks = await self._run(reader, "read_marks", **values)
        if not marks:
            return False
        self._batch += 1
        lane_of = {key: lane for _, lane, _, key, *_ in marks}
        states = await reader.execute(
            "SELECT id::text, id, name, qty FROM item WHERE id::text = ANY(%s)", [list(lane_of)]
        )
        batch = Batch(ITEM)
        for key, id_, name, qty in await states.fetchall():
            number = ticket(self.held[lane_of.pop(key)], self._batch)
            batch.upserts.append(State(key, id_, number, {"_id": id_, "name": name, "qty": qty}))
        batch.deletes = [Absence(key, int(key), ticket(self.held[lane], self._batch)) for key, lane in lane_of.items()]
        await self.target.apply(batch)
        await self._acknowledge(acker, marks, lane_of)
        self.applied += len(marks)
        return True

    async def _acknowledge(self, acker: AsyncConnection[Any], marks: list[Any], absent: dict[str, int]) -> None:
        first = {key for _, _, _, key, hint, _ in marks if hint != "G"}
        again = [(key, lane) for key, lane in absent.items() if key in first]
        lanes = sorted({mark[1] for mark in marks})
        values = {
            "seqs": [mark[0] for mark in marks],
            "lanes": lanes,
            "epochs": [self.held[lane] for lane in lanes],
            "worker": self.id,
            "grace": GRACE,
            "absent_entities": [1] * len(again),
            "absent_lanes": [lane for _, lane in again],
            "absent_keys": [key for key, _ in again],
        }
        held = await acker.execute(acknowledgement("all_good", "clear", "again", "remember"), values)
        lost = set(lanes) - {lane for (lane,) in await held.fetchall()}
        keys = sorted({mark[3] for mark in marks if mark[1] in lost})
        if keys:
            await self._run(acker, "mark", entity=1, keys=keys, hint="R")
