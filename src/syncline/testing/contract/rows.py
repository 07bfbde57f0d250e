"""What targets promise that keep tables, fenced by their lanes: rows as texts, and batches that prove their epochs."""

# ruff: noqa: RUF001  (some texts are odd on purpose)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from syncline.errors import LaneLostError, TargetError
from syncline.model.entity import ROWS, Entity, TableName
from syncline.ports import Absence, Batch, Document, Fence, State, Target
from syncline.testing.contract.calls import Calls, absence, document
from syncline.testing.contract.reading import Reading
from syncline.testing.contract.refusals import Refusals
from syncline.testing.contract.writing import Writing

COLUMNS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "things": {"id": "bigint", "name": "text", "n": "integer", "a": "integer", "b": "integer"},
        "people": {"id": "bigint", "email": "text UNIQUE"},
        "pairs": {"a": "integer", "b": "text", "name": "text"},
        "kinds": {
            "id": "bigint",
            "text": "text",
            "numeric": "numeric",
            "double": "double precision",
            "json": "json",
            "jsonb": "jsonb",
            "bytes": "bytea",
            "texts": "text[]",
            "moment": "timestamptz",
            "flag": "boolean",
            "uuid": "uuid",
        },
    }
)
KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType({"pairs": ("a", "b")})
TABLES = ";\n".join(
    f"CREATE TABLE {name} ({', '.join(f'{column} {type_}' for column, type_ in columns.items())}, "
    f"PRIMARY KEY ({', '.join(KEYS.get(name, ('id',)))}))"
    for name, columns in COLUMNS.items()
)
"""What the target's database must have, as PostgreSQL says it."""
LANE, EPOCH = 40, 5
VALUES: Mapping[str, tuple[str | None, ...]] = MappingProxyType(
    {
        "text": ("", " ", "NULL", "{a,b}", 'say "\\x", twice', "tab\tand\nline", "𝕌𝕟𝕚 ünïcode", "$1 %s {}", None),
        "numeric": ("0.1000000000000000055511151231257827", "-" + "9" * 60, "1.50", "NaN", "-Infinity"),
        "double": ("-0", "5e-324", "1.7976931348623157e+308", "Infinity", "NaN"),
        "json": ('{"b":  1, "a": [1, null], "b": 2}',),
        "jsonb": ('{"a.b": {"$set": [1.50, null, {}]}}', "[]", "null"),
        "bytes": ("\\x", "\\x00ff"),
        "texts": ("{}", '{"a,b",NULL,"","{"}', "[2:3]={x,y}", "{{a},{b}}"),
        "moment": ("infinity", "0001-01-01 00:00:00+00 BC", "9999-12-31 23:59:59.999999+00"),
        "flag": ("t", "f"),
        "uuid": ("12345678-1234-5678-1234-567812345678",),
    }
)


def _entity(name: str) -> Entity:
    return Entity(name, TableName("public", name), name, key=KEYS.get(name, ("id",)), form=ROWS)


class RowCalls(Calls):
    """The calls, with rows: ``document(1, 5, name="x")`` stands for a row of the entity's columns."""

    fence = Fence.LANE
    things, people, pairs = map(_entity, ("things", "people", "pairs"))
    taken = "people_email_key"

    async def batch(self, target: Target, how: str, *documents: Document, entity: Entity | None = None) -> Batch:
        """Make a batch of a lane that this worker owns."""
        entity = entity or self.things
        made = await self._batch(target, entity)
        rows = [State(one["_originalId"], self.key(one["_id"]), 1, self._row(entity, one)) for one in documents]
        (made.inserts if how == "inserts" else made.upserts).extend(rows)
        return made

    async def absences(self, target: Target, *absences: Absence, entity: Entity | None = None) -> Batch:
        """Make a batch of deletes."""
        made = await self._batch(target, entity or self.things)
        made.deletes += [replace(one, id=self.key(one.id)) for one in absences]
        return made

    async def _batch(self, target: Target, entity: Entity) -> Batch:
        await target.announce({LANE: EPOCH})
        return Batch(entity, lanes={LANE: EPOCH})

    def _row(self, entity: Entity, document: Document) -> dict[str, str | None]:
        given = {**self.key(document["_id"]), **{name: _text(value) for name, value in document.items()}}
        return {name: given.get(name) for name in COLUMNS[entity.name]}

    def as_read(self, document: Document) -> Document:
        """Say how the target reads a row: every column, as its type's output function writes it."""
        return self._row(self.people if "email" in document else self.things, document)

    def key(self, id_: Any) -> Any:
        """Give the key's columns as texts."""
        return {name: str(value) for name, value in (id_ if isinstance(id_, dict) else {"id": id_}).items()}

    def id(self, key: Any) -> Any:
        """Give the number, or the parts of the key."""
        return int(key["id"]) if "id" in key else {"a": int(key["a"]), "b": key["b"]}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


