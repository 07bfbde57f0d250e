"""What a target refuses: one record, by name, and never its neighbours."""

from __future__ import annotations

from typing import Any

import pytest

from syncline.ports import Target
from syncline.testing.contract.calls import PEOPLE, Calls, batch_of, document

MEGABYTE = 1024 * 1024


class Refusals(Calls):
    """Values that are taken are conflicts."""

    @pytest.mark.parametrize("how", ["inserts", "upserts"])
    async def test_a_taken_unique_value_is_a_conflict(self, target: Target, how: str) -> None:
        """With the index and the value, and the rest goes in."""
        await target.prepare([self.people])
        await self.insert(target, document(1, 1, email="a@x"), entity=self.people)
        sent = document(2, 2, email="a@x"), document(3, 2, email="c@x")
        report = await target.apply(await self.batch(target, how, *sent, entity=self.people))
        assert not report.rejected
        assert [(one.key, one.index, one.value) for one in report.conflicts] == [("2", self.taken, {"email": "a@x"})]
        assert await self.everything(target, self.people) == [1, 3]

    async def test_an_update_to_a_taken_value_is_a_conflict_and_changes_nothing(self, target: Target) -> None:
        """The record stays as it was."""
        await target.prepare([self.people])
        await self.insert(target, document(1, 1, email="a@x"), document(2, 1, email="b@x"), entity=self.people)
        report = await self.upsert(target, document(2, 2, email="a@x"), entity=self.people)
        assert [one.key for one in report.conflicts] == ["2"]
        assert await self.stored(target, 2, self.people) == self.as_read(document(2, 1, email="b@x"))

    async def test_preparing_twice_is_harmless(self, target: Target) -> None:
        """Every worker does it at its start."""
        await target.prepare([self.things, self.people])
        await target.prepare([self.things, self.people])


class DocumentRefusals(Refusals):
    """What cannot be stored as a document is rejected."""

    async def test_a_record_of_almost_16_megabytes_fits(self, target: Target) -> None:
        """The limit is the engine's, not ours."""
        report = await self.upsert(target, document(1, 1, text="x" * (16 * MEGABYTE - 4096)))
        assert not report.rejected
        assert len((await self.stored(target, 1) or {})["text"]) == 16 * MEGABYTE - 4096

    @pytest.mark.parametrize("how", ["inserts", "upserts"])
    async def test_a_record_that_is_too_large_is_rejected_alone(self, target: Target, how: str) -> None:
        """Named by its key, the rest goes in."""
        large = document(2, 1, text="x" * (16 * MEGABYTE + 1))
        report = await target.apply(batch_of(how, document(1, 1), large, document(3, 1)))
        assert [(one.key, one.code) for one in report.rejected] == [("2", "too_large")]
        assert await self.everything(target) == [1, 3]

    async def test_a_batch_of_large_records_goes_in(self, target: Target) -> None:
        """However many commands it takes."""
        await self.upsert(target, *(document(n, 1, text="x" * (6 * MEGABYTE)) for n in range(10)))
        assert await self.everything(target) == list(range(10))

    @pytest.mark.parametrize("how", ["inserts", "upserts"])
    @pytest.mark.parametrize("value", [object(), 2**63, {"deep": {"er": 2**64}}], ids=["object", "2**63", "nested"])
    async def test_a_value_that_cannot_be_stored_is_rejected_by_name(
        self, target: Target, how: str, value: Any
    ) -> None:
        """The message names the field; the rest of the batch goes in."""
        bad = document(2, 1, fine=1, broken=value)
        report = await target.apply(batch_of(how, document(1, 1), bad, document(3, 1)))
        assert [(one.key, one.code) for one in report.rejected] == [("2", "mapping")]
        assert "broken" in report.rejected[0].message
        assert await self.everything(target) == [1, 3]

    async def test_a_rejected_record_leaves_the_stored_one(self, target: Target) -> None:
        """What readers see stays until the record can be written."""
        await self.upsert(target, document(1, 1, name="old"))
        await self.upsert(target, document(1, 2, name=object()))
        assert await self.stored(target, 1) == document(1, 1, name="old")

    async def test_the_holder_of_a_value_is_found(self, target: Target) -> None:
        """Also when there is none."""
        await target.prepare([PEOPLE])
        await self.insert(target, document(1, 1, email="a@x"), entity=PEOPLE)
        found = await target.holders(PEOPLE, [{"email": "a@x"}, {"email": "nobody"}, {}])
        assert found == [document(1, 1, email="a@x"), None, None]
