"""An uninstallation takes away what changes of sides have left: gates, and the capture of rows; not while it is needed."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from syncline.documents.opening import opened
from syncline.errors import PhaseError
from syncline.phases.completing import complete
from syncline.phases.leaving import Leftovers, leave, leftovers
from syncline.phases.switching.sides import MONGODB, POSTGRESQL
from tests.phase_switch import phase_control, switch_stage  # noqa: F401  fixtures

pytestmark = pytest.mark.engines
ROW = "INSERT INTO postgres_tasks (mongo_id, n) VALUES ('a', 1)"


async def test_gates_and_the_way_back_go_and_everybody_may_write_the_rows(stage, control):
    await stage.switch(POSTGRESQL)
    async with opened(stage.documents) as link:
        with pytest.raises(PhaseError, match="tasks is written in PostgreSQL"):
            await leftovers(stage.documents, link)
        await stage.switch(MONGODB)
        with pytest.raises(psycopg.Error, match="written on the other side"):
            stage.sql(ROW)
        with pytest.raises(PhaseError, match="tasks is read from PostgreSQL") as refused:
            await leftovers(stage.documents, link)
        assert "syncline phase back tasks" in refused.value.hint
        await asyncio.to_thread(lambda: control.take_back(control.backward(["tasks"], None)))
        found = await leftovers(stage.documents, link)
        assert found == Leftovers(["tasks"], captured=True)
        await leave(stage.documents, link, found)
        stage.sql(ROW)
        assert stage.sql("SELECT to_regnamespace('syncline_back')") == [(None,)]
        assert await leftovers(stage.documents, link) == Leftovers([], captured=False)
    stage.sql("DROP SCHEMA syncline_gate CASCADE")
    async with opened(stage.documents) as link:
        assert await leftovers(stage.documents, link) == Leftovers([], captured=False)


async def test_after_complete_the_gates_go(stage, control):
    await stage.switch(POSTGRESQL)
    await complete(stage.documents, control, control.forward(["tasks"], None))
    async with opened(stage.documents) as link:
        found = await leftovers(stage.documents, link)
        assert found == Leftovers(["tasks"], captured=False)
        await leave(stage.documents, link, found)
    assert (
        stage.sql("SELECT tgname FROM pg_trigger WHERE tgrelid = 'postgres_tasks'::regclass AND NOT tgisinternal") == []
    )
