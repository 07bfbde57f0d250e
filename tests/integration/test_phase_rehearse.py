"""The way back is rehearsed on a copy: that is evidence for a week, and nothing of it is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline.phases import rehearsing
from tests.document_link import DocumentStage

DECLARED = """
[collections.tasks]
[collections.tasks.columns]
title = { type = "text", unique = true }
n = "integer"
[collections.tasks.arrays.labels]
type = "text"
"""
SCRATCH = "syncline_split_rehearsal_"


@pytest.fixture
def stage(tmp_path: Path, mongo_url: str, mongo_db: str, database: str) -> Iterator[DocumentStage]:
    made = DocumentStage(tmp_path, mongo_url, mongo_db, database, DECLARED)
    made.make_tables()
    tasks = made.collection("tasks")
    tasks.create_index("title", unique=True, partialFilterExpression={"title": {"$exists": True}})
    tasks.insert_many([{"title": f"t{n}", "n": n, "labels": ["a", "b"], "more": {"x": n}} for n in range(8)])
    made.call("install", "--yes")
    yield made
    made.close()


def left(stage: DocumentStage) -> list[str]:
    names = [*stage.client.list_database_names(), *(row[0] for row in stage.sql("SELECT datname FROM pg_database"))]
    return [name for name in names if name.startswith(SCRATCH)]


def evidence(stage: DocumentStage) -> Any:
    stage.sql("INSERT INTO syncline_documents.phase VALUES ('tasks', 'ramp', 100, 1, now()) ON CONFLICT DO NOTHING")
    found = stage.json("phase", "check", status=1)["evidence"]
    return next(one for one in found if one["name"] == "rehearsed")


def test_a_rehearsal_goes_there_and_back_and_is_evidence_for_a_week(stage: DocumentStage) -> None:
    assert not evidence(stage)["holds"]
    before = [*stage.mongo["tasks"].find().sort("_id", 1)]
    said = stage.json("phase", "rehearse", "--writes", "6", "--pause", "20s")
    assert said["documents"] == {"tasks": 8}
    assert said["equal"] is True
    assert set(said["pausedMs"]) == {"mongodb", "postgresql"}
    assert min(said["written"].values()) >= 8
    assert [*stage.mongo["tasks"].find().sort("_id", 1)] == before
    assert stage.sql("SELECT count(*) FROM postgres_tasks") == [(0,)]
    assert left(stage) == []
    assert evidence(stage)["holds"]
    stage.sql("UPDATE syncline_documents.rehearsal SET at = now() - interval '8 days'")
    assert "more than 7 days ago" in evidence(stage)["told"]
    stage.sql("UPDATE syncline_documents.rehearsal SET at = now(), mapping = 'another'")
    assert "another declaration" in evidence(stage)["told"]


def test_a_rehearsal_that_fails_says_which_step_and_is_no_evidence(
    stage: DocumentStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: Any) -> None:
        raise rehearsing.RehearsalError("tasks: a write was acknowledged, and is not there")

    monkeypatch.setattr(rehearsing.Writers, "see_that_all_is_there", lost)
    assert "is not there" in stage.call("phase", "rehearse", "--writes", "2", "--pause", "20s", status=1)
    assert left(stage) == []
    assert not evidence(stage)["holds"]
