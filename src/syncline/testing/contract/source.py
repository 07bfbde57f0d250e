"""What every source promises, as tests. Subclass ``SourceContract`` and give it the fixtures ``source`` and ``other``.

Both are sessions of different workers with one database where Syncline is installed for one entity, ``item`` (id 1),
and nothing is marked. See ``syncline.ports``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from syncline.model.mark import LANES, Hint, Mark, lane_mask
from syncline.ports import Acknowledgement, ClaimLostError, Rejection, Source

ALL = -1
"""The mask of all lanes."""
GRACE = timedelta(seconds=30)


class SourceCalls:
    """The calls of ``syncline.ports.Source``, short."""

    async def visible(self) -> None:
        """Wait until what is committed is read; override it where a source reads the past."""

    async def all_marks(self, source: Source, **options: Any) -> list[Mark]:
        """Read what waits."""
        await self.visible()
        return await source.marks.read(**{"after": 0, "lanes": ALL, "limit": 100} | options)

    async def take_all(self, source: Source) -> dict[int, int]:
        """Become a live worker that has every lane."""
        await self.alive(source)
        return await source.journal.lanes.acquire(range(LANES), above=0)

    async def alive(self, source: Source, **options: Any) -> Any:
        """Renew."""
        values: dict[str, Any] = {"name": "w", "version": "1", "ttl": GRACE, "confirmed": 0, "report": {}}
        return await source.journal.lanes.renew(**values | options)

    async def acknowledged(self, source: Source, marks: list[Mark], leases: dict[int, int], **options: Any) -> set[int]:
        """Acknowledge marks under leases."""
        ack = Acknowledgement(list(marks), leases, **options)
        return await source.marks.acknowledge(ack, grace=timedelta(0), history=False)


class MarksContract(SourceCalls):
    """Marks stay until they are acknowledged under the lease of their lane."""

    async def test_a_mark_is_read_until_it_is_acknowledged(self, source: Source) -> None:
        """And an acknowledgement may be repeated. Marks of one call have no order among themselves."""
        leases = await self.take_all(source)
        await source.marks.add(1, ["1", "2"], Hint.UPDATE)
        marks = await self.all_marks(source)
        assert sorted((mark[2], mark[3], mark[4]) for mark in marks) == [(1, "1", "U"), (1, "2", "U")]
        assert await self.all_marks(source) == marks
        for _ in range(2):
            assert await self.acknowledged(source, marks, leases) == set(range(LANES))
        assert await self.all_marks(source) == []

    async def test_an_acknowledgement_without_the_lease_removes_nothing(self, source: Source) -> None:
        """Of lanes that were lost; those that are held are told."""
        leases = await self.take_all(source)
        await source.marks.add(1, ["1"], Hint.UPDATE)
        marks = await self.all_marks(source)
        lane = marks[0][1]
        assert await self.acknowledged(source, marks, leases | {lane: leases[lane] - 1}) == set(range(LANES)) - {lane}
        assert await self.all_marks(source) == marks

    async def test_marks_are_read_in_order_and_in_part(self, source: Source) -> None:
        """Above a number, up to a limit, of some lanes, without some entities."""
        await self.take_all(source)
        await source.marks.add(1, [str(n) for n in range(20)], Hint.UPDATE)
        marks = await self.all_marks(source)
        numbers = [mark[0] for mark in marks]
        assert numbers == sorted(numbers)
        assert [mark[0] for mark in await self.all_marks(source, after=numbers[4], limit=3)] == numbers[5:8]
        lane = marks[0][1]
        mask = lane_mask([lane])
        assert await self.all_marks(source, lanes=mask) == [mark for mark in marks if mark[1] == lane]
        assert await self.all_marks(source, without=[1]) == []

    async def test_what_is_rejected_is_parked_until_it_succeeds(self, source: Source) -> None:
        """In the transaction that removes its mark."""
        leases = await self.take_all(source)
        for rejected in ([(1, Rejection("1", "validation", "no"))], []):
            await source.marks.add(1, ["1", "2"], Hint.UPDATE)
            marks = await self.all_marks(source)
            await self.acknowledged(source, marks, leases, rejected=rejected, unpark=True)
            assert await source.journal.entities.with_parked() == ({1} if rejected else set())
        assert await self.all_marks(source) == []

    async def test_no_table_is_being_copied_unless_somebody_has_begun_to(self, source: Source) -> None:
        """And none has been of late."""
        assert await source.journal.entities.copied_lately(timedelta(minutes=1)) == set()

    async def test_a_delete_is_due_again_after_the_grace_time(self, source: Source) -> None:
        """Then it is a mark of its own, once."""
        leases = await self.take_all(source)
        await source.marks.add(1, ["1"], Hint.DELETE)
        marks = await self.all_marks(source)
        await self.acknowledged(source, marks, leases, absent=[(1, marks[0][1], "1")])
        assert await source.marks.promote_deferred() == 1
        assert await source.marks.promote_deferred() == 0
        assert [(mark[3], mark[4]) for mark in await self.all_marks(source)] == [("1", Hint.GRACE)]


class LanesContract(SourceCalls):
    """A lane has one owner, an epoch one acquisition."""

    async def test_a_lane_of_a_live_worker_is_not_free(self, source: Source, other: Source) -> None:
        """Until it is given back, or its owner leaves."""
        taken = await self.take_all(source)
        await self.alive(other)
        assert await other.journal.lanes.acquire(range(LANES), above=0) == {}
        await source.journal.lanes.release({0: taken[0]})
        assert (await other.journal.lanes.acquire(range(LANES), above=0)).keys() == {0}
        await source.journal.lanes.leave()
        assert (await other.journal.lanes.acquire(range(LANES), above=0)).keys() == set(range(LANES))

    async def test_an_epoch_is_above_all_that_were_given(self, source: Source) -> None:
        """And above the one that is named."""
        first = await self.take_all(source)
        await source.journal.lanes.release(first)
        second = await source.journal.lanes.acquire([3], above=1000)
        assert second[3] > max(1000, *first.values())
        assert await source.journal.lanes.current_epoch() == second[3]

    async def test_only_epochs_that_count_are_confirmed_and_released(self, source: Source) -> None:
        """A late call of an earlier acquisition changes nothing."""
        first = await self.take_all(source)
        await source.journal.lanes.release({1: first[1]})
        second = await source.journal.lanes.acquire([1], above=0)
        assert await source.journal.lanes.confirm({0: first[0], 1: first[1]}) == {0}
        await source.journal.lanes.release({1: first[1]})
        assert await source.journal.lanes.confirm(second) == {1}

    async def test_a_renewal_says_who_holds_what(self, source: Source, other: Source) -> None:
        """It counts, and the count of the other is seen."""
        taken = await self.take_all(source)
        one = await self.alive(source)
        two = await self.alive(other)
        assert two.beat > one.beat
        assert {source.worker, other.worker} <= set(two.workers)
        row = two.lanes[5]
        assert (row.owner, row.epoch, row.free) == (source.worker, taken[5], False)

    async def test_a_beat_is_raised_and_never_lowered(self, source: Source) -> None:
        """With the nonce that belongs to it."""
        await self.alive(source)
        await source.journal.lanes.raise_beat(5000, "theirs")
        await source.journal.lanes.raise_beat(1, "late")
        assert await source.journal.lanes.current_beat() == 5000
        assert "theirs" in await source.journal.lanes.nonces()

    async def test_a_contested_target_is_until_it_is_adopted(self, source: Source, other: Source) -> None:
        """Every worker sees it."""
        await self.alive(source)
        await source.journal.lanes.contest("the copy")
        assert await other.journal.lanes.contested() == "the copy"
        beat, installation, nonce = await source.journal.lanes.adopt(count=100, above=7)
        assert beat > 100
        assert installation
        assert nonce == (await other.journal.lanes.nonces())[0]
        assert await other.journal.lanes.contested() is None
        assert await other.journal.lanes.current_epoch() > 7


class TasksContract(SourceCalls):
    """A task is one worker's at a time."""

    async def test_the_same_wish_is_one_task(self, source: Source, other: Source) -> None:
        """Until somebody has begun it."""
        tasks = source.journal.tasks
        first = await tasks.request("backfill", 1, "test")
        assert await other.journal.tasks.request("backfill", 1, "test") == first
        assert await tasks.claim([2]) is None
        claimed = await tasks.claim([1])
        assert claimed is not None
        assert claimed.id == first
        assert await other.journal.tasks.claim([1]) is None
        assert await other.journal.tasks.request("backfill", 1, "test") != first

    async def test_who_has_lost_a_task_hears_of_it(self, source: Source, other: Source) -> None:
        """Progress and changed options go with the task."""
        tasks = source.journal.tasks
        await tasks.request("sweep", 1, "test", {"rate": 1})
        mine = await tasks.claim([1])
        assert mine is not None
        mine.progress = {"done": 5}
        await tasks.advance(mine)
        await other.journal.tasks.change(mine, {"rate": 2})
        await tasks.give_back(mine)
        theirs = await other.journal.tasks.claim([1])
        assert theirs is not None
        assert (theirs.progress, theirs.options) == ({"done": 5}, {"rate": 2})
        with pytest.raises(ClaimLostError):
            await tasks.advance(mine)
        assert await tasks.claim([1], mine.id, held=True) is None
        assert await other.journal.tasks.claim([1], mine.id, held=True) is not None
        await other.journal.tasks.finish(theirs)
        assert await tasks.find() == []

    async def test_pressure_is_what_waits_and_who_works(self, source: Source) -> None:
        """Marks are counted up to a limit."""
        await self.alive(source)
        await source.marks.add(1, ["1", "2", "3"], Hint.UPDATE)
        assert (await source.journal.tasks.pressure(2)).queue == 2
        found = await source.journal.tasks.pressure(10)
        assert (found.queue, found.workers, found.others) == (3, 1, True)


class SourceContract(MarksContract, LanesContract, TasksContract):
    """The promises of ``syncline.ports.Source`` beside its records, each as a test."""