class LaneFence(RowCalls):
    """G3, by lanes: whoever has lost one writes nothing more for it."""

    @pytest.mark.parametrize("how", ["inserts", "upserts", "deletes"])
    async def test_an_older_epoch_writes_nothing(self, target: Target, how: str) -> None:
        """Late writes change nothing, and their sender hears which lanes are lost."""
        await self.upsert(target, document(1, 1, name="new"))
        gone = how == "deletes"
        late = await (self.absences(target, absence(1, 1)) if gone else self.batch(target, how, document(1, 1)))
        await target.announce({LANE: EPOCH + 1})
        with pytest.raises(LaneLostError) as lost:
            await target.apply(late)
        assert (set(lost.value.lanes), lost.value.unknown) == ({LANE}, False)
        assert await self.stored(target, 1) == self.as_read(document(1, 1, name="new"))

    async def test_a_lane_that_was_not_announced_writes_nothing(self, target: Target) -> None:
        """Whatever its epoch."""
        batch = await self.batch(target, "inserts", document(1, 1))
        batch.lanes = {LANE + 1: EPOCH}
        with pytest.raises(LaneLostError):
            await target.apply(batch)
        assert await self.everything(target) == []

    async def test_a_batch_of_several_lanes_is_written_whole_or_not(self, target: Target) -> None:
        """One that is lost is enough."""
        batch = await self.batch(target, "inserts", document(1, 1), document(2, 1))
        await target.announce({LANE + 1: EPOCH + 3})
        batch.lanes = {LANE: EPOCH, LANE + 1: EPOCH}
        with pytest.raises(LaneLostError) as lost:
            await target.apply(batch)
        assert set(lost.value.lanes) == {LANE + 1}
        assert await self.everything(target) == []

    async def test_a_batch_without_lanes_is_refused(self, target: Target) -> None:
        """It has no fence."""
        batch = await self.batch(target, "inserts", document(1, 1))
        batch.lanes = {}
        with pytest.raises(TargetError, match="fence"):
            await target.apply(batch)
        assert await self.everything(target) == []

    async def test_a_batch_that_is_sent_again_changes_nothing(self, target: Target) -> None:
        """Under an epoch that holds."""
        batch = await self.batch(target, "inserts", document(1, 1, name="x"), document(2, 1))
        for _ in range(2):
            assert not (await target.apply(batch)).rejected
        assert await self.everything(target) == [1, 2]

    async def test_no_delete_is_done_twice(self, target: Target) -> None:
        """A write is executed while its lanes are its worker's, or never: no second one has to follow it."""
        assert not target.deletes_twice


class RowValues(RowCalls):
    """Values are the texts of their types."""

    kinds = _entity("kinds")

    async def test_values_of_every_kind_come_back_as_they_were(self, target: Target) -> None:
        """To the letter, through inserts and through updates."""
        sent = [
            document(number, 1, **{column: value})
            for number, (column, value) in enumerate((c, v) for c, values in VALUES.items() for v in values)
        ]
        for how in ("inserts", "upserts"):
            report = await target.apply(await self.batch(target, how, *sent, entity=self.kinds))
            assert not report.rejected
        for one in sent:
            assert await self.stored(target, one["_id"], self.kinds) == self._row(self.kinds, one)


class RowRefusals(RowCalls, Refusals):
    """What a column does not take is rejected, and who stands in the way is named."""

    @pytest.mark.parametrize("how", ["inserts", "upserts"])
    @pytest.mark.parametrize(("value", "code"), [("many", "invalid_text"), (2**31, "out_of_range")])
    async def test_a_value_that_its_column_does_not_take_is_rejected_by_name(
        self, target: Target, how: str, value: Any, code: str
    ) -> None:
        """The message names the column; the rest of the batch goes in."""
        sent = document(1, 1), document(2, 1, n=value), document(3, 1)
        report = await target.apply(await self.batch(target, how, *sent))
        assert [(one.key, one.code) for one in report.rejected] == [("2", code)]
        assert "column n" in report.rejected[0].message
        assert await self.everything(target) == [1, 3]

    async def test_a_rejected_row_leaves_the_stored_one(self, target: Target) -> None:
        """What readers see stays until the record can be written."""
        await self.upsert(target, document(1, 1, n=1))
        await self.upsert(target, document(1, 2, n="many"))
        assert await self.stored(target, 1) == self.as_read(document(1, 1, n=1))

    async def test_a_conflict_names_the_row_in_the_way(self, target: Target) -> None:
        """So nobody asks for the holder of a value."""
        await target.prepare([self.people])
        await self.insert(target, document(1, 1, email="a@x"), entity=self.people)
        report = await self.insert(target, document(2, 1, email="a@x"), entity=self.people)
        assert [(one.why, one.collection, one.other) for one in report.conflicts] == [
            ("value", "public.people", {"id": "1"})
        ]
        assert await target.holders(self.people, [{"email": "a@x"}]) == [None]


class RowWriting(RowCalls, Writing):
    """A user's row has nothing of ours."""

    async def test_nothing_is_discarded(self, target: Target) -> None:
        """No row says that it is ours."""
        await self.insert(target, document(1, 1))
        assert await target.discard(self.things, [self.key(1)]) == 0
        assert await self.everything(target) == [1]


class RowReading(RowCalls, Reading):
    """A walk gives keys."""

    async def test_a_walk_carries_keys_alone(self, target: Target) -> None:
        """There is no ticket to carry."""
        await self.insert(target, document(1, 5, name="x"))
        assert [page async for page in target.walk(self.things)] == [[{"_id": {"id": "1"}}]]
