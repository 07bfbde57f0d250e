"""Carries ranges over: one transaction in the target each, on two connections that are a copier's own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing

import psycopg
from psycopg import sql
from psycopg.pq import ConnStatus

from syncline.config.urls import without_pooler
from syncline.engines.postgres.copying import select
from syncline.engines.postgres.copying.pipe import Connection, is_of_target, pour
from syncline.engines.postgres.copying.ranges import block
from syncline.engines.postgres.target import gates
from syncline.engines.postgres.target.refusals import CONFLICTS, is_of_rows
from syncline.engines.postgres.target.session import LIMITS, as_ours, first_line
from syncline.engines.postgres.target.tables import Table, qualified
from syncline.errors import RejectedRowError, SynclineError, TargetUnavailableError
from syncline.model.keys import key_array_text
from syncline.model.mark import Hint
from syncline.ports import Plan
from syncline.ports.copying import Copied, Range, RangeLostError, Tell
from syncline.postgres import pins
from syncline.postgres.bounded import COPY_SILENT_SECONDS, bounded
from syncline.postgres.connection import translated as source_translated
from syncline.postgres.sql import blocks

NAME = "syncline copy"
WAIT_SECONDS = 5.0
"""So long a range waits for an earlier copier's open transaction before that one is ended."""
_SOURCE: Mapping[str, str] = {"statement_timeout": "0", "lock_timeout": "10s"}
_TARGET: Mapping[str, str] = {
    **LIMITS,
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "60s",
}
ROUNDS = 100
"""So many times rows are looked through whose parents are among them."""


class SqlCarrier:
    """See ``syncline.ports.copying.Carrier``.

    Args:
        source: URL.
        target: URL.
        tables: the target's, by entity.
        binary: entities whose values travel in binary form.
        schema: ours, in the target.
        link: whose writes these are, for the capture of its way back.
        path: the ``search_path`` under which conditions are evaluated.
        connect_seconds: how long to wait for each connection.

    """

    def __init__(
        self,
        source: str,
        target: str,
        tables: Mapping[int, Table],
        binary: Collection[int],
        *,
        schema: str,
        link: str = "syncline",
        path: str | None = None,
        connect_seconds: int = 5,
    ) -> None:
        self._urls = without_pooler(source)[0], target
        self._tables, self._binary, self._schema, self._link = tables, binary, schema, link
        self._path = {} if path is None else {"search_path": path}
        self._connect_seconds = connect_seconds
        self._source: Connection | None = None
        self._target: Connection | None = None

    def carry(self, plan: Plan, part: Range, tell: Tell) -> Copied:
        """Copy a range."""
        whole = False
        try:
            try:
                copied = self._carried(plan, part, tell, self._poured)
            except psycopg.Error as error:
                if not is_of_target(error) or error.sqlstate not in CONFLICTS:
                    raise
                copied = self._carried(plan, part, tell, self._staged)
            whole = True
        except psycopg.Error as error:
            raise _explained(error, plan, part) from error
        except SynclineError:
            raise
        finally:
            if not whole:
                self.close()
        return copied

    def _carried(
        self, plan: Plan, part: Range, tell: Tell, how: Callable[[Connection, Connection, Plan, Range, Tell], Copied]
    ) -> Copied:
        source, target = self._opened()
        with of_side(target=True):
            admission = _admission(target)  # before any row is read
            attempt = self._begun(target, part)
            with target.transaction():
                mine = {"id": part.id, "attempt": attempt}
                if target.execute(block("enter", self._schema), mine).fetchone() is None:
                    raise RangeLostError
                target.execute(block("tag", self._schema), {"link": self._link, "admission": admission})
                copied = how(source, target, plan, part, tell)
                target.execute(block("done", self._schema), {"id": part.id, "rows": copied.rows})
        return copied

    def _begun(self, target: Connection, part: Range) -> int:
        """Shut out whoever was at this range, and wait until nothing of theirs can be committed any more."""
        for _ in range(3):
            try:
                row = target.execute(block("attempt", self._schema), {"id": part.id}).fetchone()
            except psycopg.errors.LockNotAvailable:
                self._end_holders(part)
                continue
            if row is None:
                raise RangeLostError
            return int(row[0])
        raise TargetUnavailableError(
            f"another copier holds range {part.number}, and could not be ended",
            hint="end the `syncline copy` that is frozen somewhere; then run it again",
        )

    def _end_holders(self, part: Range) -> None:
        """End the sessions of frozen copiers: while one waits for the range, the server tells who holds it."""
        with closing(self._connected_target()) as waiting, closing(self._connected_target()) as looking:
            text = block("attempt", self._schema).as_string(waiting).replace("%(id)s", str(part.id))
            waiting.pgconn.send_query(text.encode())
            waiting.pgconn.flush()
            for _ in range(20):
                ended = looking.execute(block("holders", self._schema), {"pid": waiting.info.backend_pid}).fetchall()
                waiting.pgconn.consume_input()
                if ended or not waiting.pgconn.is_busy():
                    break
                looking.execute("SELECT pg_catalog.pg_sleep(0.05)")
            _give_up(waiting)

    def _poured(self, source: Connection, target: Connection, plan: Plan, part: Range, tell: Tell) -> Copied:
        rows, size = self._pour(source, target, plan, part, tell, into=None)
        return Copied(rows, size)

    def _pour(
        self,
        source: Connection,
        target: Connection,
        plan: Plan,
        part: Range,
        tell: Tell,
        *,
        into: sql.Composable | None,
    ) -> tuple[int, int]:
        table, binary = self._tables[plan.id], plan.id in self._binary
        fields = select.fields_of(plan, table)
        read = select.read(plan, fields, part.bounds, binary=binary)
        write = select.write(into or qualified(table.name), fields, binary=binary)
        with of_side(target=False):  # through a pooler each transaction may meet another session
            source.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")
            source.execute(pins.statement(self._source_settings(source), local=True))
        try:
            found = pour(source, read.as_bytes(source), target, write.as_bytes(target), tell)
        except psycopg.OperationalError as error:
            if source.pgconn.status == ConnStatus.BAD:
                error.of_target = False  # type: ignore[attr-defined]
            raise
        with of_side(target=False):
            source.execute("COMMIT")
        return found

    def _staged(self, source: Connection, target: Connection, plan: Plan, part: Range, tell: Tell) -> Copied:
        """Write what does not have to wait for other rows; mark the rest, before the range is done."""
        table = self._tables[plan.id]
        target.execute(select.stage(table))
        rows, size = self._pour(source, target, plan, part, tell, into=select.STAGED)
        fields = select.fields_of(plan, table)
        for _ in range(ROUNDS):
            if not target.execute(select.unstage(table, fields)).rowcount:
                break
            tell(0, 0)
        names = plan.projection.codec.names
        keys = [_key(one) for one in target.execute(select.staged_keys(names)).fetchall()]
        if keys:
            values = {"entity": plan.id, "keys": keys, "hint": Hint.REPAIR.value}
            with of_side(target=False):
                source.execute(blocks("queries.sql")["mark"], values)
        return Copied(rows - len(keys), size, keys)

    def _opened(self) -> tuple[Connection, Connection]:
        if self._source is None or self._source.closed:
            self._source = self._connected(self._urls[0])
        if self._target is None or self._target.closed:
            with of_side(target=True):
                self._target = self._connected_target()
        return self._source, self._target

    def _connected_target(self) -> Connection:
        target = self._connected(self._urls[1])
        limits = {**_TARGET, "lock_timeout": f"{int(WAIT_SECONDS * 1000)}ms"}
        if target.info.parameter_status("is_superuser") != "on":
            del limits["session_replication_role"]
        target.execute(pins.statement(pins.on_postgresql(target.info.server_version, limits, keyed=False), local=False))
        return target

    def _connected(self, url: str) -> Connection:
        return psycopg.Connection.connect(
            url, **bounded(NAME, connect_seconds=self._connect_seconds, silent_seconds=COPY_SILENT_SECONDS)
        )

    def _source_settings(self, source: Connection) -> dict[str, str]:
        return pins.on_postgresql(source.info.server_version, {**_SOURCE, **self._path}, keyed=True)

    def close(self) -> None:
        """Close the connections."""
        for connection in (self._source, self._target):
            if connection is not None:
                connection.close()
        self._source = self._target = None


