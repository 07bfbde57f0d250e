"""The page of a document link in a real browser: phases, what waits, rejections, verifications; for everybody, on a telephone too."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from prometheus_client import CollectorRegistry

from syncline.config.documents import load_documents
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.in_postgresql import InPostgreSQL
from syncline.phases.phase import Phase
from syncline.phases.shadow.report import Outcome
from syncline.phases.standing import Standing
from syncline.web.auth import AdminCredential
from syncline.web.document_metrics import DocumentReader
from syncline.web.exposition import Exposition, OfLink
from syncline.web.page import DocumentPage
from tests import chromium
from tests.chromium import Tab
from tests.document_link import DocumentStage
from tests.integration.test_page_browser import look_at, shows
from tests.pages import EVIL, serving

DECLARED = """
[collections.tasks]
id = "any"
columns = { title = "text", n = "integer" }
[collections.labels]
id = "any"
columns = { name = "text" }
"""
CELLS = "[...document.querySelectorAll('#collections tr')].map(r => [...r.cells].map(c => c.innerText.replace(/\\s+/g, ' ').trim()))"


@pytest.fixture
def stage(tmp_path: Path, mongo_url: str, mongo_db: str, database: str) -> Iterator[DocumentStage]:
    made = DocumentStage(tmp_path, mongo_url, mongo_db, database, DECLARED)
    made.make_tables()
    made.call("install", "--yes")
    yield made
    made.close()


async def cells(tab: Tab, name: str) -> list[str]:
    (found,) = [row for row in await tab.run(CELLS) if row[0].startswith(name)]
    return list(found)


def in_ramp(stage: DocumentStage) -> None:
    """Have a collection in a ramp that one process does not know of yet, with shadow reads."""
    mongodb, journal = InMongoDB(stage.mongo_url), InPostgreSQL(stage.database)
    journal.prepare()
    standing = {"tasks": Standing(Phase.RAMP, 25.0, 7)}
    mongodb.put(standing)
    mongodb.beat("web:1", 6, 600)
    journal.put(standing)
    (mapping,) = [one for one in stage.documents.mappings if one.collection.name == "tasks"]
    counts = {("tasks", "get", Outcome.EQUAL): 9_000, ("tasks", "list", Outcome.MISMATCH): 2}
    journal.shadowed(counts, {"tasks": mapping.fingerprint})
    journal.shadowed({("tasks", "get", Outcome.MISMATCH): 50}, {"tasks": "another declaration"})
    mongodb.close()
    journal.close()


@pytest.fixture
def used(stage: DocumentStage) -> DocumentStage:
    """A link with a rejected document, a verification, and a collection in a ramp."""
    stage.collection("tasks").insert_many([{"_id": f"t{n}", "title": "a", "n": n} for n in range(5)])
    stage.sql('ALTER TABLE postgres_tasks ADD CONSTRAINT "<img src=x onerror=window.pwned=1>" CHECK (n < 100)')
    stage.collection("tasks").insert_one({"_id": EVIL, "title": "a", "n": 100})
    stage.work(lambda: stage.sql("SELECT count(*) FROM syncline_documents.rejected") == [(1,)])
    stage.call("verify", status=1)
    in_ramp(stage)
    stage.collection("labels").insert_one({"_id": ObjectId(), "name": "x"})
    return stage


async def test_where_collections_stand_can_be_read_by_everybody(used: DocumentStage, tmp_path: Path) -> None:
    try:
        chromium.command()
    except chromium.UnavailableError as error:
        pytest.skip(str(error))
    (tmp_path / "page").mkdir()
    with serving(tmp_path / "page", used.file.read_text()) as served:
        async with chromium.browser() as tab:
            await tab.look()
            await tab.open(served.way_in)
            await tab.until("document.body.dataset.seen")
            await shows(tab, "#collections", "ramp 25 %")
            tasks, labels = await cells(tab, "tasks"), await cells(tab, "labels")
            assert tasks[0] == "tasks → public.postgres_tasks"
            assert "not in effect yet in web:1" in tasks[1]
            assert tasks[2:5] == ["0", "none", "1"]
            assert tasks[5].startswith("divergent 6 documents, as of")
            assert tasks[6] == "9,002 compared, 2 mismatches", "counts of another declaration are no evidence"
            assert labels[1:3] == ["off", "1"]
            assert "equal 0 documents" in labels[5]
            await shows(tab, "#rejected-rows", "violates check constraint")
            await shows(tab, "#notices-empty", "None.")
            assert await tab.run("getComputedStyle(document.getElementById('tasks-section')).display") == "none"
            await shows(tab, "#databases", "kept equal to it")
            await look_at(tab)
            await act(tab, used)
            assert await tab.run("window.pwned === undefined")
            assert [one for one in tab.errors if "favicon" not in one] == []


async def act(tab: Tab, stage: DocumentStage) -> None:
    """Retry, explain, verify and repair from the page."""
    later = "SELECT next_at <= now() FROM syncline_documents.rejected"
    stage.sql("UPDATE syncline_documents.rejected SET next_at = 'infinity'")
    await shows(tab, "#rejected-rows", "given up")
    await tab.run("document.querySelector('#rejected-rows .do button').click()")
    await shows(tab, "#toast", "a worker tries again")
    assert stage.sql(later) == [(True,)]
    await tab.run("document.querySelector('#rejected-rows .link').click()")
    await shows(tab, "#record-facts", "It is parked")
    await tab.run("document.getElementById('record').close()")
    stage.mongo.tasks.delete_one({"_id": EVIL})
    stage.sql("UPDATE postgres_tasks SET n = 99 WHERE n = 3")
    await tab.run("document.querySelector('[aria-label=\"verify tasks\"]').click()")
    await shows(tab, "#document-jobs", "Not equal")
    await tab.run("document.querySelector('[aria-label=\"repair tasks\"]').click()")
    await shows(tab, "#sure-title", "Repair tasks?")
    await tab.run("document.getElementById('sure-yes').click()")
    await shows(tab, "#document-jobs", "1 documents marked")
    await shows(tab, "#notices", "tasks: 1 different")
    assert await tab.run("[...document.querySelectorAll('#notices button')].every(e => e.hidden)")


def test_the_metrics_of_a_worker_have_its_collections(used: DocumentStage) -> None:
    async def told() -> str:
        reader = DocumentReader(used.documents)
        try:
            return (await Exposition(CollectorRegistry(), OfLink("", reader)).text()).decode()
        finally:
            await reader.close()

    lines = set(asyncio.run(told()).splitlines())
    assert {
        'syncline_collection_phase{collection="tasks",phase="ramp"} 1.0',
        'syncline_collection_phase{collection="labels",phase="off"} 1.0',
        'syncline_collection_ramp_percent{collection="tasks"} 25.0',
        'syncline_collection_closed{collection="tasks"} 0.0',
        'syncline_collection_marked_documents{collection="labels",way="forward"} 1.0',
        'syncline_collection_rejected_documents{collection="tasks",way="forward"} 1.0',
        'syncline_shadow_reads{collection="tasks",outcome="mismatches"} 2.0',
        'syncline_divergent_records{entity="labels"} 0.0',
    } <= lines


def test_a_postgresql_that_is_away_hides_nothing_else(stage: DocumentStage, tmp_path: Path) -> None:
    """What the page tells is read without a browser: MongoDB's part is there."""
    stage.collection("labels").insert_one({"_id": ObjectId(), "name": "x"})
    text = stage.file.read_text().replace(stage.database, "postgresql://127.0.0.1:1/none")
    (file := tmp_path / "away.toml").write_text(text)

    async def state() -> Any:
        page = DocumentPage(load_documents(file, {}), AdminCredential("x" * 30))
        async with page.running():
            return json.loads(await page.watch.current())

    began = time.monotonic()
    found = asyncio.run(state())
    assert time.monotonic() - began < 60
    assert found["databases"]["target"]["state"] == "disconnected"
    assert found["rejected"] is None
    assert {one["name"]: (one["waiting"], one["phase"], one["shadow"]) for one in found["collections"]} == {
        "tasks": (0, "off", None),
        "labels": (1, "off", None),
    }
