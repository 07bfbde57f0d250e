"""PostgreSQL as a source: marks, states, acknowledgements, leases. One object is one session with one server."""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb

from syncline.errors import NotInstalledError, SourceChangedError, SourceUnavailableError, TableLockedError
from syncline.model.mark import Mark
from syncline.outbox import acknowledge
from syncline.outbox.bounded import Bound
from syncline.outbox.connection import Connection, connect, identify, is_lent, translated
from syncline.outbox.dialect import dialect_of, on_cockroach, statements
from syncline.outbox.loaders import register_loaders
from syncline.outbox.migration import SCHEMA_VERSION
from syncline.outbox.notices import leave_notice
from syncline.outbox.path import pin_path
from syncline.outbox.registry import require_installed, schema_version
from syncline.outbox.states import queries_of, read_states, read_together
from syncline.ports import Acknowledgement, Identity, LaneRow, Plan, Renewal, States

_WAKE_LOCK = (1398361667, 1)
_SETTINGS = {
    # States are read from users' tables: one that is being altered must not hold up the others.
    "reader": {"lock_timeout": "250ms"},
    # It joins thousands of marks with what became of them.
    "acker": {"enable_hashjoin": "on"},
    "control": {},
}
"""What each connection needs beside what all need."""
_APART = {"lock_timeout": "1s"}
"""What is read apart waits for a lock in turn with others that are read so."""


