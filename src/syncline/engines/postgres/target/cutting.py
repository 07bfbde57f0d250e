"""Keys that cut a table into parts of about as many rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from syncline.engines.postgres.target import statements
from syncline.engines.postgres.target.session import Connection
from syncline.engines.postgres.target.tables import Table

HOP = 500_000
"""Entries of an index that one statement passes."""


async def cut(
    asking: Callable[[], AbstractAsyncContextManager[Connection]], table: Table, parts: int, *, least: int
) -> Sequence[Sequence[str]]:
    """Find them, as texts, at so many entries of the key's index behind each other."""
    async with asking() as connection:
        row = await (await connection.execute(statements.size(table))).fetchone()
    size = max(least, -(-(row[0] if row else 0) // parts))
    cuts: list[list[str]] = []
    last: list[str] = []
    while len(cuts) < parts - 1:
        for passed in range(0, size, HOP):
            query = statements.page(table, after=bool(last), offset=True)
            hop = min(HOP, size - passed) - bool(last)
            async with asking() as connection:
                found = await (await connection.execute(query, [*last, 1, hop])).fetchone()
            if found is None:
                return cuts
            last = [*found]
        cuts.append(last)
    return cuts
