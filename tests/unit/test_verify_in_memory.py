"""Verification, memory by memory: no server, so that what fails here is the core itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from syncline.engines.memory import MemoryTarget
from syncline.model.entity import Column, Entity, Shape, TableName
from syncline.model.mapping import Projection
from syncline.model.mark import LANES, ticket
from syncline.model.notice import Notice
from syncline.ports import Batch, Plan, Rejection
from syncline.verify import progress
from syncline.verify.one_pass import Options, Pass, Sides
from syncline.verify.repair import Repairer
from syncline.verify.report import Mode, VerifyReport
from syncline.verify.second_look import SecondLook
from syncline.verify.verifier import verify
from tests.memory_source import MemoryDatabase
from tests.memory_verification import MemoryInspection, MemorySide
from tests.pairs import kinds

TEXT = Column("v", "text", "text", 25)
KEYS = {
    "number": Column("id", "bigint", "int8", 20, not_null=True),
    "word": Column("id", "text", "text", 25, not_null=True),
}
"""Keys that both sides sort alike, and keys that are looked up."""
QUICK = timedelta(seconds=0.5)
ROWS = 200


class Both:
    """A table and its copy."""

    def __init__(self, key: Column) -> None:
        name = TableName("public", "item")
        self.entity = Entity("item", name, "item")
        shape = Shape(name, 1, "r", (key, TEXT), ("id",), (("id",),))
        self.plan = Plan(1, self.entity, Projection(self.entity, shape, {}), None)
        self.database, self.target = MemoryDatabase([self.plan]), MemoryTarget()
        self.side = MemorySide(self.database)
        self.of: Callable[[int], Any] = int if key.base == "int8" else str
        self.batch = 0

    @property
    def sides(self) -> Sides:
        return Sides(self.side, MemoryInspection(self.target))

    async def fill(self) -> None:
        await self.target.announce(dict.fromkeys(range(LANES), 1))
        for number in range(ROWS):
            self.put(number, f"v{number}")
        await self.drain()

    def put(self, number: int, value: str) -> None:
        self.database.put(1, id=self.of(number), v=value)

    async def drain(self) -> None:
        """Apply every mark, as the relay does."""
        self.batch += 1
        keys = [mark.key for mark in self.database.marks.values()]
        self.database.marks.clear()
        states = await self.side.looks.read(self.plan, keys)
        gone = [self.plan.projection.codec.document_id(key) for key in keys if key not in self.database.rows[1]]
        await self.target.discard(self.entity, gone)
        await self.target.apply(Batch(self.entity, upserts=states.present(ticket(1, self.batch)), source="memory"))

    def stored(self, number: int) -> dict[str, Any]:
        return next(one for one in self.target.documents(self.entity) if one["_id"] == self.of(number))

    async def verify(self, *, resume: bool = False, **options: Any) -> VerifyReport:
        values = {"patience": QUICK, **options, "mode": Mode(options.get("mode", "full"))}
        return await verify(self.sides, [self.plan], Options(**values), resume=resume)

    async def damage(self) -> dict[str, str]:
        """Damage the copy at its beginning, in the middle and at its end."""
        for number in (0, 150, ROWS - 1):
            self.target.store(self.entity, self.stored(number) | {"v": "other"})
        await self.target.discard(self.entity, [self.of(number) for number in (1, 151, ROWS - 2)])
        self.target.store(self.entity, self.stored(7) | {"_id": self.of(9999), "_originalId": "9999"})
        self.target.store(self.entity, self.stored(8) | {"_v": ticket(99, 1)})
        self.target.store(self.entity, {"_id": {"no": "key"}, "v": "stray"})
        different = dict.fromkeys(("0", "150", str(ROWS - 1)), "different")
        missing = dict.fromkeys(("1", "151", str(ROWS - 2)), "missing")
        return {**different, **missing, "9999": "extra", "8": "unissued", "{'no': 'key'}": "foreign"}


@pytest.fixture(params=KEYS)
async def both(request, monkeypatch):
    monkeypatch.setattr("syncline.verify.page_walk.ROWS", 50)
    monkeypatch.setattr("syncline.verify.page_walk.KEYS", 50)
    made = Both(KEYS[request.param])
    await made.fill()
    return made


async def test_equal_sides_are_proved_equal_and_certified(both):
    report = await both.verify()
    assert (report.exit_status, report.entities[0].records, report.entities[0].documents) == (0, ROWS, ROWS)
    ((name, certificate),) = both.side.certificates.certified
    assert (name, certificate.verdict, certificate.equal, certificate.records) == ("item", "equal", True, ROWS)
    assert both.side.certificates.warned == {}
    assert both.side.passes.kept == {}


async def test_what_is_damaged_is_found_exactly(both):
    expected = await both.damage()
    assert kinds(await both.verify()) == expected
    assert "3 different, 1 extra, 1 foreign, 3 missing, 1 unissued" in both.side.certificates.warned[Notice.DIVERGED]
    presence = {key: kind for key, kind in expected.items() if kind not in {"different", "unissued"}}
    assert kinds(await both.verify(mode="keys")) == presence


async def test_a_repair_marks_what_the_relay_then_mends(both):
    expected = await both.damage()
    repairer = Repairer(both.sides, {"item": both.plan})
    await both.verify(taker=repairer)
    await repairer.audit()
    assert both.side.certificates.audited == {"item": (len(expected) - 1, 1)}
    await both.drain()
    assert kinds(await both.verify()) == {"{'no': 'key'}": "foreign"}


async def test_lag_is_no_damage_and_parked_records_fail(both):
    both.put(5, "new")
    both.database.remove(1, "6")
    report = await both.verify()
    assert (report.exit_status, kinds(report), report.entities[0].lagging) == (2, {}, 2)
    await both.drain()
    both.database.rows[1]["7"]["v"] = "too much"
    both.database.state.parked[1, "7"] = Rejection("7", "too_large", "")
    report = await both.verify()
    assert (report.exit_status, kinds(report), report.entities[0].parked) == (1, {}, 1)


async def test_a_parked_record_whose_entry_goes_during_the_pass_is_damage(both, monkeypatch):
    """Nobody has written it: that it was parked when it was looked at does not make it equal."""
    both.database.rows[1]["7"]["v"] = "too much"
    both.database.state.parked[1, "7"] = Rejection("7", "too_large", "")
    conclude = Pass._conclude

    async def discarded(self):
        both.database.state.parked.clear()
        await conclude(self)

    monkeypatch.setattr(Pass, "_conclude", discarded)
    report = await both.verify()
    assert (report.exit_status, kinds(report)) == (1, {"7": "different"})


async def test_a_parked_record_is_looked_at_again_by_a_pass_that_goes_on(both, monkeypatch):
    monkeypatch.setattr(progress, "SAVE_SECONDS", 0)
    monkeypatch.setattr(progress, "SAVE_SHARE", 0)
    both.database.rows[1]["7"]["v"] = "too much"
    both.database.state.parked[1, "7"] = Rejection("7", "too_large", "")
    conclude, passed = Pass._conclude, Pass._passed

    class Killed(BaseException):
        """The process is gone."""

    async def dying(self):
        await passed(self, 0)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Pass, "_conclude", dying)
        with pytest.raises(Killed):
            await both.verify()
    both.database.state.parked.clear()
    monkeypatch.setattr(Pass, "_conclude", conclude)
    report = await both.verify(resume=True)
    assert (report.exit_status, kinds(report)) == (1, {"7": "different"})


@pytest.mark.parametrize("after", [1, 3])
async def test_a_pass_that_was_killed_goes_on_where_it_was(both, monkeypatch, after):
    monkeypatch.setattr(progress, "SAVE_SECONDS", 0)
    monkeypatch.setattr(progress, "SAVE_SHARE", 0)
    expected = await both.damage()
    passed, calls = Pass._passed, []

    class Killed(BaseException):
        """The process is gone."""

    async def dying(self, records):
        await passed(self, records)
        calls.append(records)
        if len(calls) == after:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Pass, "_passed", dying)
        with pytest.raises(Killed):
            await both.verify()
    walked = []

    async def noted(self, records):
        walked.append(records)
        await passed(self, records)

    monkeypatch.setattr(Pass, "_passed", noted)
    report = await both.verify(resume=True)
    assert kinds(report) == expected
    assert (report.entities[0].records, len(report.entities[0].resumed)) == (ROWS, 1)
    assert sum(calls) + sum(walked) >= ROWS
    assert walked[0] < ROWS, "what was compared is not compared again"


@pytest.mark.parametrize("step", [1, 2, 3])
async def test_what_changes_between_the_steps_of_a_second_look_is_no_damage(both, monkeypatch, step):
    """A change that is applied, and undone, after each step in turn."""
    source, steps = Pass._source, []

    async def suspicious(self):
        await source(self)
        self._suspects.add(["3"])

    monkeypatch.setattr(Pass, "_source", suspicious)
    for name in ("_view", "_stored"):
        original = getattr(SecondLook, name)

        async def wrapped(self, keys, original=original):
            result = await original(self, keys)
            steps.append(1)
            if len(steps) in (step, step + 1):
                both.put(3, "new" if len(steps) == step else "v3")
                await both.drain()
            return result

        monkeypatch.setattr(SecondLook, name, wrapped)
    assert kinds(await both.verify()) == {}
