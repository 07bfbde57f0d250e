"""Inserts, updates and deletes arrive as they were sent."""

from __future__ import annotations

from syncline.ports import Batch, Report, Target
from syncline.testing.contract.calls import THINGS, Calls, absence, document


class Writing(Calls):
    """What is written is what is read."""

    async def test_an_insert_is_stored_as_it_was_sent(self, target: Target) -> None:
        """The whole record."""
        sent = document(1, 5, name="Ada", n=7)
        await self.insert(target, sent)
        assert await self.stored(target, 1) == self.as_read(sent)

    async def test_an_insert_that_meets_a_record_becomes_an_update(self, target: Target) -> None:
        """The hint is only a hint."""
        await self.insert(target, document(1, 5, name="old"))
        report = await self.insert(target, document(1, 6, name="new"), document(2, 6))
        assert not report.rejected
        assert not report.conflicts
        assert (await self.stored(target, 1) or {})["name"] == "new"
        assert await self.stored(target, 2) is not None

    async def test_an_upsert_creates_and_replaces_whole(self, target: Target) -> None:
        """What is gone in the new state is gone in the record."""
        await self.upsert(target, document(1, 5, a=1))
        await self.upsert(target, document(1, 6, b=2))
        assert await self.stored(target, 1) == self.as_read(document(1, 6, b=2))

    async def test_a_delete_removes(self, target: Target) -> None:
        """And one of a record that is not there is no error."""
        await self.upsert(target, document(1, 5))
        await self.delete(target, absence(1, 6), absence(2, 6))
        assert await self.everything(target) == []

    async def test_an_empty_batch_is_nothing(self, target: Target) -> None:
        """No round trip fails on it."""
        assert await target.apply(Batch(self.things)) == Report()

    async def test_thousands_of_records_in_one_batch(self, target: Target) -> None:
        """However many commands it takes."""
        await self.insert(target, *(document(n, 1, n=n) for n in range(2500)))
        await self.upsert(target, *(document(n, 2, n=-n) for n in range(2500)))
        await self.delete(target, *(absence(n, 3) for n in range(100, 2500)))
        assert await self.everything(target) == list(range(100))
        assert await self.stored(target, 99) == self.as_read(document(99, 2, n=-99))


class DocumentWriting(Writing):
    """What documents have beside it."""

    async def test_a_document_has_what_is_nested_in_it(self, target: Target) -> None:
        """Our own fields included."""
        sent = document(1, 5, name="Ada", nested={"a": [1, {"b": None}]})
        await self.insert(target, sent)
        assert await self.stored(target, 1) == sent

    async def test_inserts_that_met_a_record_are_counted(self, target: Target) -> None:
        """A backfill is tried as inserts while few do."""
        await self.insert(target, document(1, 5))
        assert (await self.insert(target, document(1, 6), document(2, 6))).present == 1

    async def test_discarding_removes_ours_whatever_their_version(self, target: Target) -> None:
        """Under an ``_id`` that no row can have; a record without our fields, or without all of them, stays."""
        await self.insert(target, document("old", 9), document(2, 1))
        await self.put_foreign(target, THINGS, {"_id": "theirs", "name": "x"})
        await self.put_foreign(target, THINGS, {"_id": "like ours", "_v": 1, "_originalId": "1"})
        assert await target.discard(THINGS, ["old", "theirs", "like ours", "none"]) == 1
        assert await self.everything(target) == [2, "like ours", "theirs"]
