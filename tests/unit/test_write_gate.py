"""The gate that whoever writes documents passes: its number is in the write, and it is asked again before the answer."""

from __future__ import annotations

import asyncio
import threading

import pytest
from pymongo.errors import BulkWriteError

from syncline.capture.documents.field import FIELD, drawn, under
from syncline.capture.documents.gate import one_unit, passing
from syncline.capture.documents.updates import inserted, marked_update, merged, replacement, tombstone
from syncline.clock import boottime
from syncline.config.documents import Documents
from syncline.engines.mongo.gates import Gate as MongoGate
from syncline.errors import GateClosedError, MovedError, UnknownOutcomeError
from syncline.phases import Phase, under_way
from syncline.phases.switching.opening import address_of_target
from syncline.phases.switching.running import arun, run
from syncline.phases.under_way import UnderWay


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


def test_what_has_certainly_written_nothing_is_no_write_of_its_unit():
    gate = Gate()
    with one_unit() as unit, passing(gate, "tasks") as passage:
        passage.wrote = gate.is_open = False
    assert unit.writes == 0


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


def opened(number: int) -> dict[str, MongoGate]:
    return {"tasks": MongoGate("a", number, number, 0)}


CLOSED = {"tasks": MongoGate("n", 6, 5, 0)}
LONG = 3600.0


class Followed(Gate):
    """A gate whose closing is heard of, as a process hears of it."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way = UnderWay()
        self.writing = self.under_way.writing

    def hear(self, lease: float = LONG) -> None:
        """Hear that it is closed; what was known before holds so long yet."""
        self.under_way.heard(opened(5), CLOSED, boottime() + lease)
        self.is_open = False

    def holds(self, collection: str, number: int) -> bool:
        return super().holds(collection, number) or self.under_way.holds(collection, number)


def test_a_closing_waits_for_writes_that_have_passed_and_lets_no_new_one_pass(monkeypatch):
    monkeypatch.setattr(under_way, "END_SECONDS", LONG)
    gate, noted = Followed(), threading.Event()

    def note():
        gate.under_way.let_end()
        noted.set()

    with passing(gate, "tasks"):
        gate.hear()
        (waiting := threading.Thread(target=note)).start()
        with pytest.raises(GateClosedError), passing(gate, "tasks"):
            raise AssertionError("nothing is sent to a gate that is closed")
        assert not noted.wait(0.05)
    waiting.join(30)
    assert noted.is_set()


def test_what_takes_longer_than_a_closing_waits_is_of_unknown_outcome(monkeypatch):
    monkeypatch.setattr(under_way, "END_SECONDS", 0.0)
    gate = Followed()

    def write():
        with passing(gate, "tasks"):
            gate.hear()
            gate.under_way.let_end()

    with pytest.raises(UnknownOutcomeError):
        write()


def test_what_was_known_before_a_closing_holds_no_longer_than_its_lease():
    gate = Followed()
    with pytest.raises(UnknownOutcomeError), passing(gate, "tasks"):
        gate.hear(lease=0.0)


def test_a_gate_that_was_opened_again_waits_for_nobody():
    writes = UnderWay()
    with writes.writing("tasks", 5):
        writes.heard(opened(5), opened(5), boottime() + LONG)
        assert not writes.holds("tasks", 5), "nothing is over"
    writes.heard({}, opened(5), boottime() + LONG)
    assert writes.holds("tasks", 0), "written before there was a gate"
    assert not writes.holds("tasks", 5)
    writes.let_end()
    assert not writes.holds("tasks", 0)
