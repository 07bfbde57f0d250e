"""What commands say of the way back of a document link."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncline.phases.way_back import WayBack
from tests.document_link import DocumentStage
from tests.programs import DOCUMENT_LINKS
from tests.way_back import Gate

pytestmark = DOCUMENT_LINKS

KEY = "0" * 24
PARKED = """
INSERT INTO syncline_back.parked (seq, entity, lane, hint, key, created_at, code, error)
SELECT 1, id, syncline_back.lane_of(id, 'x'), 'U', '"x"', now(), 'rejected', 'it is too large'
FROM syncline_back.entity WHERE name = 'tasks'"""


@pytest.fixture
def stage(tmp_path: Path, mongo_url: str, mongo_db: str, database: str) -> Iterator[DocumentStage]:
    made = DocumentStage(tmp_path, mongo_url, mongo_db, database)
    made.make_tables()
    made.call("install", "--yes")
    yield made
    made.close()


def test_what_waits_and_what_is_parked_on_the_way_back_is_told_by_every_command(stage: DocumentStage) -> None:
    before = {one["name"]: one["back"] for one in stage.json("status")["collections"]}
    assert before == {"tasks": None, "labels": None}
    asyncio.run(WayBack(stage.documents, Gate()).install())
    stage.sql(f"INSERT INTO postgres_tasks (mongo_id, n) VALUES ('{KEY}', 1)")
    stage.sql(PARKED)
    status = stage.json("status", status=1)
    found = {one["name"]: one["back"] for one in status["collections"]}
    assert (found["tasks"]["waiting"], found["tasks"]["rejected"], found["labels"]["waiting"]) == (1, 1, 0)
    assert (status["sync"]["queueSize"], status["sync"]["failedEvents"]) == (1, 1)
    assert "the way back: 1 change waiting" in stage.call("status", status=1)
    assert stage.json("explain", "tasks", KEY)["verdict"].startswith("Its rows are on their way back")
    assert "it is too large" in stage.json("explain", "tasks", '"x"')["verdict"]
    (parked,) = stage.json("parked", "list")["parked"]
    assert (parked["key"], parked["wayBack"], parked["error"]) == ('"x"', True, "it is too large")
    assert "1 documents are parked on the way back" in stage.call("doctor", status=1)
    assert stage.json("parked", "retry", "tasks", '"x"')["records"] == 1
    assert stage.json("status", status=1)["collections"][0]["back"]["waiting"] == 2
