"""What the tests of SQL targets share: tables, rows, and a second session that stands in somebody's way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import psycopg

from syncline.engines.postgres.target.changes import Changes, Gone, Outcome, Put
from syncline.engines.postgres.target.tables import Table
from syncline.engines.postgres.target.target import SqlTarget
from syncline.model.entity import Entity, TableName

LANES = {0: 1, 5: 1}


def entity(name: str, *key: str) -> Entity:
    return Entity(name, TableName("public", name), name, key=key)


class Stage:
    """A target with tables, and short calls."""

    def __init__(self, url: str, target: SqlTarget) -> None:
        self.url = url
        self.target = target
        self.tables: dict[str, Table] = {}

    async def open(self, *names: str) -> None:
        await self.target.prepare([entity(name) for name in names])
        await self.target.announce(LANES)
        for name in names:
            self.tables[name] = await self.target.table(TableName("public", name))

    def changes(self, name: str, *rows: Sequence[Any], gone: Sequence[Any] = ()) -> Changes:
        """Rows as values in the order of the columns, the key first; ``gone``: keys."""
        table = self.tables[name]
        names = [column.name for column in table.columns]
        keys = len(table.key)
        puts = [Put(str(row[0]) if keys == 1 else str(row[:keys]), [_text(value) for value in row]) for row in rows]
        deletes = [Gone(str(key), [_text(v) for v in (key if isinstance(key, tuple) else (key,))]) for key in gone]
        return Changes(table, names, puts, deletes)

    async def put(self, name: str, *rows: Sequence[Any], gone: Sequence[Any] = ()) -> Outcome:
        return await self.target.write(LANES, [self.changes(name, *rows, gone=gone)])

    def run(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, name: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall()


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


@contextlib.asynccontextmanager
async def stage(url: str, *statements: str, tables: Sequence[str] = (), **options: Any) -> AsyncIterator[Stage]:
    target = SqlTarget(url, **options)
    made = Stage(url, target)
    made.run(*statements)
    try:
        await made.open(*tables)
        yield made
    finally:
        await target.close()


@contextlib.contextmanager
def session(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Another session, in a transaction that is rolled back unless the test commits it."""
    with contextlib.closing(psycopg.connect(url)) as connection:
        yield connection


async def waiting(url: str, doing: asyncio.Task[Any], *, locktype: str = "%", number: int = 1) -> None:
    """Wait until so many wait for a lock, or what should is done."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while not doing.done():
            found = await connection.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype LIKE %s"
                " AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())",
                [locktype],
            )
            if (await found.fetchone() or (0,))[0] >= number:
                return
            await asyncio.sleep(0.02)
