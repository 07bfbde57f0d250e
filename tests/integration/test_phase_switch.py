"""A collection changes sides between MongoDB and PostgreSQL, and back, while applications write and read it."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from typer.testing import CliRunner

from syncline.capture.documents import wrap
from syncline.cli.documents.install import shown as as_shown
from syncline.cli.main import app
from syncline.config.documents import Documents
from syncline.documents.installing import install, plan
from syncline.documents.opening import opened
from syncline.engines.mongo import gates
from syncline.engines.mongo.marked import MongoMarkedDocuments
from syncline.engines.postgres.documents.definitions import schema
from syncline.engines.postgres.documents.remapping import Remapping
from syncline.engines.postgres.documents.rows import DocumentTables
from syncline.errors import (
    GateClosedError,
    MappingError,
    MovedError,
    OtherDeclarationError,
    PhaseError,
    SupersededError,
    SwitchAbortedError,
    TargetGateError,
    UnknownOutcomeError,
)
from syncline.model.documents import Array, Collection, DocumentMapping, Field, Part
from syncline.phases import Phase, under_way
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.redeclaring import Rewriting, redeclare
from syncline.phases.repositories.postgres import PostgresRepository
from syncline.phases.switching import watching
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB
from syncline.phases.switching.opening import address_of_target
from syncline.phases.switching.sides import MONGODB, POSTGRESQL
from syncline.phases.switching.watching import Watch, look, write_strays_over
from syncline.ports.documents import Fate
from syncline.split.switching.gate import GateBusyError, Session, Verb
from syncline.split.switching.move import Step
from tests.phase_switch import PATIENT, TASKS, Application, beside, switch_stage  # noqa: F401  fixtures
from tests.relay import until
from tests.way_back import worker

pytestmark = pytest.mark.engines
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'postgres_tasks'::regclass"


@pytest.fixture
def application(stage):
    with stage.phases() as phases:
        yield Application(stage, phases)


async def test_a_collection_goes_over_and_comes_back_with_every_write(stage, application):
    await asyncio.to_thread(application.write, "a", 1)
    there = await stage.switch(POSTGRESQL)
    assert (there.serving, stage.modes(), there.pending) == (POSTGRESQL, "la", None)
    assert there.paused_seconds > 0
    await asyncio.to_thread(application.write, "b", 2)
    assert stage.rows_there() == {"a": 1, "b": 2}
    with pytest.raises(MovedError, match="tasks is written in PostgreSQL"):
        application.tasks.insert_one({"_id": "c"})
    back = await stage.switch(MONGODB)
    assert (back.serving, stage.modes()) == (MONGODB, "al")
    assert stage.documents_there() == {"a": 1, "b": 2}
    with pytest.raises(psycopg.errors.SerializationFailure, match="written on the other side"):
        stage.sql("INSERT INTO postgres_tasks (mongo_id, n) VALUES ('c', 3)")
    await asyncio.to_thread(application.write, "c", 3)
    assert (await stage.switch(POSTGRESQL)).serving == POSTGRESQL
    assert stage.rows_there() == {"a": 1, "b": 2, "c": 3}
    assert (await stage.switch(POSTGRESQL)).number == 0, "nothing is left to do"


def writer(application: Application, keys: list[str], count: list[int]) -> Callable[[Callable[[], bool]], None]:
    def write(ended: Callable[[], bool]) -> None:
        n = 0
        while not ended():
            n += 1
            application.write(random.choice(keys), n)
            count[0] += 1

    return write


def reader(application: Application, keys: list[str], seen: list[int]) -> Callable[[Callable[[], bool]], None]:
    def read(ended: Callable[[], bool]) -> None:
        while not ended():
            key = random.choice(keys)
            acknowledged = application.acknowledged.get(key, 0)
            found = application.read(key)
            assert found >= acknowledged, f"{key}: {found} was read after {acknowledged} was acknowledged"
            seen[0] += 1

    return read


async def test_nothing_acknowledged_is_lost_and_no_read_is_stale_while_it_goes_to_and_fro(stage):
    with stage.phases() as one, stage.phases() as two:
        applications = [Application(stage, one), Application(stage, two)]
        keys = [["a", "b"], ["c", "d"]]
        written, read = [0], [0]
        works = [
            work
            for application, own in zip(applications, keys, strict=True)
            for work in (writer(application, own, written), reader(application, own, read))
        ]
        with beside(*works) as failures:
            for goal in (POSTGRESQL, MONGODB, POSTGRESQL, MONGODB):
                await stage.switch(goal)
                seen = written[0] + 6
                while written[0] < seen and not failures:
                    await asyncio.sleep(0.01)
        acknowledged = applications[0].acknowledged | applications[1].acknowledged
        await stage.switch(POSTGRESQL)
        assert stage.rows_there() == stage.documents_there() == acknowledged
        assert [application.sides for application in applications] == [{MONGODB, POSTGRESQL}] * 2
        assert read[0]


async def test_a_coordinator_killed_at_any_step_is_finished_by_a_worker(stage, application):
    """The worker begins after each kill: one that looks before a coordinator has its number would go instead of it."""
    for number, step in enumerate(Step):
        goal, open_ = ((POSTGRESQL, "la"), (MONGODB, "al"))[number % 2]
        await asyncio.to_thread(application.write, f"k{number}", number)
        await stage.killed(goal, step)
        if step in {Step.LINK, Step.DRAIN, Step.ANNOUNCE, Step.OPEN}:
            assert set(stage.modes()) == {"n", "l"}, "nobody may write: the next one ends that"
        watch = Watch(stage.documents, pause=PATIENT, every=0.05)
        watching = asyncio.create_task(watch.run())
        writing = asyncio.create_task(asyncio.to_thread(application.write, "after", number))
        while stage.modes() != open_:
            await asyncio.sleep(0.02)
        await writing
        watch.stop()
        await watching
    await stage.switch(POSTGRESQL)
    assert stage.rows_there() == stage.documents_there() == application.acknowledged


async def test_a_closing_waits_for_a_write_that_is_under_way(stage, application, monkeypatch):
    monkeypatch.setattr(under_way, "END_SECONDS", PATIENT.total_seconds())
    plain, behind = application.tasks.bare.update_one, []

    def slow(*args, **options):
        change = ours.change("tasks", 7, Verb.CLOSE).change
        while application.phases._gates["tasks"].mode != "n":
            pass
        time.sleep(0.2)  # it asks each 20 ms
        behind.extend([change, *(one.name for one in ours.behind(change))])
        return plain(*args, **options)

    mongodb = InMongoDB(stage.mongo_url)
    ours = GatesInMongoDB(mongodb)
    ours.hurry("tasks")
    application.tasks.bare = _Frozen(application.tasks.bare, slow)
    await asyncio.to_thread(application.tasks.update_one, {"_id": "a"}, {"$set": {"n": 1}}, upsert=True)
    with pytest.raises(GateClosedError, match="tasks is changing sides"):
        application.tasks.insert_one({"_id": "b"})
    assert stage.documents_there() == {"a": 1}
    change, *waited_for = behind
    assert waited_for == [application.phases.process]
    await until(lambda: not ours.behind(change), what="the process has noted it")
    mongodb.close()


async def test_a_write_is_acknowledged_only_while_the_gate_holds(stage, application, monkeypatch):
    """It was sent before the closing, and MongoDB has it after the drain: nobody is told that it is written."""
    monkeypatch.setattr(under_way, "END_SECONDS", 0.0)
    late, sent = application.tasks.bare.update_one, []

    def frozen(*args, **options):
        sent.append((args, options))
        ours.change("tasks", 7, Verb.CLOSE)
        while application.phases._gates["tasks"].mode != "n" or application.phases._under_way._over:
            pass
        return late(*args, **options)

    mongodb = InMongoDB(stage.mongo_url)
    ours = GatesInMongoDB(mongodb)
    ours.hurry("tasks")
    application.tasks.bare = _Frozen(application.tasks.bare, frozen)
    with pytest.raises(UnknownOutcomeError, match="it is not known whether this was written"):
        await asyncio.to_thread(application.tasks.update_one, {"_id": "a"}, {"$set": {"n": 1}}, upsert=True)
    with pytest.raises(GateClosedError, match="tasks is changing sides"):
        application.tasks.insert_one({"_id": "b"})
    assert sent
    mongodb.close()


@pytest.fixture
def call(stage, tmp_path):
    """The command `syncline phase`, and what it says."""
    file = tmp_path / "syncline.toml"
    sides = f'[source]\nurl = "{stage.mongo_url}"\n[target]\nurl = "{stage.url}"\n'
    file.write_text(f'{sides}[collections.tasks]\nid = "text"\ncolumns = {{ n = "integer" }}\n')

    def called(*words: str, status: int = 0):
        asked = ["phase", *words, "--json", "--config", str(file)]
        ended = CliRunner().invoke(app, asked, env={"DUAL_WRITE_ENABLED": ""})
        assert ended.exit_code == status, ended.output
        return json.loads(ended.stdout or ended.stderr)

    return called


def test_a_command_takes_a_collection_over_and_another_one_takes_it_back(stage, application, call):
    application.write("a", 1)
    assert [one["name"] for one in call("check", status=1)["evidence"] if not one["holds"]] == [
        "lag",
        "verified",
        "shadowReads",
        "rehearsed",
    ]
    forced = ["advance", "tasks", "--force", "--reason", "a test", "--pause", "20s"]
    there = call(*forced)
    assert (there["phase"], there["done"], there["switched"][0]["collection"]) == ("live", True, "tasks")
    assert there["switched"][0]["pausedMs"] > 0
    application.write("b", 2)
    (shown,) = call("status")["collections"]
    assert (shown["phase"], shown["writtenIn"], shown["behind"]) == ("live", "PostgreSQL", [])
    back = call("back", "tasks", "--pause", "20s")
    assert (back["phase"], back["percent"]) == ("ramp", 100)
    assert stage.documents_there() == {"a": 1, "b": 2}
    (last, first) = call("history")
    assert (first["was"], first["phase"], first["reason"], len(first["against"])) == ("ramp", "live", "a test", 4)
    assert (last["was"], last["phase"], last["reason"]) == ("live", "ramp", None)
    asyncio.run(stage.killed(POSTGRESQL, Step.DRAIN))
    assert call("status")["collections"][0]["writtenIn"] == "neither: it changes sides"
    assert "tasks: changing sides" in call("back", "tasks", "--percent", "5", status=3)["error"]["message"]
    assert call("back", "tasks", "--pause", "20s")["phase"] == "ramp", "what was begun is taken back, no more"
    application.write("c", 3)
    assert call("back", "tasks")["phase"] == "shadow"


def test_from_live_to_off_each_step_is_one_command_and_keeps_what_was_written_since(
    stage, application, call, record_property
):
    assert call("advance", "tasks", "--force", "--reason", "a test", "--pause", "20s")["phase"] == "live"
    phases, seconds = [], 0.0
    while not phases or phases[-1] != "off":
        application.write(f"before {len(phases)}", len(phases))
        began = time.monotonic()
        phases.append(call("back", "tasks", "--pause", "20s")["phase"])
        seconds += time.monotonic() - began
    application.write("in off", 9)
    assert phases == ["ramp", "shadow", "dual_write", "off"]
    assert stage.documents_there() == application.acknowledged
    assert len(application.acknowledged) == 5
    record_property("seconds", round(seconds, 1))


async def test_a_closing_waits_for_a_process_that_has_not_learned_of_it(stage):
    with stage.phases(lease=timedelta(seconds=60)) as phases:  # it asks again in 15 s
        async with stage.move() as move:
            mongodb = move.gates[MONGODB]
            with pytest.raises(GateBusyError):
                await mongodb.change(7, Verb.CLOSE, timedelta(milliseconds=50))
            ((told),) = await mongodb.writers()
            assert phases.process in told
            assert (await mongodb.read()).mode == "n", "nobody is let in any more"
            with pytest.raises(SupersededError):
                await mongodb.change(6, Verb.OPEN, timedelta(milliseconds=50))


async def test_readers_who_have_not_learned_of_the_side_keep_it_from_opening(stage, application):
    """It knows the gates, and not yet who is read."""
    await asyncio.to_thread(application.write, "a", 1)
    mongodb = InMongoDB(stage.mongo_url)
    mongodb.beat("reader", 1, 60, gate=10**9)
    steps = []

    def told(step: Step) -> None:
        steps.append(step)
        if steps.count(Step.ANNOUNCE) == 2:  # MongoDB is to serve again: it is waited for as well, for its lease
            mongodb.leave("reader")

    with pytest.raises(SwitchAbortedError, match="these may still read mongodb: reader"):
        await stage.switch(POSTGRESQL, pause=timedelta(milliseconds=300), told=told)
    assert stage.modes() == "al"
    assert mongodb.read()["tasks"].phase == "ramp"
    await asyncio.to_thread(application.write, "a", 2)
    ours = GatesInMongoDB(mongodb)
    with pytest.raises(SupersededError):  # the one that turned back has said something since
        ours.announce("tasks", Phase.LIVE, 1, {})
    mongodb.close()


async def test_what_comes_late_while_postgresql_serves_is_not_carried_and_is_written_over(stage, application):
    await asyncio.to_thread(application.write, "a", 1)
    await stage.switch(POSTGRESQL)
    wrap(stage.bare).update_one({"_id": "a"}, {"$set": {"n": 9}})  # as one that was sent before the closing
    wrap(stage.bare).insert_one({"_id": "late", "n": 9})
    async with opened(stage.documents) as link:
        with pytest.raises(TargetGateError):
            await link.pump().walk()
        assert stage.rows_there() == {"a": 1}
        session = Session(address_of_target(stage.documents))
        assert (await look(link, session)).served == ["tasks"]
        assert await write_strays_over(link, session, "tasks") == 2
        await session.aclose()
    await stage.switch(MONGODB)
    assert stage.documents_there() == {"a": 1}


async def test_what_is_found_late_is_not_marked_once_postgresql_serves_no_more(stage):
    """Nobody would bring it: MongoDB lets no link in, and the mark would wait until the next change of sides."""
    await stage.switch(POSTGRESQL)
    await stage.switch(MONGODB)
    wrap(stage.bare).insert_one({"_id": "late", "n": 9})
    session = Session(address_of_target(stage.documents))
    async with opened(stage.documents) as link:
        await write_strays_over(link, session, "tasks")
    await session.aclose()
    assert stage.sql("SELECT count(*) FROM syncline_back.waiting") == [(0,)]


async def test_documents_that_can_be_no_rows_do_not_hide_what_comes_late(stage, application, monkeypatch):
    monkeypatch.setattr(watching, "STRAYS", 2)
    await stage.switch(POSTGRESQL)
    wrap(stage.bare).insert_many([{"_id": number} for number in range(3)])  # the key is a text
    wrap(stage.bare).insert_one({"_id": "late", "n": 9})
    async with opened(stage.documents) as link:
        session = Session(address_of_target(stage.documents))
        assert await write_strays_over(link, session, "tasks") == 1
        await session.aclose()


async def test_a_declaration_does_not_change_while_postgresql_serves_unless_it_is_said_what_it_was(stage):
    """Of documents that are older nothing is written anew; and until then none would come back."""
    async with opened(stage.documents) as link:
        await install(link, await plan(link))
    changed = Documents((wider(),), None, {"source": stage.mongo_url, "target": stage.url})
    await stage.switch(POSTGRESQL)
    make_wider(stage)
    async with opened(changed) as link:
        with pytest.raises(PhaseError, match="declaration of tasks has changed"):
            await plan(link)
        with pytest.raises(PhaseError, match="not written under the declaration that is said"):
            await plan(link, was=changed)
        found = await plan(link, was=stage.documents)
        assert (found.changed, [*found.anew]) == ([], ["tasks"])
    async with opened(stage.documents) as link:
        assert not (await plan(link)).changed
    await stage.switch(MONGODB)
    async with opened(changed) as link:
        assert (await plan(link)).changed == ["tasks"]


def wider() -> DocumentMapping:
    """Declare the tasks with a column more, and a table for an array."""
    columns = {**TASKS.collection.part.columns, "title": Field("text")}
    return DocumentMapping(
        Collection("tasks", id="text", part=Part(columns=columns, arrays={"labels": Array(value=Field("text"))}))
    )


class Rows(PostgresRepository):
    """The tasks' rows."""

    collection_name = "tasks"


