"""What the tests of copies share: two databases with tables, a copier between them, and points at which it is stopped."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import psycopg

from syncline.copying.copier import Copier
from syncline.copying.pace import Pacing
from syncline.copying.progress import Progress, Sizes
from syncline.engines.postgres.copying.carrier import SqlCarrier
from syncline.engines.postgres.copying.copies import SqlCopies
from syncline.engines.postgres.copying.ranges import SqlRanges
from syncline.engines.postgres.plans import compile_plans
from syncline.engines.postgres.target.session import connect as connect_target
from syncline.engines.postgres.target.target import SCHEMA, SqlTarget
from syncline.model.entity import ROWS, Entity
from syncline.ports import Plan
from syncline.postgres.connection import connect
from syncline.postgres.loaders import register_loaders
from syncline.postgres.path import pin_path
from tests import relay as relays
from tests.relay import Relay, until

SMALL = Sizes(rows=100, bytes=1 << 30)


def entity(name: str, **options: Any) -> Entity:
    """Declare an entity whose records become rows."""
    return relays.entity(name, form=ROWS, **options)


class Pair(Relay):
    """Two databases with tables."""

    target: SqlTarget
    there: psycopg.Connection[Any]

    def difference(self) -> list[Any]:
        """Compare both sides as JSON, which does not know an order of columns; generated ones too."""
        differing = []
        for one in self.entities:
            query = "SELECT to_jsonb(t)::text FROM {} AS t ORDER BY 1"
            here = self.sql(query.format(one.table))
            there = self.there.execute(query.format(one.collection)).fetchall()
            differing += [(one.name, row) for row in {*here} ^ {*there}]
            assert len(here) == len({*here})
        return sorted(differing)

    async def settled(self) -> None:
        await until(
            lambda: self.is_drained(tasks=True),
            what=lambda: f"{self.counts()} {self.difference()[:5]} {self.seen.outages[-3:]} {self.parked()}",
        )
        assert self.parked() == {}
        assert self.difference() == []

    def count(self, name: str) -> int:
        return int(self.there.execute(f"SELECT count(*) FROM {name}").fetchone()[0])  # type: ignore[index]

    @contextlib.asynccontextmanager
    async def copier(
        self,
        *,
        sizes: Sizes = SMALL,
        pacing: Pacing | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
        wrap: Callable[[SqlCarrier], Any] = lambda carrier: carrier,
        parallel: int = 1,
    ) -> AsyncIterator[tuple[Copier, list[Plan]]]:
        """Put a copier together; ``wrap`` may stop what it carries."""
        async with await connect(self.url, keyed=True) as source:
            register_loaders(source.adapters)
            path = await pin_path(source)
            plans = await compile_plans(source, self.entities)
            await self.target.prepare(self.entities)
            there = await connect_target(self.target._sessions.url, connect_seconds=5, statement_seconds=600)
            try:
                ranges = SqlRanges(there, source, SCHEMA)

                def carrier() -> Any:
                    made = SqlCarrier(
                        self.url, self.target._sessions.url, ranges.tables, ranges.binary, schema=SCHEMA, path=path
                    )
                    return wrap(made)

                copies = SqlCopies(source)
                yield (
                    Copier(
                        copies,
                        ranges,
                        self.target,
                        carrier,
                        pacing or Pacing(None),
                        parallel=parallel,
                        sizes=sizes,
                        on_progress=on_progress,
                        linked=list(plans.by_id.values()),
                    ),
                    list(plans.by_id.values()),
                )
            finally:
                await there.close()

    async def copy(
        self, *, replace: bool = False, names: Sequence[str] | None = None, **options: Any
    ) -> list[Progress]:
        async with self.copier(**options) as (copier, plans):
            wanted = [plan for plan in plans if names is None or plan.name in names]
            return await copier.run(wanted, replace=replace)


@contextlib.asynccontextmanager
async def pair(
    source: str,
    target: str,
    here: str,
    entities: Sequence[Entity],
    *,
    there: str | None = None,
    **options: Any,
) -> AsyncIterator[Pair]:
    made = Pair(source, entities, SqlTarget(target, timeout_seconds=5), **options)
    made.there = psycopg.connect(target, autocommit=True)
    try:
        made.conn.execute(here)
        made.there.execute(here if there is None else there)
        await made.install()
        yield made
    finally:
        made.conn.close()
        made.there.close()
        await made.target.close()