@contextlib.contextmanager
def of_side(*, target: bool) -> Iterator[None]:
    """Note on which side an error of the driver was raised, unless that is known."""
    try:
        yield
    except psycopg.Error as error:
        if not hasattr(error, "of_target"):
            error.of_target = target  # type: ignore[attr-defined]
        raise


def _admission(target: Connection) -> str:
    row = target.execute(gates.statement("exists")).fetchone()
    there = row is not None and row[0]
    return gates.gates_of(target.execute(gates.statement("gates")).fetchall()).admission if there else ""


def _give_up(waiting: Connection) -> None:
    """End a statement before its connection is closed: the server would go on, and shut out who has the range next."""
    waiting.cancel_safe(timeout=WAIT_SECONDS)
    until = time.monotonic() + WAIT_SECONDS
    while waiting.pgconn.is_busy() and time.monotonic() < until:
        time.sleep(0.01)
        waiting.pgconn.consume_input()


def _key(texts: tuple[str, ...]) -> str:
    return texts[0] if len(texts) == 1 else key_array_text(texts)


def _explained(error: psycopg.Error, plan: Plan, part: Range) -> SynclineError:
    if not is_of_target(error):
        try:
            with source_translated():
                raise error
        except SynclineError as ours:
            return ours
    if is_of_rows(error):
        where = ", ".join((error.diag.context or "").splitlines()[:1]).partition(": ")[0]
        return RejectedRowError(
            f"{plan.name}: the target refuses a row: {first_line(error)} (range {part.number}, {part.bounds}; {where})",
            hint="correct the row in the source or the rule in the target, then run `syncline copy` again: it goes on",
        )
    return as_ours(error)
