"""Who serves the way back while a collection comes back to MongoDB: nobody is refused while its lanes go about."""

from __future__ import annotations

import asyncio
import time

import pytest

from syncline.phases.changing import Control
from syncline.phases.switching.link import CollectionLink
from syncline.phases.switching.sides import MONGODB, POSTGRESQL
from syncline.split.switching.move import Step
from tests import way_back
from tests.phase_switch import Application, switch_stage  # noqa: F401  a fixture
from tests.relay import until

pytestmark = pytest.mark.engines

UNSERVED = """
SELECT count(*) FROM syncline_back.lane AS l
WHERE NOT EXISTS (SELECT FROM syncline_back.worker AS w WHERE w.id = l.owner AND w.expires_at > clock_timestamp())
"""


@pytest.fixture
def application(stage):
    with stage.phases() as phases:
        yield Application(stage, phases)


async def test_nobody_is_refused_before_every_lane_of_the_way_back_is_served(stage, application):
    await stage.switch(POSTGRESQL)
    await asyncio.to_thread(application.write, "a", 1)
    unserved = {}

    def told(step: Step) -> None:
        ((unserved[step],),) = stage.sql(UNSERVED)

    await stage.switch(MONGODB, told=told)
    assert (unserved[Step.NUMBER], unserved[Step.CLOSE]) == (64, 0)


async def test_no_worker_joins_those_who_serve_every_lane_as_a_collection_comes_back(stage, application, monkeypatch):
    begun = []
    monkeypatch.setattr(CollectionLink, "_carry_back", begun.append)
    await stage.switch(POSTGRESQL)
    async with way_back.worker(stage.documents):
        await until(lambda: stage.sql(UNSERVED) == [(0,)])
        await asyncio.to_thread(application.write, "a", 1)
        await stage.switch(MONGODB)
    assert stage.documents_there() == {"a": 1}
    assert not begun


async def test_a_drain_whose_worker_has_died_is_carried_on(stage):
    await stage.switch(POSTGRESQL)
    stage.sql(
        "WITH it AS (INSERT INTO syncline_back.worker (id, name, version, expires_at)"
        " VALUES (gen_random_uuid(), 'it', '1', now() + interval '1 hour') RETURNING id)"
        " UPDATE syncline_back.lane SET owner = (SELECT id FROM it)"
    )

    def told(step: Step) -> None:
        if step is Step.CLOSE:
            stage.sql("INSERT INTO postgres_tasks (mongo_id, n) VALUES ('a', 1)")
        if step is Step.DRAIN:
            assert stage.sql("SELECT count(*) FROM syncline_back.outbox") == [(1,)]
            stage.sql("DELETE FROM syncline_back.worker WHERE name = 'it'")

    await stage.switch(MONGODB, told=told)
    assert stage.documents_there() == {"a": 1}


async def test_postgresql_has_the_phase_before_a_side_opens(stage, monkeypatch):
    journal = Control.journal

    def late(control: Control) -> None:
        time.sleep(0.3)
        journal(control)

    monkeypatch.setattr(Control, "journal", late)
    said = {}

    def told(step: Step) -> None:
        if step is Step.OPEN:
            said.update(stage.sql("SELECT collection, phase FROM syncline_documents.phase"))

    await stage.switch(POSTGRESQL, told=told)
    assert said == {"tasks": "live"}
