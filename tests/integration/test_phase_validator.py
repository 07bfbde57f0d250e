"""Where a server has ``collMod``, MongoDB itself refuses writes that do not say the number of a collection's gate."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta

import pymongo
import pytest
from pymongo.errors import AutoReconnect, OperationFailure, WriteError

from syncline.capture.documents import wrap
from syncline.capture.documents.field import under
from syncline.documents import doctor
from syncline.documents.opening import opened
from syncline.engines.mongo import gates
from syncline.engines.mongo.document_writes import MongoDocumentWrites
from syncline.engines.mongo.marked_database import MarkedDatabase
from syncline.engines.mongo.stored_marks import StoredMarks
from syncline.engines.mongo.validators import KeptBy, Validators
from syncline.errors import GateClosedError, SwitchAbortedError, SwitchError, SynclineError, UnmarkableError
from syncline.phases import Phase
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.leaving import leave, leftovers
from syncline.phases.standing import Standing
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB
from syncline.phases.switching.sides import MONGODB, POSTGRESQL
from syncline.phases.switching.watching import Watch
from syncline.ports.document_writes import Action, Beside, Write
from syncline.split.switching.gate import Verb
from syncline.split.switching.move import Step
from tests.phase_switch import Application, phase_control, switch_stage  # noqa: F401  fixtures
from tests.relay import until
from tests.with_collmod import collmods

pytestmark = pytest.mark.engines
SMALL = {"n": {"$lt": 100}}
ADMIT = 'admit them: {"$or": [{"_sync.deleted": true}, …]}'


class Late:
    """It has passed a gate of long ago."""

    def admitted(self, _collection):
        return 1

    def holds(self, _collection, _number):
        return True


@pytest.fixture(name="mods")
def server_with_collmod(monkeypatch):
    with collmods(monkeypatch) as mods:
        yield mods


@pytest.fixture
def application(stage):
    with stage.phases() as phases:
        yield Application(stage, phases)


@pytest.fixture
def places(stage):
    mongodb = InMongoDB(stage.mongo_url)
    yield GatesInMongoDB(mongodb), mongodb
    mongodb.close()


def validator(stage):
    return Validators(stage.bare.database).read(["tasks"])["tasks"]


async def test_it_admits_the_number_of_whoever_may_write_at_each_moment(stage, application, mods, places):

    def at_last(step: Step) -> None:
        if step is Step.CLOSE:
            wrap(stage.bare).replace_one({"_id": "a"}, {"n": 1}, upsert=True)  # it has its version already

    there = await stage.switch(POSTGRESQL, told=at_last)
    assert stage.rows_there() == {"a": 1}
    # Closed in the document first, then by the validator; the link is let in the other way round.
    assert mods.told == [("n", there.number), ("n", there.number)]
    assert stage.bare.find_one({"_id": "a"})["_sync"]["c"] == there.number  # else its mark could not be cleared
    await asyncio.to_thread(application.write, "a", 2)
    back = await stage.switch(MONGODB)
    assert stage.documents_there() == {"a": 2}
    assert mods.told[2:] == [("l", back.number)]
    await asyncio.to_thread(application.write, "b", 3)
    async with opened(stage.documents) as link:
        await link.pump().walk()
    assert stage.rows_there() == {"a": 2, "b": 3}
    assert stage.bare.count_documents({"_sync.mark": {"$exists": True}}) == 0
    assert validator(stage).number == places[0].read("tasks").opened == back.number


async def test_who_does_not_ask_the_gate_is_kept_out(stage, application, mods):
    await asyncio.to_thread(application.write, "a", 1)
    await stage.switch(POSTGRESQL)
    await stage.switch(MONGODB)
    with pytest.raises(WriteError, match="Document failed validation"):
        stage.bare.update_one({"_id": "a"}, {"$set": {"n": 2, "_sync.c": 0}})
    ungated = wrap(stage.bare)
    for write in (ungated.insert_one, ungated.delete_many):
        with pytest.raises(UnmarkableError, match="takes writes only of those who ask MongoDB's gate") as refused:
            write({"_id": "a"} if write == ungated.delete_many else {"_id": "b"})
        assert "gate=phases" in refused.value.hint

    with pytest.raises(GateClosedError, match="nothing of this is written"):
        wrap(stage.bare, gate=Late()).update_one({"_id": "a"}, {"$set": {"n": 2}})
    async with opened(stage.documents) as link:
        service = MongoDocumentWrites(link.database, Late())
        write = Write(Action.UPDATE, "a", service.new_mark(), {"n": 2})
        with pytest.raises(GateClosedError):
            await service.write("tasks", write)
        with pytest.raises(GateClosedError):
            await service.write_behind("tasks", write, Beside("beside", {"_id": 1, "n": 1}))
        (refused,) = await service.write_many("tasks", [write])
        assert isinstance(refused, GateClosedError)
    assert stage.documents_there() == {"a": 1}


async def test_marks_that_carriers_set_and_clear_say_the_number(stage, application, mods):
    for key in "abc":
        await asyncio.to_thread(application.write, key, 1)
    await stage.switch(POSTGRESQL)
    await stage.switch(MONGODB)
    async with opened(stage.documents) as link:
        number = (await gates.read(link.database))["tasks"].opened
        assert await link.source.mark_all("tasks") == 3
        assert await StoredMarks(link.database).mark("tasks", ["a"]) == 1
        assert await MarkedDatabase(link.database).mark("tasks", ["b"]) == 1
        assert await link.source.leave_tombstones("tasks", ["gone"]) == 1
        await link.pump().walk()
    assert {one["_sync"]["c"] for one in stage.bare.find()} == {number}
    assert stage.bare.count_documents({"_sync.mark": {"$exists": True}}) == 0


async def test_a_collmod_of_unknown_outcome_costs_its_number_and_one_that_comes_late_is_corrected(
    stage, application, mods, places
):
    await asyncio.to_thread(application.write, "a", 1)

    def lost():
        mods.after = lambda: None
        raise AutoReconnect("the answer is lost")

    mods.after = lost
    with pytest.raises(SwitchError, match="mongodb serves as before"):
        await stage.switch(POSTGRESQL)
    (_, unknown), *others = mods.told
    assert unknown not in {number for _, number in others}
    await asyncio.to_thread(application.write, "a", 2)
    late = Validators(stage.bare.database).read(["tasks"])["tasks"]
    options = type(late)(late.rule, late.level, late.action, unknown).options
    mods.execute(stage.bare.database, {"collMod": "tasks", **options})
    assert [*places[0].unmatched(["tasks"])] == ["tasks"]
    watch = Watch(stage.documents, every=0.01)
    task = asyncio.create_task(watch.run())
    await asyncio.to_thread(application.write, "a", 3)  # as soon as a coordinator has begun anew
    watch.stop()
    await task
    assert stage.documents_there() == {"a": 3}
    assert places[0].unmatched(["tasks"]) == {}
    assert validator(stage).number > unknown


async def test_the_way_back_is_turned_away_by_the_validator_and_parks_nothing(stage, application, mods, monkeypatch):
    monkeypatch.setattr("syncline.phases.switching.link.CATCH_UP", timedelta(seconds=0.1))
    await asyncio.to_thread(application.write, "a", 1)
    await stage.switch(POSTGRESQL)
    wrong = type(validator(stage))({}, number=1 << 40).options
    mods.execute(stage.bare.database, {"collMod": "tasks", **wrong})
    stage.sql("UPDATE postgres_tasks SET n = 2")
    with pytest.raises(SwitchAbortedError):
        await stage.switch(MONGODB, pause=timedelta(seconds=0.5))
    assert stage.sql("SELECT count(*) FROM syncline_back.parked") == [(0,)]


async def test_without_postgresql_it_is_opened_under_a_number_that_was_drawn_before(stage, application, mods, places):
    table, _ = places
    await stage.switch(POSTGRESQL)
    back = await stage.switch(MONGODB)
    table.change("tasks", back.number + 1, Verb.CLOSE)
    opened_ = table.reopen("tasks")
    assert mods.told[-1] == ("n", opened_.opened)
    assert opened_.opened == opened_.number == opened_.reopened > back.number + 1


@pytest.mark.parametrize(("level", "action"), [("strict", "error"), ("moderate", "warn")])
async def test_the_users_own_validator_stays_and_is_as_before_when_ours_goes(
    stage, application, mods, places, control, level, action
):
    options = {"validator": SMALL, "validationLevel": level, "validationAction": action}
    mods.execute(stage.bare.database, {"collMod": "tasks", **options})
    await stage.switch(POSTGRESQL)
    await stage.switch(MONGODB)
    assert wrap(stage.bare).examine() == ["the validator may refuse tombstones; " + ADMIT]  # the user's, which does
    with under(places[0].read("tasks").opened):
        if (level, action) == ("strict", "error"):
            with pytest.raises(WriteError, match="Document failed validation"):
                wrap(stage.bare).insert_one({"_id": "large", "n": 1000})
        wrap(stage.bare).insert_one({"_id": "small", "n": 1})
    await asyncio.to_thread(lambda: control.take_back(control.backward(["tasks"], None)))
    async with opened(stage.documents) as link:
        found = await leftovers(stage.documents, link)
        assert "take our validator from the collection tasks; your own is as it was" in found.summary
        await leave(stage.documents, link, found)
        assert (await leftovers(stage.documents, link)).validated == ()
    assert validator(stage).number is None
    assert validator(stage).options == options
    stage.bare.insert_one({"_id": "foreign", "n": 2})


async def test_a_user_who_may_not_collmod_goes_by_leases_and_doctor_says_so(
    stage, application, mods, places, monkeypatch
):
    mods.refusal = OperationFailure("not authorized", 13)
    await stage.switch(POSTGRESQL)
    await stage.switch(MONGODB)
    assert (mods.told, places[0].read("tasks").validated) == ([], False)
    async with opened(stage.documents) as link:
        (found,) = await doctor.Doctor(link)._gate()
        assert (found.level, found.message) == (
            0,
            f"tasks: kept by {KeptBy.NO_COMMAND}",
        )  # the embedded engine has none

        async def refused(*_):
            return KeptBy.NO_RIGHT

        monkeypatch.setattr(doctor, "kept_by", refused)
        (found,) = await doctor.Doctor(link)._gate()
        assert (found.level, found.message) == (1, f"tasks: kept by {KeptBy.NO_RIGHT}")
        assert "dbAdmin" in found.fix


async def test_doctor_says_where_a_validator_is_there_and_the_right_is_not(
    stage, application, mods, places, monkeypatch
):
    await stage.switch(POSTGRESQL)
    actions = ["find", "collMod"]

    async def privileges(_):
        of = {"resource": {"db": stage.bare.database.name, "collection": ""}, "actions": actions}
        return {"authenticatedUsers": [{"user": "worker"}], "authenticatedUserPrivileges": [of]}

    monkeypatch.setattr(MarkedDatabase, "privileges", privileges)
    async with opened(stage.documents) as link:
        (found,) = await doctor.Doctor(link)._gate()
        assert (found.level, found.message) == (0, "tasks: kept by validator")
        actions.remove("collMod")
        (found,) = await doctor.Doctor(link)._gate()
    assert (found.level, found.message) == (2, "tasks: kept by validator, which the user may not collMod")
    assert "dbAdmin" in found.fix


async def test_a_worker_without_the_right_closes_no_gate_that_it_could_not_open(
    stage, application, mods, places, caplog
):
    await stage.switch(POSTGRESQL)
    back = await stage.switch(MONGODB)
    other = type(validator(stage))({}, number=1 << 40).options
    mods.execute(stage.bare.database, {"collMod": "tasks", **other})
    mods.refusal = OperationFailure("not authorized", 13)
    watch = Watch(stage.documents, every=0.01)
    task = asyncio.create_task(watch.run())
    await until(lambda: "cannot be changed any more" in caplog.text)
    watch.stop()
    await task
    assert stage.modes() == "al"
    assert caplog.text.count("cannot be changed any more") == 1
    mods.refusal = None
    places[0].change("tasks", back.number + 1, Verb.CLOSE)
    mods.refusal = OperationFailure("not authorized", 13)
    with pytest.raises(SwitchError, match="cannot be changed any more"):
        places[0].reopen("tasks")
    assert places[0].read("tasks").number == back.number + 1, "no number is drawn"


async def test_a_validator_that_could_not_be_taken_away_is_found_again(stage, application, mods, places):
    gates_, mongodb = places
    await stage.switch(POSTGRESQL)
    await stage.switch(MONGODB)
    mongodb.put({"tasks": Standing(Phase.OFF, 0.0, 99, datetime.now(UTC))})
    mods.refusal = OperationFailure("not authorized", 13)
    with pytest.raises(SynclineError, match="not authorized"):
        gates_.without_validator("tasks")
    assert not gates_.read("tasks").validated
    assert gates_.needless(["tasks"]) == ["tasks"]
    async with opened(stage.documents) as link:
        assert (await leftovers(stage.documents, link)).validated == ("tasks",)
    mods.refusal = None
    assert gates_.without_validator("tasks")
    assert gates_.needless(["tasks"]) == []
    stage.bare.insert_one({"_id": "foreign", "n": 1})


def test_no_validator_begins_while_a_process_runs_that_could_not_read_its_gate(stage, application, mods, places):
    gates_, mongodb = places
    number = gates_.read("tasks").number + 1
    mongodb.beat("of this release", 1, 60.0)
    there = stage.bare.database["syncline_phase_processes"]
    there.insert_one({"_id": "of the one before", "number": 1, "gate": 0, "until": datetime.now(UTC) + timedelta(60)})
    assert not gates_.change("tasks", number, Verb.CLOSE).validated
    there.delete_one({"_id": "of the one before"})
    assert gates_.change("tasks", number + 1, Verb.CLOSE).validated


async def test_a_right_that_was_taken_away_is_named_before_anybody_is_refused(stage, application, mods, places):
    await stage.switch(POSTGRESQL)
    await stage.switch(MONGODB)
    mods.refusal = OperationFailure("not authorized", 13)
    with pytest.raises(SwitchError, match="cannot be changed any more") as refused:
        await stage.switch(POSTGRESQL)
    assert "collMod" in refused.value.hint
    assert stage.modes() == "al"
    await asyncio.to_thread(application.write, "a", 1)


async def test_a_worker_ends_a_step_to_off_that_was_stopped_before_the_validator_went(stage, mods, places):
    gates_, mongodb = places
    await stage.switch(POSTGRESQL)
    await stage.switch(MONGODB)
    assert gates_.needless(["tasks"]) == []
    mongodb.put({"tasks": Standing(Phase.OFF, 0.0, 99, datetime.now(UTC))})
    watch = Watch(stage.documents, every=0.01)
    task = asyncio.create_task(watch.run())
    # What stands for collMod here makes the collection anew: for a moment there is none.
    read = Validators(stage.bare.database).read
    await until(lambda: [one.number for one in read(["tasks"]).values()] == [None])
    watch.stop()
    await task
    stage.bare.insert_one({"_id": "foreign", "n": 1})


async def test_complete_admits_nobody(stage, application, mods, places):
    await stage.switch(POSTGRESQL)
    link = places[0].read("tasks").link
    gate = places[0].close_for_good("tasks")
    assert validator(stage).number == gate.number == gate.admitted > link


@pytest.mark.skipif(
    "SYNCLINE_TEST_MONGODB_URL" not in os.environ, reason="SYNCLINE_TEST_MONGODB_URL names no server with collMod"
)
def test_a_real_server_admits_the_number_and_says_whose_rule_was_broken():
    from syncline.capture.documents.validator import is_of_gate

    with pymongo.MongoClient(os.environ["SYNCLINE_TEST_MONGODB_URL"]) as client:
        database = client["syncline_test_validators"]
        try:
            there = database.create_collection("tasks", validator=SMALL, validationLevel="moderate")
            ours = Validators(database)
            assert ours.kept_by("tasks") is KeptBy.VALIDATOR
            for number in (5, 7):
                ours.admit("tasks", number)
                assert ours.read(["tasks"])["tasks"].number == number
            with pytest.raises(WriteError) as refused:
                there.insert_one({"n": 1, "_sync": {"c": 5}})
            assert is_of_gate(refused.value)
            there.insert_one({"n": 1, "_sync": {"c": 7}})
            ours.admit("tasks", None)
            there.insert_one({"n": 1})
            assert there.options()["validationLevel"] == "moderate"
            assert there.options()["validator"] == SMALL
        finally:
            client.drop_database("syncline_test_validators")