def make_wider(stage):
    stage.sql("ALTER TABLE postgres_tasks ADD COLUMN title text")
    for statement in schema([wider()]):
        stage.sql(statement)


@pytest.fixture
async def live(stage):
    """PostgreSQL serves a document whose fields the declaration does not name; a wider one is at hand."""
    async with opened(stage.documents) as link:
        await install(link, await plan(link))
    wrap(stage.bare).insert_one({"_id": "a", "n": 1, "title": "first", "labels": ["x", "y"]})
    await stage.switch(POSTGRESQL)
    make_wider(stage)
    return Documents((wider(),), None, {"source": stage.mongo_url, "target": stage.url})


async def test_rows_are_written_anew_under_another_declaration_and_come_back_while_postgresql_serves(stage, live):
    async with AsyncConnectionPool(stage.url, min_size=1) as pool, opened(live) as link:
        before, after = Rows(pool, TASKS), Rows(pool, wider())
        with pytest.raises(OtherDeclarationError):
            await after.get("a")
        found = await plan(link, was=stage.documents)
        await install(link, found)
        steps: list[Rewriting] = []
        assert await redeclare(live, link, found.anew, steps.append) == 1
        assert [as_shown(one).fields for one in steps] == [
            {"entity": "tasks", "rows": 1, "finished": False},
            {"entity": "tasks", "rows": 1, "finished": True},
        ]
        assert await redeclare(live, link, found.anew) == 0
        assert not (await plan(link)).changes
        assert stage.sql("SELECT title, n FROM postgres_tasks") == [("first", 1)]
        assert await after.get("a") == {"_id": "a", "n": 1, "title": "first", "labels": ["x", "y"]}
        for refused in (
            before.get("a"),
            before.get("b"),
            before.count(),
            before.exists(),
            before.create({"_id": "b", "n": 1}),
            before.update("a", {"n": 2}),
            before.delete("a"),
        ):
            with pytest.raises(OtherDeclarationError):
                await refused
        await after.update("a", {"labels": ["z"]})
        stage.sql("INSERT INTO postgres_tasks_labels (mongo_id, position, labels) VALUES ('a', 1, 'marked')")
        stage.documents = live
        async with worker(live):
            there = {"_id": "a", "n": 1, "title": "first", "labels": ["z", "marked"]}
            await until(lambda: wrap(stage.bare).find_one() == there)
    await stage.switch(MONGODB)
    assert stage.modes() == "al"


