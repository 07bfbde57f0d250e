"""PostgreSQL is lost while a collection changes sides: MongoDB is opened again where PostgreSQL has certainly not been."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import psycopg
import pytest
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.errors import GateClosedError, SwitchAbortedError, SwitchError, TargetUnavailableError
from syncline.phases import Phase
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.standing import Change, Standing
from syncline.phases.switching.changing import change_sides
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB
from syncline.phases.switching.reopening import Reopening
from syncline.phases.switching.sides import MONGODB, POSTGRESQL
from syncline.phases.switching.watching import Watch
from syncline.split.switching.move import Step
from tests.phase_switch import PATIENT, Application, SwitchStage
from tests.relay import until

pytestmark = pytest.mark.engines
GOES = Change({"tasks": Standing(Phase.RAMP)}, {"tasks": Standing(Phase.LIVE)})


@pytest.fixture
async def stage(mongo_url, mongo_db, private_postgres):
    with psycopg.connect(private_postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE application")
    one = SwitchStage(mongo_url, mongo_db, private_postgres.url.replace("@/postgres?", "@/application?"))
    await one.prepare()
    yield one
    one.client.close()


@pytest.fixture
def application(stage):
    with stage.phases() as phases:
        yield Application(stage, phases)


@pytest.fixture
def gates(stage):
    mongodb = InMongoDB(stage.mongo_url)
    yield GatesInMongoDB(mongodb)
    mongodb.close()


def mode(stage):
    return stage.bare.database["syncline_phases"].find_one({})["gates"][0]["mode"]


async def written(application, key, n):
    await asyncio.to_thread(application.write, key, n)


@pytest.mark.parametrize("step", [Step.LINK, Step.DRAIN, Step.ANNOUNCE])
async def test_before_the_announcement_mongodb_serves_again_and_nothing_is_lost(
    stage, application, private_postgres, monkeypatch, step
):
    monkeypatch.setattr("syncline.phases.switching.reopening.PATIENCE", timedelta(0))
    await written(application, "a", 1)
    await stage.killed(POSTGRESQL, step)
    assert stage.modes() == "nl"
    private_postgres.kill()
    watch = Watch(stage.documents, pause=PATIENT, every=0.05)
    watching = asyncio.create_task(watch.run())
    await written(application, "b", 2)
    assert mode(stage) == "a"
    private_postgres.start()
    await until(lambda: stage.modes() == "al" and stage.sql("SELECT goal FROM syncline_gate.journal") == [(MONGODB,)])
    watch.stop()
    await watching
    await stage.switch(POSTGRESQL)
    await written(application, "c", 3)
    assert stage.rows_there() == {"a": 1, "b": 2, "c": 3}
    await stage.switch(MONGODB)
    assert stage.documents_there() == {"a": 1, "b": 2, "c": 3}


async def test_after_the_announcement_only_postgresql_knows_and_nobody_is_let_in(
    stage, application, private_postgres, gates, monkeypatch, caplog
):
    monkeypatch.setattr("syncline.phases.switching.reopening.PATIENCE", timedelta(0))
    await stage.killed(POSTGRESQL, Step.OPEN)
    with pytest.raises(SwitchError, match="may be what serves"):
        gates.reopen("tasks")
    private_postgres.kill()
    watch = Watch(stage.documents, pause=PATIENT, every=0.05)
    watching = asyncio.create_task(watch.run())
    await until(lambda: "may be what serves" in caplog.text)
    assert mode(stage) == "n"
    private_postgres.start()
    await until(lambda: stage.modes() == "la")
    watch.stop()
    await watching
    await written(application, "a", 1)
    assert stage.rows_there() == {"a": 1}


async def test_a_coordinator_that_was_frozen_meanwhile_opens_nothing(stage, application, gates):
    await written(application, "a", 1)
    seen = []

    def told(step):
        if step is Step.ANNOUNCE and not seen:
            seen.append(gates.reopen("tasks").number)
            application.write("b", 2)

    outcome = await stage.switch(POSTGRESQL, told=told)
    assert outcome.number > seen[0], "it was superseded; another one has gone through all steps again"
    assert stage.rows_there() == {"a": 1, "b": 2}


async def test_a_change_of_sides_ends_with_an_error_and_writers_go_on_where_postgresql_is_lost(
    stage, application, private_postgres, monkeypatch
):
    monkeypatch.setattr("syncline.phases.switching.reopening.PATIENCE", timedelta(0))

    def told(_, step):
        if step is Step.DRAIN:
            private_postgres.kill()

    with pytest.raises(SwitchAbortedError, match="tasks is written in MongoDB again"):
        await change_sides(stage.documents, GOES, pause=PATIENT, told=told)
    await written(application, "a", 1)
    assert stage.documents_there() == {"a": 1}


async def test_a_step_back_opens_mongodb_though_postgresql_does_not_answer(
    stage, application, private_postgres, tmp_path
):
    file = tmp_path / "syncline.toml"
    sides = f'[source]\nurl = "{stage.mongo_url}"\n[target]\nurl = "{stage.url}"\n'
    file.write_text(f'{sides}[collections.tasks]\nid = "text"\ncolumns = {{ n = "integer" }}\n')
    await stage.killed(POSTGRESQL, Step.DRAIN)
    private_postgres.kill()
    with pytest.raises(GateClosedError):
        await asyncio.to_thread(application.tasks.insert_one, {"_id": "a", "n": 1})
    asked = ["phase", "back", "tasks", "--json", "--config", str(file)]
    ended = await asyncio.to_thread(CliRunner().invoke, app, asked, env={"DUAL_WRITE_ENABLED": ""})
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout)["phase"] == "ramp"
    await written(application, "a", 1)
    private_postgres.start()


async def test_what_serves_or_waits_for_no_long_time_is_not_touched(stage, gates):
    with pytest.raises(SwitchError, match="not closed in MongoDB"):
        gates.reopen("tasks")
    await stage.killed(POSTGRESQL, Step.DRAIN)
    mongodb = InMongoDB(stage.mongo_url)
    patient, hasty = Reopening(mongodb), Reopening(mongodb, patience=timedelta(0))
    assert await patient.away(["tasks"]) == await patient.away(["tasks"]) == []
    assert await hasty.away(["other"]) == []
    assert await hasty.away(["tasks"]) == ["tasks"]
    assert await hasty.away(["tasks"]) == []
    mongodb.close()


async def test_in_live_nothing_is_opened_without_postgresql(stage, private_postgres, gates):
    await stage.switch(POSTGRESQL)
    await stage.killed(MONGODB, Step.DRAIN)
    private_postgres.kill()
    with pytest.raises(SwitchError):
        gates.reopen("tasks")
    back = Change({"tasks": Standing(Phase.LIVE)}, {"tasks": Standing(Phase.RAMP)})
    with pytest.raises(TargetUnavailableError):
        await change_sides(stage.documents, back)
    private_postgres.start()


async def test_what_a_way_back_has_announced_is_not_opened_either(stage, gates):
    """Readers may still go by live, and would lack what is written then."""
    await stage.switch(POSTGRESQL)
    await stage.killed(MONGODB, Step.OPEN)
    await stage.killed(POSTGRESQL, Step.ANNOUNCE)
    assert stage.modes()[0] == "n"
    with pytest.raises(SwitchError, match="may be what serves"):
        gates.reopen("tasks")


async def test_the_number_is_none_of_a_coordinator_that_mongodb_has_not_heard_of(stage, gates):
    await stage.killed(POSTGRESQL, Step.DRAIN)
    await stage.killed(POSTGRESQL, Step.CLOSE)
    [(drawn,)] = stage.sql("SELECT number FROM syncline_gate.journal")
    assert gates.read("tasks").number < drawn < gates.reopen("tasks").number
