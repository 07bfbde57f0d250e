"""What every target promises, as tests. Subclass ``TargetContract`` and give it a fixture ``target``.

    class TestMyTarget(TargetContract):
        @pytest.fixture
        async def target(self):
            target = MyTarget(...)
            yield target
            await target.close()

The tests are asynchronous: run them with pytest-asyncio in ``auto`` mode, or the anyio plugin.
"""

# ruff: noqa: S101, ARG002, RUF001  (these are tests: they assert; some texts are odd on purpose)

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from bson.binary import Binary
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64

from syncline.model.entity import Entity, Index, TableName
from syncline.model.mark import ticket
from syncline.ports import Absence, Batch, Beat, Document, Report, Target

THINGS = Entity("thing", TableName("public", "things"), "things")
PEOPLE = replace(THINGS, name="person", collection="people", indexes=(Index((("email", 1),), unique=True),))
WHEN = datetime(2026, 1, 1)  # noqa: DTZ001  documents hold UTC without a zone
MEGABYTE = 1024 * 1024


def document(id_: Any, v: int, /, **fields: Any) -> Document:
    """Make a record as the relay does."""
    return {"_id": id_, "_originalId": str(id_), "_source": "postgresql", "_syncedAt": WHEN, "_v": v, **fields}


def absence(id_: Any, v: int) -> Absence:
    """Make an absence as the relay does."""
    return Absence(str(id_), id_, v)


def batch_of(how: str, *documents: Document, entity: Entity = THINGS) -> Batch:
    """Make a batch of ``inserts`` or ``upserts``."""
    return Batch(entity, inserts=list(documents)) if how == "inserts" else Batch(entity, upserts=list(documents))