async def test_who_waits_to_write_as_a_declaration_changes_is_refused(stage, live):
    async with AsyncConnectionPool(stage.url, min_size=3) as pool, opened(live) as link:
        before = Rows(pool, TASKS)
        found = await plan(link, was=stage.documents)
        writes: list[asyncio.Future[object]] = []

        async def told(_: int) -> None:
            assert stage.rows_there() == {"a": 1}, "readers wait for nobody"
            given = (before.update("a", {"n": 2}), before.create({"_id": "b", "n": 1}), before.delete("a"))
            writes.extend(map(asyncio.ensure_future, given))
            await until(lambda: stage.sql(WAITING) == [(3,)])

        remapping = Remapping(stage.url, found.anew["tasks"], wider())
        await remapping.run(told)
        await remapping.close()
        refused = [type(one) for one in await asyncio.gather(*writes, return_exceptions=True)]
        assert refused == [OtherDeclarationError] * 3
    assert stage.rows_there() == {"a": 1}


async def test_rows_are_of_one_declaration_for_the_way_back(stage, live):
    """Those that were born here have no version of their own."""
    stage.sql("INSERT INTO postgres_tasks (mongo_id, n) VALUES ('b', 1)")
    async with opened(live) as link, await psycopg.AsyncConnection.connect(stage.url) as connection:
        await redeclare(live, link, (await plan(link, was=stage.documents)).anew)
        with pytest.raises(OtherDeclarationError):
            await DocumentTables(TASKS).read(connection, ["b"])


