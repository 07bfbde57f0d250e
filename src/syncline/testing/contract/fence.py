"""The fence: a higher ticket is never overwritten by a lower one, whatever arrives when."""

from __future__ import annotations

import asyncio

import pytest

from syncline.model.mark import ticket
from syncline.ports import Target
from syncline.testing.contract.calls import THINGS, Calls, absence, batch_of, document


class Fence(Calls):
    """G3, for records, for deletes, for what was there before."""

    @pytest.mark.parametrize("how", ["inserts", "upserts"])
    async def test_a_lower_ticket_never_overwrites_a_higher_one(self, target: Target, how: str) -> None:
        """G3: late writes change nothing."""
        await self.upsert(target, document(1, ticket(2, 1), name="new"))
        await target.apply(batch_of(how, document(1, ticket(1, 999), name="old")))
        assert await self.stored(target, 1) == document(1, ticket(2, 1), name="new")

    async def test_a_stale_write_is_reported_as_written(self, target: Target) -> None:
        """A newer state is there: that is what was asked for."""
        await self.upsert(target, document(1, 9))
        report = await self.upsert(target, document(1, 8), document(2, 8))
        assert not report.rejected
        assert not report.conflicts
        assert report.stale == 1

    async def test_the_same_ticket_twice_changes_nothing(self, target: Target) -> None:
        """A retry resends identical bytes; anything else under the same ticket must not win."""
        await self.upsert(target, document(1, 5, name="first"))
        await self.upsert(target, document(1, 5, name="second"))
        await self.insert(target, document(1, 5, name="third"))
        assert await self.stored(target, 1) == document(1, 5, name="first")

    async def test_a_delete_with_a_lower_ticket_does_not_delete(self, target: Target) -> None:
        """Nor does one with the same."""
        await self.upsert(target, document(1, 5))
        await self.delete(target, absence(1, 4))
        await self.delete(target, absence(1, 5))
        assert await self.stored(target, 1) is not None
        await self.delete(target, absence(1, 6))
        assert await self.stored(target, 1) is None

    async def test_tickets_of_full_size_compare(self, target: Target) -> None:
        """63 bits: the epoch beats any batch number."""
        high, low = ticket(2**32 - 1, 1), ticket(2**32 - 2, 2**31 - 1)
        await self.upsert(target, document(1, low, name="low"))
        await self.upsert(target, document(1, high, name="high"))
        await self.upsert(target, document(1, low, name="late"))
        assert (await self.stored(target, 1) or {})["name"] == "high"
        await self.delete(target, absence(1, low))
        assert await self.stored(target, 1) is not None

    async def test_a_record_without_ticket_is_replaced(self, target: Target) -> None:
        """It was there before Syncline."""
        await self.put_foreign(target, THINGS, {"_id": 1, "name": "older than we"})
        await self.put_foreign(target, THINGS, {"_id": 2, "_v": None})
        await self.upsert(target, document(1, 1, name="ours"))
        await self.insert(target, document(2, 1, name="ours"))
        assert [(await self.stored(target, id_) or {}).get("name") for id_ in (1, 2)] == ["ours", "ours"]

    async def test_a_record_without_ticket_is_deleted(self, target: Target) -> None:
        """A comparison that skips records without ticket would leave it for ever."""
        await self.put_foreign(target, THINGS, {"_id": 1, "name": "older than we"})
        await self.put_foreign(target, THINGS, {"_id": 2, "_v": None})
        await self.delete(target, absence(1, 1), absence(2, 1))
        assert await self.everything(target) == []

    async def test_concurrent_writes_of_one_record_leave_the_newest(self, target: Target) -> None:
        """In whatever order they arrive."""
        tickets = [ticket(1, n) for n in range(1, 13)]
        shuffled = tickets[5:] + tickets[:5][::-1]
        writes = [self.upsert(target, document(7, v, name=str(v))) for v in shuffled]
        await asyncio.gather(*writes)
        assert await self.stored(target, 7) == document(7, tickets[-1], name=str(tickets[-1]))
