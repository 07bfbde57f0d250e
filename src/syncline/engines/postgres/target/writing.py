"""A batch as one transaction behind the fence: in one round trip, and carefully where that one is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import psycopg
from psycopg import sql

from syncline.engines.postgres.target import statements
from syncline.engines.postgres.target.careful import Careful
from syncline.engines.postgres.target.changes import Changes, Outcome, column_texts, key_texts
from syncline.engines.postgres.target.fence import LOST, Control
from syncline.engines.postgres.target.refusals import is_of_rows
from syncline.engines.postgres.target.session import Connection, as_ours, is_over
from syncline.engines.postgres.target.tables import Table
from syncline.errors import LaneLostError
from syncline.model.entity import TableName

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
Statement = tuple[sql.Composed, list[str]]


class Writing:
    """Writes batches; composed statements are kept."""

    def __init__(self, control: Control, tables: Mapping[TableName, Table]) -> None:
        self._control = control
        self._tables = tables
        self._composed: dict[tuple[str, Table, tuple[str, ...]], sql.Composed] = {}

    async def write(
        self,
        connection: Connection,
        lanes: Mapping[int, int],
        batch: Sequence[Changes],
        yielding: Collection[tuple[Table, str]] = (),
        *,
        admission: str = "",
    ) -> Outcome:
        """Write a batch and commit it.

        Args:
            connection: ours alone.
            lanes: lane to the epoch under which the batch's states were read.
            batch: what to write, by table.
            yielding: rows, by table and key, that give up unique values and references before anything is written.
            admission: what the gates said before the marks of the batch were read.

        Raises:
            LaneLostError: it is not written, as lanes are somebody else's; or what became of it is unknown.
            TargetGateError: it is not written, as a gate has changed since, or is not the link's.
            TargetUnavailableError: it is not written, and nothing is wrong with it.
            TargetError: it is not written, and it is not known which row is the reason.

        """
        try:
            careful = Careful(self._control, self._statements, self._tables)
            if not yielding and not any(map(careful.takes_along, batch)):
                try:
                    await self._at_once(connection, lanes, batch, admission)
                except psycopg.Error as error:
                    if is_over(connection) or not is_of_rows(error):
                        raise
                else:
                    return Outcome()
            return await careful.write(connection, lanes, batch, yielding, admission=admission)
        except psycopg.Error as error:
            raise self._failed(connection, lanes, error) from error
        except BaseException:
            # Cancelled, or out of time: the server may go on, and commit.
            await connection.close()
            raise

    def _failed(self, connection: Connection, lanes: Mapping[int, int], error: psycopg.Error) -> Exception:
        if is_over(connection):
            return LaneLostError(
                "the connection to the target ended, and what became of a batch is unknown", lanes=lanes, unknown=True
            )
        if error.sqlstate == LOST:
            lost = {int(lane) for lane in (error.diag.message_detail or "").split(",") if lane}
            return LaneLostError("lanes of a batch are another worker's by now", lanes=lost, unknown=False)
        return as_ours(error)

    async def _at_once(
        self, connection: Connection, lanes: Mapping[int, int], batch: Sequence[Changes], admission: str
    ) -> None:
        """Send everything in one go: no client can freeze between the statements."""
        first: psycopg.Error | None = None
        parts = self._statements(batch)
        try:
            async with connection.pipeline() as pipeline:
                try:
                    await connection.execute(BEGIN)
                    await connection.execute(self._control.enter, self._control.entering(lanes, admission))
                    for statement, values in parts:
                        await connection.execute(statement, values)
                    await connection.execute("COMMIT")
                    await pipeline.sync()
                except psycopg.Error as error:
                    first = error  # the others only say that the pipeline was aborted
        except psycopg.Error as error:
            first = first or error
        if first is not None:
            if not is_over(connection):
                await connection.rollback()
            raise first

    def _statements(self, batch: Sequence[Changes]) -> list[Statement]:
        """List a batch's statements: what is there by one, what is gone by one, so that circles of references pass."""
        puts = [self._upsert(changes) for changes in batch if changes.puts]
        gone = [self._delete(changes) for changes in batch if changes.gone]
        return [_together(group) for group in (puts, gone) if group]

    def _upsert(self, changes: Changes) -> Statement:
        names = tuple(changes.names)
        composed = self._composed.get(("upsert", changes.table, names))
        if composed is None:
            composed = self._composed["upsert", changes.table, names] = statements.upsert(changes.table, names)
        return composed, column_texts(changes.table, names, [put.values for put in changes.puts])

    def _delete(self, changes: Changes) -> Statement:
        composed = self._composed.get(("delete", changes.table, ()))
        if composed is None:
            composed = self._composed["delete", changes.table, ()] = statements.delete(changes.table)
        return composed, key_texts([gone.values for gone in changes.gone])


def _together(parts: Sequence[Statement]) -> Statement:
    if len(parts) == 1:
        return parts[0]
    names = [sql.Identifier(f"part{number}") for number in range(len(parts))]
    ctes = [sql.SQL("{} AS ({})").format(name, part) for name, (part, _) in zip(names, parts, strict=True)]
    whole = sql.SQL("WITH {} SELECT").format(sql.SQL(", ").join(ctes))
    return whole, [value for _, values in parts for value in values]