async def test_a_document_that_can_be_no_rows_keeps_a_declaration_from_changing(stage, live):
    narrower = DocumentMapping(Collection("tasks", id="text", part=Part(columns={"n": Field("integer")}, rest="")))
    async with opened(Documents((narrower,), None, {"source": stage.mongo_url, "target": stage.url})) as link:
        found = await plan(link, was=stage.documents)
        with pytest.raises(MappingError, match="tasks a"):
            await redeclare(link.documents, link, found.anew)
    async with opened(stage.documents) as link:
        assert not (await plan(link)).changes
    assert stage.rows_there() == {"a": 1}


async def test_what_was_read_before_a_collection_went_over_is_not_carried_after_it_came_back(stage, application):
    async with opened(stage.documents) as link:
        await asyncio.to_thread(application.write, "a", 1)
        number = await link.rows.number()
        (found,) = [one async for page in link.source.pages("tasks", 10) for one in page]
        await stage.switch(POSTGRESQL)
        stage.sql("UPDATE postgres_tasks SET n = 2")
        await stage.switch(MONGODB)
        stage.sql("DELETE FROM syncline_documents.key_version")  # nothing else would refuse it
        assert [one.fate for one in await link.rows.put("tasks", [found], number)] == [Fate.LATE]
        assert stage.rows_there() == {"a": 2}


