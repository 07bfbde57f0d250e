"""MongoDB restored from a backup while PostgreSQL is the truth: it is closed again, and gets every row."""

from __future__ import annotations

from typing import Any

import pytest

from syncline.phases.completing import complete
from syncline.phases.restored import Restored, begin_anew
from syncline.phases.switching.sides import POSTGRESQL
from tests.phase_switch import SwitchStage, phase_control, switch_stage  # noqa: F401  fixtures
from tests.relay import until
from tests.way_back import worker

pytestmark = pytest.mark.engines


def backup(stage: SwitchStage) -> dict[str, list[Any]]:
    """Read all collections, ours too."""
    found = stage.bare.database
    return {name: [*found[name].find()] for name in found.list_collection_names()}


def restore(stage: SwitchStage, kept: dict[str, list[Any]]) -> None:
    found = stage.bare.database
    for name in found.list_collection_names():
        found[name].delete_many({})
    for name, documents in kept.items():
        if documents:
            found[name].insert_many(documents)


async def test_after_complete_no_side_is_written_anew_whichever_is_restored(stage, control):
    await stage.switch(POSTGRESQL)
    await complete(stage.documents, control, control.forward(["tasks"], None))
    stage.sql("INSERT INTO postgres_tasks VALUES ('a', 1)")
    assert await begin_anew(stage.documents) == Restored((), 0, ())
    assert stage.modes() == "na"
    assert (stage.rows_there(), stage.documents_there()) == ({"a": 1}, {})
    assert stage.sql("SELECT to_regnamespace('syncline_back')") == [(None,)]


@pytest.mark.parametrize("of", ["the ramp", "live"])
async def test_a_mongodb_that_is_restored_in_live_is_closed_again_and_gets_every_row(stage, of):
    stage.bare.insert_many([{"_id": "a", "n": 1}, {"_id": "b", "n": 2}])
    kept = backup(stage)
    await stage.switch(POSTGRESQL)
    async with worker(stage.documents):
        stage.sql("UPDATE postgres_tasks SET n = 3 WHERE mongo_id = 'a'")
        await until(lambda: stage.documents_there() == {"a": 3, "b": 2})
        kept = backup(stage) if of == "live" else kept
        stage.sql("DELETE FROM postgres_tasks WHERE mongo_id = 'b'; INSERT INTO postgres_tasks VALUES ('c', 4)")
        await until(lambda: stage.documents_there() == {"a": 3, "c": 4})
    restore(stage, kept)
    assert stage.modes() == ("la" if of == "live" else "aa")
    done = await begin_anew(stage.documents)
    assert (done.back, done.forward, stage.modes()) == (("tasks",), (), "la")
    async with worker(stage.documents):
        await until(lambda: stage.documents_there() == {"a": 3, "c": 4} == stage.rows_there())
