"""The gate that whoever writes documents passes: its number is in the write, and it is asked again before the answer."""

from __future__ import annotations

import asyncio

import pytest
from pymongo.errors import BulkWriteError

from syncline.capture.documents.field import FIELD, drawn, under
from syncline.capture.documents.gate import passing
from syncline.capture.documents.updates import inserted, marked_update, merged, replacement, tombstone
from syncline.config.documents import Documents
from syncline.errors import GateClosedError, MovedError, UnknownOutcomeError
from syncline.phases import Phase
from syncline.phases.switching.opening import address_of_target
from syncline.phases.switching.running import arun, run


class Gate:
    """A gate of one collection."""

    def __init__(self, number: int = 5) -> None:
        self.number, self.is_open = number, True

    def admitted(self, _collection: str) -> int:
        if not self.is_open:
            raise GateClosedError("tasks is changing sides")
        return self.number

    def holds(self, _collection: str, number: int) -> bool:
        return self.is_open and number == self.number


def number_of(update):
    """Find the number that a statement puts into the document."""
    if isinstance(update, list):
        (*_, last) = update
        (stage,) = last.values()
        return (stage.get(FIELD) or stage["$mergeObjects"][-1][FIELD]).get("c")
    return update[FIELD].get("c") if FIELD in update else update["$set"].get("_sync.c")


@pytest.mark.parametrize(
    "statement",
    [
        lambda: inserted({"_id": 1}),
        lambda: marked_update({"$inc": {"n": 1}}),
        lambda: marked_update([{"$set": {"n": 1}}]),
        lambda: replacement({"n": 1}),
        lambda: merged({"n": 1}),
        tombstone,
    ],
)
def test_every_statement_says_under_which_number_it_was_written(statement):
    with under(7):
        assert number_of(statement()) == 7
    assert number_of(statement()) is None
    assert "c" not in drawn()


def test_a_write_is_acknowledged_only_if_the_gate_still_holds_after_it():
    gate = Gate()
    with passing(gate, "tasks"):
        pass
    with pytest.raises(UnknownOutcomeError), passing(gate, "tasks"):
        gate.number += 1
    gate.is_open = False
    with pytest.raises(GateClosedError), passing(gate, "tasks"):
        raise AssertionError("nothing is sent to a gate that is closed")


def test_what_was_written_of_many_is_told_only_if_the_gate_still_holds():
    def write(gate, opened):
        with passing(gate, "tasks"):
            gate.number += opened
            raise BulkWriteError({"nInserted": 1})

    with pytest.raises(BulkWriteError):
        write(Gate(), 0)
    with pytest.raises(UnknownOutcomeError):
        write(Gate(), 1)


async def test_tasks_beside_each_other_write_under_their_own_numbers():
    async def wrote(number):
        with passing(Gate(number), "tasks"):
            await asyncio.sleep(0)
            return number_of(inserted({}))

    assert await asyncio.gather(*map(wrote, range(1, 4))) == [1, 2, 3]


class Phases:
    """Live after two questions."""

    def __init__(self) -> None:
        self.asked = 0

    def of(self, _collection: str) -> Phase:
        self.asked += 1
        return Phase.RAMP if self.asked < 3 else Phase.LIVE

    def reads_postgresql(self, _collection: str, _key: str) -> bool:
        return False


async def test_a_refused_unit_is_run_again_on_the_side_that_serves_then():
    def work(phase):
        if phase is Phase.RAMP:
            raise MovedError("tasks is written in PostgreSQL")
        return phase

    async def awork(phase):
        return work(phase)

    assert run(Phases(), "tasks", work) is Phase.LIVE
    assert await arun(Phases(), "tasks", awork) is Phase.LIVE


async def test_a_unit_of_which_something_is_written_is_not_run_again():
    gates: list[Gate] = []

    def work(_phase):
        gates.append(gate := Gate())
        with passing(gate, "tasks"):
            pass
        gate.is_open = False
        with passing(gate, "tasks"):
            raise AssertionError("nothing is sent to a gate that is closed")

    async def awork(phase):
        run(Phases(), "tasks", lambda _: work(phase))  # a unit within a unit

    with pytest.raises(UnknownOutcomeError, match="writes of one unit"):
        run(Phases(), "tasks", work)
    with pytest.raises(UnknownOutcomeError, match="writes of one unit"):
        await arun(Phases(), "tasks", awork)
    assert len(gates) == 2


async def test_a_unit_counts_what_units_within_it_have_written():
    def inner(_phase):
        with passing(Gate(), "tasks"):
            pass

    async def outer(_phase):
        await asyncio.to_thread(run, Phases(), "tasks", inner)
        raise MovedError("tasks is written in PostgreSQL")

    with pytest.raises(UnknownOutcomeError, match="writes of one unit"):
        await arun(Phases(), "tasks", outer)


def test_an_unknown_outcome_is_not_run_again():
    def work(_phase):
        phases.asked += 10
        raise UnknownOutcomeError("it is not known")

    phases = Phases()
    with pytest.raises(UnknownOutcomeError):
        run(phases, "tasks", work)
    assert phases.asked == 11


def test_nobody_waits_for_ever_for_a_postgresql_that_is_gone():
    """Neither a coordinator, while writers are refused, nor a worker that looks whether one has ended."""
    given = address_of_target(Documents((), None, {"target": "postgresql://u@h/d"})).arguments()
    assert int(given["connect_timeout"]) == 5
    assert int(given["tcp_user_timeout"]) <= 10_000
