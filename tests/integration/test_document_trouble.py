"""Trouble with a single document or a single row of a document link is its own, and no other's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pymongo.errors import BulkWriteError, OperationFailure, WriteConcernError, WriteError

from syncline.documents.opening import opened
from syncline.engines.mongo.marked import translated
from syncline.engines.postgres.documents.versions import VersionedRows
from syncline.errors import SourceError, SourceUnavailableError, TargetRefusedError
from syncline.relay.documents.pump import DocumentPump
from syncline.telemetry.observer import Unavailable
from tests.document_link import DocumentStage, Heard
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS


@pytest.fixture
def stage(
    tmp_path: Path, mongo_url: str, mongo_db: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DocumentStage]:
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    made = DocumentStage(tmp_path, mongo_url, mongo_db, database)
    made.make_tables()
    made.call("install", "--yes")
    yield made
    made.close()


ALMOST_TOO_LARGE = 16 * 1024 * 1024 - 45


def test_a_document_that_cannot_be_marked_keeps_no_other_back(stage):
    stage.mongo["tasks"].insert_one({"_id": 1, "title": "a", "more": "x" * ALMOST_TOO_LARGE})
    stage.mongo["tasks"].insert_one({"_id": 2, "title": "b"})
    stage.mongo["labels"].insert_one({"_id": 1, "name": "red"})
    heard = Heard()
    both = "SELECT (SELECT title FROM postgres_tasks), (SELECT name FROM postgres_labels)"
    stage.work(lambda: len(_said(heard)) > 1, observer=heard)
    assert stage.sql(both) == [("b", "red")]
    [error, *_] = _said(heard)
    assert type(error) is SourceError
    assert error.message.startswith("tasks: the document 1 cannot be marked: MongoDB refused: ")


def _said(heard: Heard) -> list[BaseException]:
    return [one.error for one in heard.events if isinstance(one, Unavailable)]


async def test_a_row_that_somebody_holds_keeps_back_no_other_collection_and_few_of_its_own(stage):
    stage.collection("tasks").insert_many([{"_id": n, "title": "old"} for n in range(4)])
    new = "SELECT count(*) FROM postgres_tasks WHERE title = 'new'"
    async with opened(stage.documents) as link:
        rows = VersionedRows(stage.database, link.mappings, seconds=1)
        pump = DocumentPump(link.source, rows, link.collections)
        await pump.walk()
        for n in range(4):
            stage.collection("tasks").update_one({"_id": n}, {"$set": {"title": "new"}})
        stage.collection("labels").insert_one({"_id": 1, "name": "red"})
        with psycopg.connect(stage.database) as holder:
            holder.execute("SELECT FROM postgres_tasks WHERE mongo_id = '3' FOR UPDATE")
            with pytest.raises(TargetRefusedError, match="tasks: writing took too long"):
                await pump.walk()
            assert stage.sql("SELECT name FROM postgres_labels") == [("red",)]
            for _ in range(20):
                with pytest.raises(TargetRefusedError):
                    await pump.walk()
                if stage.sql(new) == [(3,)]:
                    break
            assert stage.sql(new) == [(3,)]
        await pump.walk()
        assert stage.sql(new) == [(4,)]
        await rows.close()


def _bulk(code: int, *, concern: bool = False) -> BulkWriteError:
    errors = [{"index": 0, "code": code, "errmsg": "no"}]
    return BulkWriteError({"writeErrors": errors, "writeConcernErrors": [{"code": 64}] if concern else []})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (WriteError("Document failed validation", 121), SourceError),
        (WriteError("too large", 17419), SourceError),
        (_bulk(121), SourceError),
        (WriteError("not primary", 10107), SourceUnavailableError),
        (WriteError("passes", 121, {"errorLabels": ["RetryableWriteError"]}), SourceUnavailableError),
        (_bulk(112), SourceUnavailableError),
        (_bulk(121, concern=True), SourceUnavailableError),
        (WriteConcernError("waited", 64), SourceUnavailableError),
        (OperationFailure("going down", 11600), SourceUnavailableError),
    ],
)
def test_what_mongodb_refuses_of_a_document_is_no_outage(error, kind):
    with pytest.raises(SourceError) as refused, translated():
        raise error
    assert type(refused.value) is kind
