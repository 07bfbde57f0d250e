"""Records that wait for others, where the target names those: how often who is tried and marked, on a clock of ours."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from syncline.ports import Conflict
from syncline.relay import conflicts, rows_in_the_way
from syncline.relay.conflicts import STUCK_SECONDS, Conflicts

Record = tuple[int, str]
USER, TEAM = (1, "1"), (2, "7")
TABLES = {1: "public.users", 2: "public.teams"}
MINUTES = 5 * STUCK_SECONDS
TURN = 0.015625


class Scene:
    """Records that are deleted in the source and refer to each other in the target, and a worker that serves some."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        for module in (conflicts, rows_in_the_way):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.outbox: list[Record] = []
        self.marked: Counter[Record] = Counter()
        self.tried: Counter[Record] = Counter()
        self.parked: Counter[Record] = Counter()
        self.reads = self.adds = 0
        self.copied: dict[int, float] = {}
        source: Any = SimpleNamespace(marks=self, records=self, journal=SimpleNamespace(entities=self))
        self.plans: Any = {number: _plan(number) for number in TABLES}
        target: Any = SimpleNamespace(reverse=None)  # nothing else of it is asked
        self.conflicts = Conflicts(source, target, self.plans)

    async def add(self, entity: int, keys: list[str], _: object) -> None:
        self.adds += 1
        self.outbox += [(entity, key) for key in keys]
        self.marked.update((entity, key) for key in keys)

    async def copied_lately(self, within: Any) -> set[int]:
        assert within.total_seconds() == STUCK_SECONDS
        return {entity for entity, ended in self.copied.items() if ended > self.now - STUCK_SECONDS}

    async def read(self, *_: object, **_options: object) -> Any:
        self.reads += 1
        return SimpleNamespace(present=lambda _: [])

    async def run(self, waits_for: dict[Record, Record], *, since: dict[Record, float], until: float = MINUTES) -> None:
        """Serve marks as the pump does: those of a record that waits stay, and are held."""
        held: dict[Record, float] = {}
        while self.now < until:
            free = [one for one in self.outbox if one in waits_for and held.get(one, 0) <= self.now]
            self.outbox += [one for one, at in since.items() if at <= self.now < at + TURN]
            for record in dict.fromkeys(free):
                self.tried[record] += 1
                other = waits_for[record]
                one = Conflict(record[1], "fk", {"id": "x"}, "child", TABLES[other[0]], {"id": other[1]})
                rejected, waiting = await self.conflicts.settle(self.plans[record[0]], [one], {record[1]: 1})
                if waiting:
                    held[record] = self.now + self.conflicts.pause(record)
                    continue
                for _ in range(free.count(record)):
                    self.outbox.remove(record)
                self.conflicts.parked(record[0], [done.key for done in rejected])
                self.parked[record] += 1
            self.now += TURN


def _plan(number: int) -> Any:
    codec = SimpleNamespace(key_text=lambda one: one["id"])
    return SimpleNamespace(
        id=number, entity=SimpleNamespace(collection=TABLES[number]), projection=SimpleNamespace(codec=codec)
    )


@pytest.mark.parametrize("later", [0.0, 30.0, 59.99])
async def test_two_that_wait_for_each_other_are_parked_once_and_are_quiet_meanwhile(monkeypatch, later):
    scene = Scene(monkeypatch)
    await scene.run({USER: TEAM, TEAM: USER}, since={USER: 0.0, TEAM: later})
    assert scene.outbox == []
    assert scene.parked == {USER: 1, TEAM: 1}
    assert scene.marked.total() <= 2
    assert max(scene.tried.values()) < 4 * STUCK_SECONDS


async def test_one_of_another_worker_is_marked_now_and_then(monkeypatch):
    """Nobody here can tell whether its mark was served."""
    scene = Scene(monkeypatch)
    await scene.run({USER: TEAM}, since={USER: 0.0})
    assert scene.parked == {USER: 1}
    assert 2 <= scene.marked[TEAM] <= 1 + STUCK_SECONDS / rows_in_the_way.MARKED_SECONDS


async def test_a_record_waits_for_the_copy_of_the_others_table_however_long_that_takes(monkeypatch):
    """Its line is gone in the source, too, and goes when the table is declared copied."""
    scene = Scene(monkeypatch)
    scene.copied[TEAM[0]] = MINUTES
    await scene.run({USER: TEAM}, since={USER: 0.0}, until=MINUTES + 0.95 * STUCK_SECONDS)
    assert (scene.outbox.count(USER), scene.parked) == (1, {}), "from the end of the copy it has its time"
    await scene.run({USER: TEAM}, since={}, until=MINUTES + 3 * STUCK_SECONDS)
    assert scene.parked == {USER: 1}


async def test_a_record_that_is_written_may_be_marked_again_at_once(monkeypatch):
    scene = Scene(monkeypatch)
    in_the_way = scene.conflicts._rows_in_the_way
    await in_the_way.mark([TEAM])
    await in_the_way.mark([TEAM])
    assert scene.marked[TEAM] == 1
    scene.conflicts.settled(TEAM[0], [TEAM[1]])
    await in_the_way.mark([TEAM])
    assert scene.marked[TEAM] == 2


async def test_many_that_wait_cost_one_read_and_one_statement_of_marks_an_entity(monkeypatch):
    scene = Scene(monkeypatch)
    waiting = [Conflict(str(n), "fk", {"id": "x"}, "child", TABLES[2], {"id": str(n)}) for n in range(500)]
    rejected, keys = await scene.conflicts.settle(scene.plans[1], waiting, {str(n): 1 for n in range(500)})
    assert (rejected, len(keys)) == ([], 500)
    assert (scene.reads, scene.adds, scene.marked.total()) == (2, 1, 500)