async def test_a_document_of_an_older_number_gets_the_present_one_before_it_is_carried(stage):
    """It was sent before MongoDB was closed, and came when it was open again."""
    await stage.switch(POSTGRESQL)
    await stage.switch(MONGODB)
    wrap(stage.bare).insert_one({"_id": "late", "n": 1})
    before = stage.bare.find_one({"_id": "late"})["_sync"]
    async with opened(stage.documents) as link:
        async for _ in link.source.pages("tasks", 10):
            pass
        after = stage.bare.find_one({"_id": "late"})["_sync"]
        assert after["c"] == (await gates.read(link.database))["tasks"].opened > 0
        assert after["mark"] != before["mark"]


async def test_a_document_that_comes_under_an_older_number_while_a_walk_begins_waits_for_the_next_one(
    stage, monkeypatch
):
    await stage.switch(POSTGRESQL)
    await stage.switch(MONGODB)
    wrap(stage.bare).insert_one({"_id": "early", "n": 1})

    async def taken_over(self, collection, opened):
        await take_over(self, collection, opened)
        wrap(stage.bare).insert_one({"_id": "late", "n": 1})

    take_over = MongoMarkedDocuments._take_over
    async with opened(stage.documents) as link:
        with monkeypatch.context() as patched:
            patched.setattr(MongoMarkedDocuments, "_take_over", taken_over)
            await link.pump().walk()
        assert stage.rows_there() == {"early": 1}
        await link.pump().walk()
        assert stage.rows_there() == {"early": 1, "late": 1}


class _Frozen:
    """A collection with another way to update."""

    def __init__(self, bare, update_one):
        self._bare, self.update_one = bare, update_one

    def __getattr__(self, name):
        return getattr(self._bare, name)
