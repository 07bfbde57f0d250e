"""Faults: killed workers, a target that is away, lost replies, late writes, workers that compete."""

from __future__ import annotations

import asyncio
from itertools import islice

from syncline.testing.mapping.base import MappingCase
from syncline.testing.mapping.changes import live
from syncline.testing.mapping.pair import Pair

LATE = 6
"""Writes that are held back and delivered late."""


class FaultTests(MappingCase):
    """Whatever fails and whoever is killed, both sides end equal."""

    def test_a_killed_worker_loses_nothing(self, syncline_pair: Pair) -> None:
        """``syncline worker`` gets a SIGKILL while changes wait, and another one goes on."""

        async def scenario(pair: Pair) -> None:
            pair.rows.fill(self.rows_per_table)
            history = pair.rows.history(self.steps)
            with pair.process() as process:
                await pair.until(lambda: process.poll() is not None or pair.owners(), "the worker process owns lanes")
                for _ in islice(history, self.steps // 2):
                    await asyncio.sleep(0)
                process.kill()
            for _ in history:
                pass
            async with pair.worker():
                await pair.settled()

        self.play(syncline_pair, scenario)

    def test_a_target_that_is_away_delays_and_loses_nothing(self, syncline_pair: Pair) -> None:
        """Nothing is parked, the application goes on, and the backlog drains by itself."""

        async def scenario(pair: Pair) -> None:
            async with pair.worker():
                pair.rows.fill(self.rows_per_table)
                await pair.applied()
                pair.target.unavailable = True
                await live(pair, self.steps)
                attempts = pair.target.attempts
                await pair.until(lambda: pair.target.attempts > attempts, "the worker tries again")
                pair.fail_with("records were parked during an outage" if pair.parked() else "")
                pair.target.unavailable = False
                await pair.settled()

        self.play(syncline_pair, scenario)

    def test_lost_replies_change_nothing(self, syncline_pair: Pair) -> None:
        """A write is executed, its sender never hears of it and sends it again."""

        async def scenario(pair: Pair) -> None:
            async with pair.worker():
                for _ in range(3):
                    pair.target.lose_replies = 2
                    pair.rows.fill(2)
                    await live(pair, self.steps // 5)
                    await pair.until(lambda: not pair.target.lose_replies, "the ordered replies are lost")
                await pair.settled()

        self.play(syncline_pair, scenario)

    def test_late_writes_change_nothing(self, syncline_pair: Pair) -> None:
        """Writes that were given up arrive when newer states, or the deletion, have been written: the fence holds."""

        async def scenario(pair: Pair) -> None:
            async with pair.worker():
                pair.rows.fill(self.rows_per_table)
                for change in (pair.rows.update, pair.rows.delete):
                    await _hold_back(pair)
                    for table in reversed(pair.rows.synced):
                        for place in pair.rows.all(table):
                            change(table, place)
                    await pair.applied()
                    while pair.target.held:
                        await pair.target.held.pop().deliver()
                    await pair.settled()

        self.play(syncline_pair, scenario)

    def test_two_workers_share_the_work(self, syncline_pair: Pair) -> None:
        """One of them ends in the middle of it; the other takes over."""

        async def scenario(pair: Pair) -> None:
            pair.rows.fill(self.rows_per_table)
            async with pair.worker():
                async with pair.worker():
                    await pair.until(lambda: pair.owners() == 2, "both workers own lanes")
                    await live(pair, self.steps // 2)
                await live(pair, self.steps // 2)
                await pair.settled()

        self.play(syncline_pair, scenario)


async def _hold_back(pair: Pair) -> None:
    """Have some writes fail that are executed later."""
    await pair.applied()
    for number in range(LATE):
        pair.target.hold_writes = 1
        if pair.rows.change(pair.rows.table_of(pair.entities[number % len(pair.entities)])):
            await pair.until(lambda: not pair.target.hold_writes, "a write is held back")
        await pair.applied()
