"""Reading by key, and walking a whole collection."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64

from syncline.ports import Target
from syncline.testing.contract.calls import THINGS, Calls, absence, document


class Reading(Calls):
    """A walk misses nothing."""

    async def test_reading_gives_what_is_there(self, target: Target) -> None:
        """In any order, without the others."""
        await self.insert(target, *(document(n, 1) for n in range(5)))
        assert await target.read(self.things, []) == []
        found = await target.read(self.things, [self.key(id_) for id_ in (4, 1, 9)])
        assert {repr(one) for one in found} == {repr(self.as_read(document(id_, 1))) for id_ in (1, 4)}

    async def test_a_composite_key_is_an_id(self, target: Target) -> None:
        """Its fields are in the order of the key."""
        ids: list[Any] = [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "a"}]
        await self.insert(target, *(document(id_, 1) for id_ in reversed(ids)), entity=self.pairs)
        await self.upsert(target, document(ids[1], 2, name="new"), entity=self.pairs)
        await self.delete(target, absence(ids[2], 2), entity=self.pairs)
        assert await self.everything(target, self.pairs) == ids[:2]
        assert (await self.stored(target, ids[1], self.pairs) or {})["name"] == "new"

    async def test_a_walk_over_nothing_ends(self, target: Target) -> None:
        """Also over a collection that does not exist."""
        assert [page async for page in target.walk(self.things)] == []

    async def test_pages_have_the_size_that_was_asked_for(self, target: Target) -> None:
        """The last one what is left."""
        await self.insert(target, *(document(n, 1) for n in range(25)))
        assert [len(page) async for page in target.walk(self.things, size=10)] == [10, 10, 5]

    async def test_a_walk_goes_on_after_any_id(self, target: Target) -> None:
        """Also after one that is gone."""
        await self.insert(target, *(document(n, 1) for n in range(0, 20, 2)))
        for id_ in range(-1, 20):
            rest = [n for n in range(0, 20, 2) if n > id_]
            assert await self.everything(target, after=id_, resume=True, size=4) == rest

    async def test_a_walk_ends_with_an_id(self, target: Target) -> None:
        """Also with one that is gone, or from behind another one, or behind its end."""
        await self.insert(target, *(document(n, 1) for n in range(0, 20, 2)))
        for id_ in range(-1, 21):
            assert await self.everything(target, until=id_, size=4) == [n for n in range(0, 20, 2) if n <= id_]
            rest = await self.everything(target, after=7, resume=True, until=id_, size=2)
            assert rest == [n for n in range(8, 20, 2) if n <= id_]

    async def test_a_collection_is_cut_into_parts(self, target: Target) -> None:
        """Walks from cut to cut give each record once."""
        assert await target.cut(self.things, 4, least=1) == []
        await self.insert(target, *(document(n, 1) for n in range(23)))
        for parts, least in ((1, 1), (2, 1), (4, 1), (4, 9), (4, 50), (60, 1)):
            cuts = await target.cut(self.things, parts, least=least)
            assert len(cuts) < min(parts, -(-23 // least))
            assert (len(cuts) > 0) == (parts > 1 and least < 23)
            found: list[Any] = []
            for first, last in zip([None, *cuts], [*cuts, None], strict=True):
                ends: dict[str, Any] = {} if last is None else {"until": last}
                pages = target.walk(self.things, after=first, resume=first is not None, **ends)
                found += [self.id(record["_id"]) async for page in pages for record in page]
            assert found == list(range(23))


class DocumentReading(Reading):
    """Ids may be of every type, and each record has a ticket."""

    MIXED: Sequence[Any] = (
        None,
        -5,
        Decimal128("1.5"),
        2,
        2.5,
        Int64(2**40),
        "",
        "B",
        "a",
        "ä",
        {"a": 1},
        {"a": 2},
        b"zz",
        b"aaa",
        uuid.UUID(int=1),
        False,
        True,
        datetime(2020, 1, 1),  # noqa: DTZ001
    )
    """Ids of every type, in the order of the walk."""

    @pytest.mark.parametrize("size", [1, 2, 1000])
    async def test_a_walk_crosses_types(self, target: Target, size: int) -> None:
        """A range over ids that is bounded by a value must not end at its type's border."""
        await self.insert(target, *(document(id_, 1) for id_ in self.MIXED[::-1]))
        assert await self.everything(target, size=size) == list(self.MIXED)

    async def test_a_walk_goes_on_after_an_id_of_any_type(self, target: Target) -> None:
        """Also after null, and after one that is gone."""
        await self.insert(target, *(document(id_, 1) for id_ in self.MIXED))
        for position, id_ in enumerate(self.MIXED):
            rest = await self.everything(target, after=id_, resume=True, size=4)
            assert rest == list(self.MIXED[position + 1 :])
        assert await self.everything(target, after=2.25, resume=True) == list(self.MIXED[4:])

    async def test_a_walk_ends_with_an_id_of_any_type(self, target: Target) -> None:
        """Also with null, and with one that is gone."""
        await self.insert(target, *(document(id_, 1) for id_ in self.MIXED))
        for position, id_ in enumerate(self.MIXED):
            assert await self.everything(target, until=id_, size=4) == list(self.MIXED[: position + 1])
        assert await self.everything(target, until=2.25) == list(self.MIXED[:4])

    async def test_a_walk_carries_tickets(self, target: Target) -> None:
        """Nothing else: it is for whole collections."""
        await self.insert(target, document(1, 5, name="x"))
        assert [page async for page in target.walk(THINGS)] == [[{"_id": 1, "_v": 5}]]