class TargetContract:
    """The promises of ``syncline.ports.Target``, each as a test."""

    async def put_foreign(self, target: Target, entity: Entity, record: Document) -> None:
        """Store a record past the fence, as somebody else might; override it to run the tests that need it."""
        pytest.skip("put_foreign is not overridden")

    async def insert(self, target: Target, *documents: Document, entity: Entity = THINGS) -> Report:
        """Send inserts."""
        return await target.apply(Batch(entity, inserts=list(documents)))

    async def upsert(self, target: Target, *documents: Document, entity: Entity = THINGS) -> Report:
        """Send upserts."""
        return await target.apply(Batch(entity, upserts=list(documents)))

    async def delete(self, target: Target, *absences: Absence, entity: Entity = THINGS) -> Report:
        """Send deletes."""
        return await target.apply(Batch(entity, deletes=list(absences)))

    async def stored(self, target: Target, id_: Any, entity: Entity = THINGS) -> Document | None:
        """Read one record."""
        found = await target.read(entity, [id_])
        assert len(found) <= 1
        return found[0] if found else None

    async def everything(self, target: Target, entity: Entity = THINGS, **options: Any) -> list[Any]:
        """Walk and list the ids."""
        return [record["_id"] async for page in target.walk(entity, **options) for record in page]

    # -- writing

    async def test_an_insert_is_stored_as_it_was_sent(self, target: Target) -> None:
        """The whole document, our own fields included."""
        sent = document(1, 5, name="Ada", nested={"a": [1, {"b": None}]})
        await self.insert(target, sent)
        assert await self.stored(target, 1) == sent

    async def test_an_insert_that_meets_a_record_becomes_an_update(self, target: Target) -> None:
        """The hint is only a hint."""
        await self.insert(target, document(1, 5, name="old"))
        report = await self.insert(target, document(1, 6, name="new"), document(2, 6))
        assert report.present == 1
        assert not report.rejected
        assert not report.conflicts
        assert (await self.stored(target, 1) or {})["name"] == "new"
        assert await self.stored(target, 2) is not None

    async def test_an_upsert_creates_and_replaces_whole(self, target: Target) -> None:
        """Fields that are gone in the new state are gone in the record."""
        await self.upsert(target, document(1, 5, a=1))
        await self.upsert(target, document(1, 6, b=2))
        assert await self.stored(target, 1) == document(1, 6, b=2)

    async def test_a_delete_removes(self, target: Target) -> None:
        """And one of a record that is not there is no error."""
        await self.upsert(target, document(1, 5))
        await self.delete(target, absence(1, 6), absence(2, 6))
        assert await self.everything(target) == []

    async def test_an_empty_batch_is_nothing(self, target: Target) -> None:
        """No round trip fails on it."""
        assert await target.apply(Batch(THINGS)) == Report()

    async def test_thousands_of_records_in_one_batch(self, target: Target) -> None:
        """However many commands it takes."""
        await self.insert(target, *(document(n, 1, n=n) for n in range(2500)))
        await self.upsert(target, *(document(n, 2, n=-n) for n in range(2500)))
        await self.delete(target, *(absence(n, 3) for n in range(100, 2500)))
        assert await self.everything(target) == list(range(100))
        assert (await self.stored(target, 99) or {})["n"] == -99

    # -- the fence

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

    # -- values

    async def test_values_that_look_like_operators_are_values(self, target: Target) -> None:
        """Through inserts and through updates."""
        odd = {"price": "$5", "ref": "$name", "expr": {"inner": "$$ROOT"}, "list": ["$a", {"b": "$b"}]}
        await self.insert(target, document(1, 1, **odd))
        await self.upsert(target, document(1, 2, **odd))
        await self.upsert(target, document(2, 2, **odd))
        assert await self.stored(target, 1) == document(1, 2, **odd)
        assert await self.stored(target, 2) == document(2, 2, **odd)

    @pytest.mark.parametrize("name", ["a.b", "$set", "$literal", "x.$", "", "with space", "ünïcode", ".", "a$b"])
    async def test_any_field_name_below_the_top_is_kept(self, target: Target, name: str) -> None:
        """JSON columns have them."""
        await self.insert(target, document(1, 1, data={name: 1}))
        await self.upsert(target, document(1, 2, data={name: {name: [{name: 2}]}}))
        await self.upsert(target, document(2, 1, data={name: 1}))
        assert (await self.stored(target, 1) or {})["data"] == {name: {name: [{name: 2}]}}
        assert (await self.stored(target, 2) or {})["data"] == {name: 1}

    @pytest.mark.parametrize("name", ["a.b", "a.b.c", "trailing.", "mid$dle"])
    async def test_a_dotted_field_name_at_the_top_is_kept(self, target: Target, name: str) -> None:
        """A column may be called so; it is no path."""
        await self.upsert(target, document(1, 1, **{name: 1}))
        await self.upsert(target, document(1, 2, **{name: 2}))
        assert (await self.stored(target, 1) or {})[name] == 2

    @pytest.mark.parametrize(
        "value",
        [
            Decimal128("0.1000000000000000055511151231257827"),
            Decimal128("-9.999999999999999999999999999999999E+6144"),
            Decimal128("1.50"),
            Decimal128("NaN"),
            Decimal128("Infinity"),
            uuid.UUID("12345678-1234-5678-1234-567812345678"),
            DatetimeMS(253402300800000),
            DatetimeMS(-62135596800001),
            DatetimeMS(-(2**63)),
            datetime(1, 1, 1),  # noqa: DTZ001
            datetime(9999, 12, 31, 23, 59, 59, 999000),  # noqa: DTZ001
            Int64(2**63 - 1),
            Int64(1),
            math.inf,
            -0.0,
            5e-324,
            b"\x00\xff",
            Binary(b"x", 128),
            "nul \x00 inside, 𝕌𝕟𝕚",
            "",
            [],
            {},
            [None, [1, [2]], {}],
            True,
        ],
        ids=repr,
    )
    async def test_a_value_comes_back_as_it_was(self, target: Target, value: Any) -> None:
        """Type included."""
        await self.insert(target, document(1, 1, value=value))
        await self.upsert(target, document(1, 2, value=value))
        found = (await self.stored(target, 1) or {})["value"]
        assert found == value
        assert repr(found) == repr(value)

    # -- what a target refuses

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

    # -- unique values

    @pytest.mark.parametrize("how", ["inserts", "upserts"])
    async def test_a_taken_unique_value_is_a_conflict(self, target: Target, how: str) -> None:
        """With the index and the value, and the rest goes in."""
        await target.prepare([PEOPLE])
        await self.insert(target, document(1, 1, email="a@x"), entity=PEOPLE)
        batch = batch_of(how, document(2, 2, email="a@x"), document(3, 2, email="c@x"), entity=PEOPLE)
        report = await target.apply(batch)
        assert not report.rejected
        assert [(one.key, one.index, one.value) for one in report.conflicts] == [("2", "email_1", {"email": "a@x"})]
        assert await self.everything(target, PEOPLE) == [1, 3]

    async def test_an_update_to_a_taken_value_is_a_conflict_and_changes_nothing(self, target: Target) -> None:
        """The record stays as it was."""
        await target.prepare([PEOPLE])
        await self.insert(target, document(1, 1, email="a@x"), document(2, 1, email="b@x"), entity=PEOPLE)
        report = await self.upsert(target, document(2, 2, email="a@x"), entity=PEOPLE)
        assert [one.key for one in report.conflicts] == ["2"]
        assert await self.stored(target, 2, PEOPLE) == document(2, 1, email="b@x")

    async def test_the_holder_of_a_value_is_found(self, target: Target) -> None:
        """Also when there is none."""
        await target.prepare([PEOPLE])
        await self.insert(target, document(1, 1, email="a@x"), entity=PEOPLE)
        found = await target.holders(PEOPLE, [{"email": "a@x"}, {"email": "nobody"}, {}])
        assert found == [document(1, 1, email="a@x"), None, None]

    async def test_preparing_twice_is_harmless(self, target: Target) -> None:
        """Every worker does it at its start."""
        await target.prepare([THINGS, PEOPLE])
        await target.prepare([THINGS, PEOPLE])

    # -- lanes and beats

    async def test_lanes_are_unknown_at_first(self, target: Target) -> None:
        """A new target has no past."""
        assert await target.lane_epochs() == {}
        assert await target.announce({}) == set()

    async def test_an_epoch_is_announced(self, target: Target) -> None:
        """Per lane."""
        assert await target.announce({0: 3, 63: 3}) == {0, 63}
        assert await target.announce({1: 4}) == {1}
        assert await target.lane_epochs() == {0: 3, 1: 4, 63: 3}

    async def test_a_lower_epoch_is_not_announced(self, target: Target) -> None:
        """Somebody has acquired the lane since."""
        await target.announce({0: 9, 1: 2})
        assert await target.announce({0: 8, 1: 8}) == {1}
        assert await target.lane_epochs() == {0: 9, 1: 8}

    async def test_a_lost_reply_to_an_announcement_can_be_repeated(self, target: Target) -> None:
        """An epoch belongs to one acquisition: who announces it again has announced it."""
        await target.announce({0: 3})
        assert await target.announce({0: 3}) == {0}

    async def test_a_beat_returns_what_was_there(self, target: Target) -> None:
        """First nothing, then the one before."""
        first, second = Beat("i", "s", 1), Beat("i", "s", 2)
        assert await target.read_beat() is None
        assert await target.beat(first) is None
        assert await target.beat(second) == first
        assert await target.read_beat() == second

    async def test_a_late_beat_does_not_turn_the_count_back(self, target: Target) -> None:
        """A renewal of another worker may have been quicker."""
        await target.beat(Beat("i", "s", 5))
        assert await target.beat(Beat("i", "s", 4)) == Beat("i", "s", 5)
        assert await target.read_beat() == Beat("i", "s", 5)

    async def test_a_new_installation_starts_counting_again(self, target: Target) -> None:
        """Whatever the old one had counted to."""
        await target.beat(Beat("old", "s", 500))
        assert await target.beat(Beat("new", "s", 1)) == Beat("old", "s", 500)
        assert await target.read_beat() == Beat("new", "s", 1)

    async def test_a_healthy_target_passes_its_probe(self, target: Target) -> None:
        """And says what it is."""
        await target.probe()
        await target.probe()
        assert (await target.ping())["version"]

    async def test_control_records_are_not_in_the_collections(self, target: Target) -> None:
        """A walk sees records only."""
        await target.announce({0: 1})
        await target.beat(Beat("i", "s", 1))
        await target.probe()
        await self.insert(target, document(1, 1))
        assert await self.everything(target) == [1]

    # -- reading and walking

    async def test_reading_gives_what_is_there(self, target: Target) -> None:
        """In any order, without the others."""
        await self.insert(target, *(document(n, 1) for n in range(5)))
        assert await target.read(THINGS, []) == []
        assert sorted(found["_id"] for found in await target.read(THINGS, [4, 1, 9])) == [1, 4]

    async def test_a_composite_key_is_an_id(self, target: Target) -> None:
        """Its fields are in the order of the key."""
        ids: list[Any] = [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "a"}]
        await self.insert(target, *(document(id_, 1) for id_ in reversed(ids)))
        await self.upsert(target, document(ids[1], 2, name="new"))
        await self.delete(target, absence(ids[2], 2))
        assert await self.everything(target) == ids[:2]
        assert (await self.stored(target, ids[1]) or {})["name"] == "new"

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

    async def test_a_walk_goes_on_after_any_id(self, target: Target) -> None:
        """Also after null, and after one that is gone."""
        await self.insert(target, *(document(id_, 1) for id_ in self.MIXED))
        for position, id_ in enumerate(self.MIXED):
            rest = await self.everything(target, after=id_, resume=True, size=4)
            assert rest == list(self.MIXED[position + 1 :])
        assert await self.everything(target, after=2.25, resume=True) == list(self.MIXED[4:])

    async def test_a_walk_carries_tickets(self, target: Target) -> None:
        """Nothing else: it is for whole collections."""
        await self.insert(target, document(1, 5, name="x"))
        assert [page async for page in target.walk(THINGS)] == [[{"_id": 1, "_v": 5}]]

    async def test_a_walk_over_nothing_ends(self, target: Target) -> None:
        """Also over a collection that does not exist."""
        assert [page async for page in target.walk(THINGS)] == []

    async def test_pages_have_the_size_that_was_asked_for(self, target: Target) -> None:
        """The last one what is left."""
        await self.insert(target, *(document(n, 1) for n in range(25)))
        assert [len(page) async for page in target.walk(THINGS, size=10)] == [10, 10, 5]