class PostgresSource:
    """A session with the source; made by ``open``.

    It has a connection per activity, so that none waits for another: ``reader`` (marks, then states), ``acker``,
    ``control`` (leases and housekeeping), a ``listener`` where writers wake it, and one more from the first time that
    records are found which cannot be read: those are looked for apart. When one of them fails the session
    is over: whoever holds it drops all batches and leases, and opens another one.
    """

    source_name = "postgresql"
    can_wake = True
    """Whether writers can wake an idle relay."""

    def __init__(self, url: str, worker: str, identity: Identity, connections: Sequence[Connection]) -> None:
        self.url = url
        self.worker = worker
        self.identity = identity
        self.reader, self.acker, self.control = connections[:3]
        self.listener = connections[3] if len(connections) > 3 else None
        self.can_wake = type(self).can_wake and self.listener is not None
        self.dialect = dialect_of(self.control)
        self._queries = statements("queries.sql", self.dialect)
        self.holds_wake_lock = False
        self._relied_on: int | None = None
        self._reading = asyncio.Lock()  # a snapshot of parent and children spans statements: nothing comes between
        self._reading_apart = asyncio.Lock()
        self._apart: Connection | None = None

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        worker: str,
        known: Identity | None = None,
        wake: bool = True,
        connect_timeout: timedelta = timedelta(seconds=5),
    ) -> PostgresSource:
        """Connect.

        Args:
            url: the source's connection string.
            worker: this worker's id (a UUID as text).
            known: the server of the session before.
            wake: let writers wake an idle relay, where that can be: it takes a lock and listens, both for its session.
            connect_timeout: how long to wait for each connection.

        Raises:
            SourceUnavailableError: it cannot be reached.
            PoolerError: a pooler is in the way.
            SourceChangedError: another server answers than the known one (restart, failover, restore).
            NotInstalledError, VersionError: Syncline's tables are not there, or not of this version.

        """
        connections: list[Connection] = []
        kind, wait = cls, max(1, round(connect_timeout.total_seconds()))
        try:
            for role, settings in _SETTINGS.items():
                named = f"syncline {role}"
                connections.append(
                    await connect(url, keyed=True, application=named, settings=settings, timeout_seconds=wait)
                )
            if wake and not is_lent(connections[2]):
                connections.append(await connect(url, application="syncline listener", timeout_seconds=wait))
            if on_cockroach(connections[2]):
                from syncline.outbox.cockroach import CockroachSource  # a subclass

                kind = CockroachSource
            with translated():
                await require_installed(connections[2], await schema_version(connections[2]))
            identity = await identify(connections[2])
            if known is not None and identity != known:
                raise SourceChangedError(f"the source is not the server it was: {_difference(known, identity)}")
            for connection in connections[:3]:
                register_loaders(connection.adapters)
                await pin_path(connection)
        except BaseException:
            for connection in connections:
                await connection.close()
            raise
        return kind(url, worker, identity, connections)

    async def close(self) -> None:
        """Close every connection."""
        for connection in (self.reader, self.acker, self.control, self.listener, self._apart):
            if connection is not None:
                await connection.close()

    # -- marks and states

    async def read_marks(self, *, after: int, lanes: int, limit: int, without: Sequence[int] = ()) -> list[Mark]:
        """Read waiting marks in the order of ``seq``.

        Args:
            after: only marks above this ``seq``.
            lanes: bit mask of the lanes, as a signed 64-bit integer.
            limit: at most so many.
            without: ids of entities to leave out.

        """
        values = {"after": after, "lanes": lanes, "limit": limit, "except": list(without)}
        try:
            with translated():
                async with self._reading, self.reader.cursor(binary=True) as cursor:
                    await cursor.execute(self._queries["read_marks"], values)
                    return await cursor.fetchall()  # type: ignore[return-value]  # rows have Mark's layout
        except TableLockedError as error:  # our own table: nothing can be read until it is let go
            raise SourceUnavailableError(error.message) from error

    @staticmethod
    def reads_together(plan: Plan) -> bool:
        """Tell whether marks and an entity's states can be had in one statement."""
        return queries_of(plan).together is not None

    async def read_together(
        self, plan: Plan, *, after: int, lanes: int, limit: int, without: Sequence[int] = ()
    ) -> tuple[list[Mark], States]:
        """Read waiting marks and, in the same snapshot, one entity's states; see ``read_marks``, ``read_states``."""
        values = {"after": after, "lanes": lanes, "limit": limit, "except": list(without)}
        async with self._reading:
            return await read_together(self.reader, plan, values)

    async def read_states(
        self, plan: Plan, keys: Sequence[str], *, bound: Bound | None = None, apart: bool = False
    ) -> States:
        """Read records as they now are; see ``states.read_states``. Within a ``bound`` it may be an ``Excerpt``.

        Args:
            plan: the entity.
            keys: their texts.
            bound: on the memory that the states take.
            apart: on a connection that nothing else waits for.

        """
        async with self._reading_on(apart=apart) as connection:
            if bound is None:
                return await read_states(connection, plan, keys)
            return await bound.read(connection, plan, keys)

    @contextlib.asynccontextmanager
    async def _reading_on(self, *, apart: bool) -> AsyncIterator[Connection]:
        """Have one of the connections that read states for oneself."""
        if not (apart and await self._can_read_apart()):
            async with self._reading:
                yield self.reader
            return
        async with self._reading_apart:
            assert self._apart is not None  # noqa: S101  it is there for good
            yield self._apart

    async def _can_read_apart(self) -> bool:
        async with self._reading_apart:
            if self._apart is None:
                with contextlib.suppress(SourceUnavailableError):  # no room for one more: then where all read
                    self._apart = await self._opened_apart()
        return self._apart is not None

    async def _opened_apart(self) -> Connection:
        connection = await connect(self.url, keyed=True, application="syncline apart", settings=_APART)
        try:
            if (found := await identify(connection)) != self.identity:
                raise SourceChangedError(f"the source is not the server it was: {_difference(self.identity, found)}")
            register_loaders(connection.adapters)
            await pin_path(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def wait_flushed(self, *, apart: bool = False) -> None:
        """Wait until everything written so far would survive a crash of the source."""
        async with self._reading_on(apart=apart) as connection:
            position = (await self._one(connection, "insert_position"))[0]
            while not (await self._one(connection, "flushed", lsn=position))[0]:  # noqa: ASYNC110  the server has no event for it
                await asyncio.sleep(0.01)

    async def asynchronous_writers(self) -> bool:
        """Tell whether a setting lets somebody commit before the change is durable."""
        return bool((await self._one(self.control, "asynchronous_writers"))[0])

    async def acknowledge(self, ack: Acknowledgement, *, grace: timedelta, history: bool) -> set[int]:
        """Remove marks under the lease; return the lanes that are still held. Marks of other lanes stay."""
        query = acknowledge.statement(
            self.dialect,
            history=history,
            absent=bool(ack.absent),
            rejected=bool(ack.rejected),
            unpark=ack.unpark,
            documents=bool(ack.documents),
        )
        values = acknowledge.parameters(ack) | {"worker": self.worker, "grace": grace}
        with translated():
            cursor = await self.acker.execute(query, values)
            return {lane for (lane,) in await cursor.fetchall()}

    async def mark(self, entity: int, keys: Sequence[str], hint: str) -> None:
        """Mark keys of an entity."""
        await self._run("mark", entity=entity, keys=list(keys), hint=hint)

    async def parked_entities(self) -> set[int]:
        """List the entities that have parked records."""
        with translated():
            cursor = await self.control.execute("SELECT DISTINCT entity FROM syncline.parked")
            return {entity for (entity,) in await cursor.fetchall()}

    async def drawn(self) -> int:
        """Give the highest ``seq`` that was drawn so far."""
        return int((await self._one(self.reader, "drawn"))[0])

    async def next_transaction(self) -> int:
        """Give a transaction id above all that have drawn a ``seq`` so far."""
        return int((await self._one(self.reader, "next_transaction"))[0])

    async def oldest_transaction(self) -> int:
        """Give the oldest transaction id that is still running."""
        return int((await self._one(self.reader, "oldest_transaction"))[0])

    async def promote_deferred(self, limit: int = 5000) -> int:
        """Turn second deletes that are due into marks; return their number."""
        if not (await self._one(self.control, "deferred_due"))[0]:
            return 0
        return await self._run("promote_deferred", limit=limit)

    # -- waking

    async def announce_idle(self) -> bool:
        """Take the wake lock: from now on writers notify. False while another worker has it or a writer is at work."""
        if not self.can_wake:
            return False
        if not self.holds_wake_lock:
            with translated():
                row = await self._fetchone(self.reader, "SELECT pg_try_advisory_lock(%s, %s)", _WAKE_LOCK)
            self.holds_wake_lock = bool(row[0])
        return self.holds_wake_lock

    async def announce_busy(self) -> None:
        """Give back the wake lock: writers need not notify a relay that reads anyway."""
        if self.holds_wake_lock:
            self.holds_wake_lock = False
            with translated():
                await self.reader.execute("SELECT pg_advisory_unlock(%s, %s)", _WAKE_LOCK)

    def has_lost_reader(self) -> bool:
        """Tell whether something has come in on an idle reader: that it was cut off, and its wake lock is gone."""
        if self.reader.closed:
            return True
        poll = select.poll()
        poll.register(self.reader.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def another_is_idle(self) -> bool:
        """Tell whether another worker holds the wake lock; its wake wakes us too. Who it is, is remembered."""
        self._relied_on = await self._idle_session()
        return self._relied_on is not None

    async def is_another_idle_still(self) -> bool:
        """Tell whether the same one holds it as before: between two holders, writers have told nobody."""
        return self._relied_on is not None and await self._idle_session() == self._relied_on

    async def _idle_session(self) -> int | None:
        found: int | None = (await self._one(self.control, "wake_lock_held"))[0]
        return found

    async def listen(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` at every notification, until the session ends."""
        if self.listener is None:
            await asyncio.Event().wait()
            return
        with translated():
            await self.listener.execute("LISTEN syncline")
            wake()  # what was committed before it listened has told nobody: look once
            async for _ in self.listener.notifies():
                wake()

    async def notify(self) -> None:
        """Wake the other workers."""
        with translated():
            await self.control.execute("NOTIFY syncline")

    # -- leases

    async def renew(
        self, *, name: str, version: str, ttl: timedelta, confirmed: int, report: Mapping[str, Any], seen: str = ""
    ) -> Renewal:
        """Renew this worker's leases, advance the beat, and read who holds what.

        Raises:
            SourceChangedError: the session leads to another server than at its start (a pooler may do that).

        """
        await self._still_the_same()
        told = Jsonb({**report, "lease_seconds": ttl.total_seconds(), "schema": SCHEMA_VERSION})
        values = {"name": name, "version": version, "ttl": ttl, "confirmed": confirmed, "report": told, "seen": seen}
        beat, confirmed_beat, installation, epoch, *rest = await self._one(self.control, "renew", **values)
        with translated():
            lanes = await (await self.control.execute(self._queries["lanes"])).fetchall()
            workers = await (await self.control.execute(self._queries["live_workers"])).fetchall()
        rows = {lane: LaneRow(owner, at, sure, free) for lane, owner, at, sure, free in lanes}
        return Renewal(beat, confirmed_beat, installation, epoch, rows, [worker for (worker,) in workers], *rest)

    async def _still_the_same(self) -> None:
        found = await identify(self.control)
        if found != self.identity:
            raise SourceChangedError(f"the source is not the server it was: {_difference(self.identity, found)}")

    async def nonces(self) -> Sequence[str]:
        """Read what renewals have left in the target, as of now."""
        return list((await self._one(self.control, "nonces"))[0])

    async def contested(self) -> str | None:
        """Tell who else was seen to write to the target."""
        found = (await self._one(self.control, "contested"))[0]
        return None if found is None else str(found)

    async def contest(self, who: str) -> None:
        """Note that somebody else writes to the target: no worker starts here before it is settled."""
        await self._run("contest", who=who)

    async def adopt(self, *, count: int, above: int) -> tuple[int, str, str]:
        """Take counters above these; return beat, installation and a new nonce. Nobody contests the target any more."""
        beat, installation, nonce = await self._one(self.control, "adopt", count=count, above=above)
        return int(beat), str(installation), str(nonce)

    async def settle(self, name: str) -> None:
        """Resolve the notices of this name: their cause is gone."""
        await self._run("settle", name=name)

    async def current_beat(self) -> int:
        """Read the beat as it stands."""
        return int((await self._one(self.control, "installation"))[4])

    async def current_epoch(self) -> int:
        """Read the epoch counter as it stands."""
        return int((await self._one(self.control, "installation"))[3])

    async def raise_beat(self, beat: int, nonce: str = "") -> None:
        """Set the beat to at least this; the nonce that came with it is ours too."""
        await self._run("raise_beat", beat=beat, nonce=nonce)

    async def acquire(self, lanes: Sequence[int], *, above: int) -> dict[int, int]:
        """Take the free ones of these lanes under one new epoch higher than ``above``; return lane to epoch."""
        with translated():
            cursor = await self.control.execute(
                self._queries["acquire"], {"lanes": list(lanes), "above": above, "worker": self.worker}
            )
            return {lane: epoch for lane, epoch, _ in await cursor.fetchall()}

    async def confirm(self, leases: Mapping[int, int]) -> set[int]:
        """Note that these epochs stand in the target; return the lanes that we still own."""
        with translated():
            cursor = await self.control.execute(self._queries["confirm"], self._leases(leases))
            return {lane for (lane,) in await cursor.fetchall()}

    async def release(self, leases: Mapping[int, int]) -> None:
        """Give lanes back."""
        await self._run("release", **self._leases(leases))

    async def leave(self) -> None:
        """Take this worker off the list."""
        await self._run("leave", worker=self.worker)

    async def trim_leases(self) -> None:
        """End leases in time that were given before the source's clock was set back."""
        await self._run("trim_leases")

    async def bury_workers(self) -> None:
        """Remove the rows of workers that are long gone."""
        await self._run("bury_workers")

    # -- housekeeping

    async def rotate_history(self, keep: timedelta) -> None:
        """Make the partitions for today and tomorrow, drop the old ones."""
        with translated():
            await self.control.execute("SELECT syncline.rotate_history(%s)", (keep,))

    async def notice(self, name: str, severity: str, message: str, *, entity: str | None = None) -> None:
        """Leave a message for the operators, once: one of a name is open for an entity, with the newest message.

        Who leaves one of a condition also ends it: ``end_notice``, ``end_notices``, or ``settle_notices``.
        """
        await leave_notice(self.control, name, severity, message, entity=entity)

    async def end_notice(self, name: str, entity: str) -> None:
        """Say that a condition is over."""
        await self._run("end_notice", name=name, entity=entity)

    async def end_notices(self, name: str, *, still: Collection[str]) -> None:
        """Say that a condition is over, for every entity but those for which it still holds."""
        await self._run("end_notices", name=name, still=list(still))

    async def settle_notices(self, verdicts: Collection[str]) -> None:
        """End the notices whose causes our tables show to be gone.

        Args:
            verdicts: reasons of the tasks that a restore asks for.

        """
        await self._run("settle_notices", verdicts=list(verdicts))

    async def entity_names(self) -> dict[int, str]:
        """List the installed entities by id."""
        with translated():
            return dict(await (await self.control.execute(self._queries["entity_names"])).fetchall())

    async def note_fingerprints(self, plans: Collection[Plan]) -> set[int]:
        """Remember what entities were compiled from; give those for which it changed: all their records are marked."""
        values = {"entities": [p.id for p in plans], "fingerprints": [p.projection.fingerprint for p in plans]}
        with translated():
            cursor = await self.control.execute(self._queries["note_fingerprints"], values)
            return {entity for (entity,) in await cursor.fetchall()}

    async def entity_states(self) -> dict[int, tuple[str, str]]:
        """Read name and state of every entity, by id; see ``registry.InstalledEntity``."""
        with translated():
            cursor = await self.control.execute(self._queries["entity_states"])
            return {id_: (name, state) for id_, name, state in await cursor.fetchall()}

    async def fingerprints(self) -> dict[int, str]:
        """Read from what each entity was last compiled, by whichever worker."""
        query = "/* syncline */ SELECT id, fingerprint FROM syncline.entity WHERE fingerprint IS NOT NULL"
        with translated():
            return dict(await (await self.control.execute(query)).fetchall())

    async def request_task(self, kind: str, entity: int, reason: str, options: Mapping[str, Any] | None = None) -> int:
        """Ask for a backfill or a sweep; whichever worker is free does it. Returns the task's id."""
        values = {"kind": kind, "entity": entity, "reason": reason, "options": Jsonb(dict(options or {}))}
        return int((await self._one(self.control, "request_task", **values))[0])

    def _leases(self, leases: Mapping[int, int]) -> dict[str, Any]:
        return {"lanes": list(leases), "epochs": list(leases.values()), "worker": self.worker}

    async def _one(self, connection: Connection, name: str, /, **values: Any) -> tuple[Any, ...]:
        return await self._fetchone(connection, self._queries[name], {"worker": self.worker, **values})

    async def _fetchone(self, connection: Connection, query: str, values: Any) -> tuple[Any, ...]:
        with translated():
            row = await (await connection.execute(query, values)).fetchone()
        if row is None:
            raise NotInstalledError("Syncline's tables are empty", hint="run: syncline install")
        return row

    async def _run(self, name: str, /, **values: Any) -> int:
        with translated():
            return (await self.control.execute(self._queries[name], {"worker": self.worker, **values})).rowcount


def _difference(known: Identity, found: Identity) -> str:
    names = [name for name in ("system", "timeline", "started") if getattr(known, name) != getattr(found, name)]
    return ", ".join(f"{name} {getattr(known, name)} → {getattr(found, name)}" for name in names)
