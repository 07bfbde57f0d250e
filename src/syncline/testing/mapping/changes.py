"""Every kind of change arrives, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
import pytest

from syncline.testing.mapping.base import MappingCase
from syncline.testing.mapping.pair import Pair
from syncline.testing.mapping.rows import Place
from syncline.testing.mapping.tables import Table

_REQUEST = "INSERT INTO syncline.task (kind, entity, reason) SELECT %s, id, 'test' FROM syncline.entity"
Change = Callable[[Table, Place], bool]


class ChangeTests(MappingCase):
    """Inserts, updates, deletes, key changes, rollbacks; alone and in random histories."""

    def test_inserts_arrive(self, syncline_pair: Pair) -> None:
        """With a worker beside, into each table."""

        async def scenario(pair: Pair) -> None:
            async with pair.worker():
                pair.rows.fill(self.rows_per_table)
                await pair.settled()

        self.play(syncline_pair, scenario)

    def test_updates_arrive(self, syncline_pair: Pair) -> None:
        """Of every row, of any columns; references too, so that children change their parents."""
        self.play(syncline_pair, lambda pair: self._changed(pair, pair.rows.update, "updated", every=1))

    def test_deletes_arrive(self, syncline_pair: Pair) -> None:
        """Of every second row, with what the database cascades."""
        self.play(syncline_pair, lambda pair: self._changed(pair, pair.rows.delete, "deleted", every=2))

    def test_key_changes_arrive(self, syncline_pair: Pair) -> None:
        """The document moves from the old key to the new one."""
        self.play(syncline_pair, lambda pair: self._changed(pair, pair.rows.change_key, "given another key", every=3))

    def test_what_is_rolled_back_does_not_arrive(self, syncline_pair: Pair) -> None:
        """Neither the change nor a mark of it."""

        async def scenario(pair: Pair) -> None:
            async with pair.worker():
                pair.rows.fill(self.rows_per_table)
                await pair.settled()
                with pair.conn.transaction():
                    for _ in range(10):
                        pair.rows.step()
                    raise psycopg.Rollback
                assert pair.waiting() == {"outbox": 0, "deferred": 0, "task": 0}, "a rolled back change left a mark"
                await pair.settled()

        self.play(syncline_pair, scenario)

    def test_a_random_history_arrives(self, syncline_pair: Pair) -> None:
        """Transactions of several changes, some rolled back, while the worker works."""

        async def scenario(pair: Pair) -> None:
            pair.rows.fill(self.rows_per_table)
            async with pair.worker():
                await live(pair, self.steps)
                await pair.settled()

        self.play(syncline_pair, scenario)

    def test_a_backfill_brings_what_was_there_and_removes_what_was_not(self, syncline_pair: Pair) -> None:
        """As for rows from before the installation."""

        async def scenario(pair: Pair) -> None:
            pair.rows.fill(self.rows_per_table)
            async with pair.worker():
                await pair.settled()
            for table in reversed(pair.rows.synced):
                for _ in range(2):
                    if place := pair.rows.any(table):
                        pair.rows.delete(table, place)
            pair.rows.fill(3)
            pair.conn.execute("TRUNCATE syncline.outbox, syncline.block")
            for kind in ("backfill", "sweep"):
                pair.conn.execute(_REQUEST, [kind])
            async with pair.worker():
                await pair.settled()

        self.play(syncline_pair, scenario)

    async def _changed(self, pair: Pair, change: Change, what: str, *, every: int) -> None:
        async with pair.worker():
            pair.rows.fill(self.rows_per_table)
            await pair.drained()
            done = {
                str(table.name): [_on_one(pair, table, change) for _ in range(0, self.rows_per_table, every)]
                for table in reversed(pair.rows.synced)
            }
            await pair.settled()
        if not any(any(changes) for changes in done.values()):
            pytest.skip(f"the tables' constraints let no row be {what}")


def _on_one(pair: Pair, table: Table, change: Change) -> bool:
    """Change some row; where others hold on to it, a fresh one that nobody knows yet."""
    place = pair.rows.any(table)
    if place is not None and change(table, place):
        return True
    fresh = pair.rows.insert(table)
    return fresh is not None and change(table, fresh)


async def live(pair: Pair, steps: int) -> None:
    """Write a random history, giving the workers their turns."""
    for _ in pair.rows.history(steps):
        await asyncio.sleep(0.002)
