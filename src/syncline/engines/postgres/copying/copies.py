"""The source's part of a copy: who waits for it, and how a table is divided."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import ceil
from time import monotonic

from psycopg import sql

from syncline.engines.postgres.copying import select
from syncline.journal.named import Statements
from syncline.ports import Plan
from syncline.ports.copying import Bounds, Copy, Layout
from syncline.postgres.connection import Connection, translated
from syncline.postgres.retrying import in_transaction
from syncline.postgres.sql import blocks

PACKAGE = "syncline.engines.postgres.copying"
SAMPLED_PAGES = 30
"""Pages that are read for each range: few enough to cost nothing, enough for ranges of about one size."""


class _UnknownCopyError(Exception):
    """A copy was given up, or begun anew."""


class SqlCopies:
    """See ``syncline.ports.copying.Copies``.

    Args:
        connection: to the source, ours alone, with everything pinned.

    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._statements = Statements(connection, blocks("source.sql", PACKAGE))

    async def all(self) -> dict[int, Copy]:
        """Read what is known, by entity."""
        return {row[0]: Copy(*row) for row in await self._statements.all("copies")}

    async def begin(self, plans: Collection[Plan], *, above: int) -> Mapping[int, int]:
        """Have marks wait from now on, note what rows are read by, and take every lane from its worker."""
        entities = sorted(plan.id for plan in plans)
        fingerprints = {plan.id: plan.projection.fingerprint for plan in plans}

        async def begun() -> Mapping[int, int]:
            await self._statements.run("begin", entities=entities)
            await self._statements.run(
                "compiled", entities=entities, fingerprints=[fingerprints[one] for one in entities]
            )
            await self._statements.run("cover", entities=entities)
            await self._statements.run("say", entities=entities)
            return await self.take_lanes(above=above)

        with translated():
            return await in_transaction(self._connection, begun)

    async def take_lanes(self, *, above: int) -> Mapping[int, int]:
        """Take every lane from its worker."""
        return dict(await self._statements.all("take_lanes", above=above))

    async def fenced(self, entities: Collection[int]) -> None:
        """Note that the lanes' new epochs stand in the target."""
        await self._statements.run("fenced", entities=sorted(entities))

    async def declare(self, copies: Sequence[Copy]) -> bool:
        """Say that tables are copied, in one transaction."""

        async def declared() -> None:
            for copy in copies:
                if not await self._statements.run("declare", entity=copy.entity, id=copy.id):
                    raise _UnknownCopyError
                await self._statements.run("drop_covered", id=copy.id)
            # A reader's floor may stand above marks that it has passed over: with its lanes it begins at zero.
            await self.take_lanes(above=0)
            await self._statements.run("say_no_more", entities=sorted(copy.entity for copy in copies))
            await self._statements.run("wake")

        try:
            with translated():
                await in_transaction(self._connection, declared)
        except _UnknownCopyError:
            return False
        return True

    async def give_up(self, entities: Collection[int]) -> None:
        """Forget the copies of entities."""

        async def given_up() -> None:
            await self._statements.run("give_up", entities=sorted(entities))
            await self._statements.run("say_no_more", entities=sorted(entities))
            await self.take_lanes(above=0)
            await self._statements.run("wake")

        with translated():
            await in_transaction(self._connection, given_up)

    async def look(self, copy: Copy) -> float:
        """Commit something small; how long that took."""
        began = monotonic()
        await self._statements.run("look", entity=copy.entity, id=copy.id)
        return monotonic() - began

    async def layout(self, plan: Plan, *, range_rows: int, range_bytes: int) -> Layout:
        """Divide a table by the keys of some of its pages."""
        size, pages, rows = await self._statements.one("size", table=plan.projection.shape.oid)
        parts = max(ceil(size / range_bytes), ceil(rows / range_rows))
        if parts <= 1:
            return Layout([Bounds(None, None)], rows, size)
        percent = min(100.0, 100.0 * SAMPLED_PAGES * parts / max(pages, 1))
        ends = await self._ends(select.sample(plan, parts=parts, percent=percent))
        return Layout(_between(ends[:-1]), rows, size)

    async def _ends(self, statement: sql.Composed) -> list[tuple[str, ...]]:
        async def read() -> list[tuple[str, ...]]:
            # Keys in their order, however many there are.
            await self._connection.execute(blocks("catalog.sql", "syncline.postgres")["any_plan"])
            return [tuple(key) for (key,) in await (await self._connection.execute(statement)).fetchall()]

        with translated():
            return await in_transaction(self._connection, read)


def _between(ends: Sequence[tuple[str, ...]]) -> list[Bounds]:
    """Make ranges without a gap, the first and the last one open."""
    keys = list(dict.fromkeys(ends))
    return [Bounds(after, until) for after, until in zip([None, *keys], [*keys, None], strict=True)]
