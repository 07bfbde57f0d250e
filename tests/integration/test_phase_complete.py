"""Complete: MongoDB is closed when it has everything, nothing is dropped, and only force goes back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from syncline.documents.opening import opened
from syncline.documents.repairing import DocumentRepairer
from syncline.errors import MovedError, PhaseError
from syncline.phases import Phase
from syncline.phases.changing import Control
from syncline.phases.completing import complete, reopen
from syncline.phases.switching.opening import address_of_target
from syncline.phases.switching.sides import MONGODB, POSTGRESQL
from syncline.phases.switching.watching import look
from syncline.split.switching.gate import Session
from syncline.verify.report import Finding, Kind
from tests.phase_switch import Application, phase_control, switch_stage  # noqa: F401  fixtures
from tests.relay import until
from tests.way_back import worker

pytestmark = pytest.mark.engines


async def test_mongodb_is_closed_with_everything_and_follows_again_only_when_it_is_forced(stage, control):
    await stage.switch(POSTGRESQL)
    stage.sql("INSERT INTO postgres_tasks (mongo_id, n) VALUES ('a', 1), ('b', 2)")
    step = control.forward(["tasks"], None)
    with pytest.raises(PhaseError, match="2 changes have not come"):
        await complete(stage.documents, control, step, patience=timedelta(0))
    assert stage.modes() == "la"
    async with worker(stage.documents):
        made = await complete(stage.documents, control, step)
        assert (made.goal.phase, stage.modes()) == (Phase.COMPLETE, "na")
        assert stage.documents_there() == {"a": 1, "b": 2}
        stage.sql("UPDATE postgres_tasks SET n = 3 WHERE mongo_id = 'a'")
        stage.sql("DELETE FROM postgres_tasks WHERE mongo_id = 'b'")
        with stage.phases() as phases, pytest.raises(MovedError):
            Application(stage, phases).tasks.insert_one({"_id": "c"})
        await asyncio.sleep(0.5)
        assert (stage.modes(), stage.documents_there()) == ("na", {"a": 1, "b": 2})
        assert stage.sql("SELECT to_regnamespace('syncline_back')") == [(None,)]
        await reopen(stage.documents, control, control.backward(["tasks"], None), reason="it is needed again")
        await until(lambda: stage.documents_there() == {"a": 3})
    assert (control.standings(["tasks"])["tasks"].phase, stage.modes()) == (Phase.LIVE, "la")


async def test_a_repair_leaves_the_backup_as_it_is(stage, control):
    stage.bare.insert_one({"_id": "a", "n": 1})
    await stage.switch(POSTGRESQL)
    await complete(stage.documents, control, control.forward(["tasks"], None))
    stage.sql("UPDATE postgres_tasks SET n = 2; INSERT INTO postgres_tasks (mongo_id, n) VALUES ('b', 3)")
    before, now = [*stage.bare.find()], datetime.now(UTC)
    kinds = {"a": Kind.DIFFERENT, "b": Kind.EXTRA}
    async with opened(stage.documents) as link:
        repairer = DocumentRepairer(link)
        await repairer.take([Finding("tasks", kind, id_, id_, (), None, now, now) for id_, kind in kinds.items()])
    assert [*stage.bare.find()] == before
    assert (repairer.report.marked_by.total(), repairer.report.left_by.total()) == (0, 2)


async def test_a_step_that_was_stopped_before_it_closed_mongodb_is_finished_by_a_worker(
    stage, control, monkeypatch, caplog
):
    async def stopped(_: object) -> None:
        raise asyncio.CancelledError

    await stage.switch(POSTGRESQL)
    step = control.forward(["tasks"], None)
    with monkeypatch.context() as patched:
        patched.setattr("syncline.phases.completing.close_for_good", stopped)
        with pytest.raises(asyncio.CancelledError):
            await complete(stage.documents, control, step)
    assert stage.modes() == "la"
    async with worker(stage.documents):
        await until(lambda: stage.modes() == "na")
        assert stage.sql("SELECT to_regnamespace('syncline_back')") == [(None,)]
    assert "the way back has ended" not in caplog.text


async def test_a_way_back_from_it_that_was_stopped_loses_nothing_in_the_next_one(stage, control, monkeypatch):
    def stopped(*_: object, **__: object) -> None:
        raise asyncio.CancelledError

    await stage.switch(POSTGRESQL)
    async with worker(stage.documents):
        await complete(stage.documents, control, control.forward(["tasks"], None))
    stage.sql("INSERT INTO postgres_tasks (mongo_id, n) VALUES ('a', 1)")
    with monkeypatch.context() as patched:
        patched.setattr(Control, "take_back", stopped)
        with pytest.raises(asyncio.CancelledError):
            await reopen(stage.documents, control, control.backward(["tasks"], None))
    async with opened(stage.documents) as link:
        session = Session(address_of_target(stage.documents))
        found = await look(link, session)
        await session.aclose()
    assert not found.unclosed, "a worker that starts now would take away what is installed for the way back"
    with monkeypatch.context() as patched:
        patched.setattr("syncline.phases.completing.opened_switch", stopped)
        with pytest.raises(asyncio.CancelledError):
            await reopen(stage.documents, control, control.backward(["tasks"], None))
    assert control.standings(["tasks"])["tasks"].phase is Phase.LIVE
    async with worker(stage.documents):
        await stage.switch(MONGODB)
        assert stage.documents_there() == {"a": 1}
    assert stage.modes() == "al"
