"""Ranges that a process carries over for a command: what it knows of the source, and what becomes of it at trouble."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import pytest

from syncline.copying import copier as copying
from syncline.copying import strain
from syncline.copying.copier import Copier
from syncline.copying.pace import Pacing
from syncline.copying.progress import Progress
from syncline.errors import SourceUnavailableError
from syncline.ports import Same
from syncline.ports.copying import Bounds, Copied, Copy, Range
from syncline.wiring import carrying
from syncline.wiring.carrying import CarryJob, DistantCarrier, carried

PLAN = SimpleNamespace(id=1, name="items")
COPY = Copy(1, "a", datetime.now(UTC), True, None)
PATIENCE = 30


class Source:
    """A source that answers two looks a range as it is told, and a carrier whose range is over after them."""

    def __init__(self):
        self.known = {1: COPY}
        self.took = 0.001
        self.looks, self.last = 0, 3
        self.enough = threading.Event()
        self.pacings = []
        self.describe = self.nothing

    async def nothing(self, _):
        """Describe no table."""

    async def all(self):
        return self.known

    async def look(self, _):
        self.looks += 1
        if self.looks == self.last:  # what those before have told is heeded
            self.enough.set()
        if isinstance(self.took, Exception):
            raise self.took
        if self.looks == self.last:
            await asyncio.Event().wait()
        return self.took

    def carry(self, _plan, _part, tell):
        self.pacings.append(getattr(tell, "__self__", None))
        assert self.enough.wait(PATIENCE)
        return Copied(5, 50)

    def close(self):
        self.looks = 0
        self.enough.clear()


@pytest.fixture
def source(monkeypatch):
    monkeypatch.setattr(copying, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(carrying, "LOOK_SECONDS", 0.001)
    return Source()


def copier_of(source):
    return Copier(source, source, None, lambda: source, Pacing(None))


def job_of(guard="", rate=1000.0):
    part = Range(1, 1, Bounds(None, None), False)
    return CarryJob("items", part, rate, Same("1", guard or uuid4().hex, "m"))


async def test_a_source_that_is_slow_from_a_ranges_first_look_on_is_given_room(source):
    job = job_of()
    assert await carried(copier_of(source), PLAN, job) == Copied(5, 50)
    source.took = 0.5
    for _ in range(2):  # connections are opened anew for each range on a cluster
        assert await carried(copier_of(source), PLAN, job) == Copied(5, 50)
    first, second, third = source.pacings
    assert (first.slowed, second.slowed, third.slowed) == (False, True, True)
    source.took = 0.001
    assert await carried(copier_of(source), PLAN, job_of()) == Copied(5, 50)
    assert not source.pacings[-1].slowed  # what is known is of one source


async def test_a_copy_that_was_given_up_meanwhile_is_not_carried_on(source):
    source.known = {}
    assert await carried(copier_of(source), PLAN, job_of()) is None
    assert source.pacings == []


async def test_a_source_that_does_not_answer_looks_is_given_room_and_the_range_counts(source):
    source.took = SourceUnavailableError("gone")
    assert await carried(copier_of(source), PLAN, job_of()) == Copied(5, 50)
    assert source.pacings[0].slowed


async def test_what_ends_the_looks_is_said_and_no_task_is_left_with_it(source, monkeypatch):
    monkeypatch.setattr(Source, "look", lambda *_: 1 / 0)
    source.enough.set()
    unheard = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: unheard.append(said))
    with pytest.raises(ZeroDivisionError):
        await carried(copier_of(source), PLAN, job_of())
    assert unheard == []


async def test_a_copier_whose_source_answers_no_look_begins_no_further_range(source, monkeypatch):
    monkeypatch.setattr(strain, "UNANSWERED", 2)
    source.took = SourceUnavailableError("gone")
    source.last = 2
    copier = Copier(source, source, None, lambda: source, Pacing(1000))
    part = job_of().part
    table = copying._Table(PLAN, "items", COPY, [part, part, part], Progress("items"))
    with pytest.raises(SourceUnavailableError, match="gone"):
        await copier._carry_all(table)
    assert len(source.pacings) == 1


async def test_more_processes_than_rows_a_second_keep_to_the_rate_all_together():
    async def same(_):
        return Same("1", "g", "m")

    asked = []

    async def run(job):
        asked.append(job.rate)
        return Copied(0, 0)

    executor = SimpleNamespace(width=8, run=run)
    carrier = DistantCarrier(executor, asyncio.get_running_loop(), 2, same)
    await asyncio.to_thread(carrier.carry, PLAN, job_of().part, lambda *_: None)
    assert asked == [0.25]
