"""What a document link writes no other link writes: its tables in PostgreSQL, and its collections in MongoDB."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from syncline.engines.mongo.claims import COLLECTION
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.postgres.target.target import SqlTarget
from syncline.errors import UnsuitableTargetError
from syncline.model.entity import Entity, TableName
from tests.document_link import DocumentStage
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS

SOURCE = "7000000000000000001/5"
TABLES = {
    '"public"."postgres_tasks"': "tasks",
    '"public"."postgres_tasks_tags"': "tasks",
    '"public"."postgres_labels"': "labels",
}


@pytest.fixture
def stage(tmp_path, mongo_url, mongo_db, database, monkeypatch) -> Iterator[DocumentStage]:
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    text = '[collections.tasks]\ncolumns = { title = "text" }\narrays = { tags = { type = "text" } }\n[collections.labels]\n'
    made = DocumentStage(tmp_path, mongo_url, mongo_db, database, text)
    made.make_tables()
    yield made
    made.close()


def claimed(stage: DocumentStage) -> tuple[Any, Any]:
    [(tables,)] = stage.sql("SELECT tables FROM syncline_documents.claim")
    return tables, {one["_id"]: one["collections"] for one in stage.mongo[COLLECTION].find()}


def entity(name: str) -> Entity:
    return Entity("item", TableName("public", "item"), name)


def of_tables(stage: DocumentStage, table: str) -> None:
    """A link writes a table of the PostgreSQL."""

    async def take() -> None:
        target = SqlTarget(stage.database, schema="syncline_target_a", link="a")
        try:
            target.claim_for(SOURCE, [entity(table)])
            await target.prepare([entity(table)])
        finally:
            await target.close()

    asyncio.run(take())


def of_collections(stage: DocumentStage, name: str) -> None:
    """A link writes a collection of the MongoDB."""

    async def take() -> None:
        target = MongoTarget(stage.mongo_url, stage.mongo.name, link="a")
        try:
            target.claim_for(SOURCE, [entity(name)])
            await target.prepare([entity(name)])
        finally:
            await target.close()

    asyncio.run(take())


@contextmanager
def refused(message: str) -> Iterator[None]:
    with pytest.raises(UnsuitableTargetError) as told:
        yield
    assert message in str(told.value)


def test_an_installation_notes_them_and_its_end_gives_them_up(stage):
    stage.call("install", "--yes")
    assert claimed(stage) == (TABLES, {"syncline_documents": ["tasks", "labels"]})
    with refused('"postgres_labels" in the target is written by link documents'):
        of_tables(stage, "postgres_labels")
    with refused("tasks in the target is written by link documents"):
        of_collections(stage, "tasks")
    stage.call("uninstall", "--yes")
    assert stage.mongo[COLLECTION].count_documents({}) == 0
    of_collections(stage, "tasks")
    of_tables(stage, "postgres_labels")


@pytest.mark.parametrize(
    ("take", "name", "said"),
    [
        (of_tables, "postgres_tasks_tags", '"postgres_tasks_tags" in the target is written by link a of the source 7'),
        (of_collections, "labels", "labels in the target is written by link a of the source 7"),
    ],
)
def test_what_another_link_writes_is_not_installed(stage, take, name, said):
    if take is of_tables:
        stage.sql("ALTER TABLE postgres_tasks_tags DROP CONSTRAINT IF EXISTS postgres_tasks_tags_mongo_id_fkey")
    take(stage, name)
    for words in (["install", "--dry-run"], ["install", "--yes"]):
        assert said in " ".join(stage.call(*words, status=3).split())
    assert stage.sql("SELECT to_regclass('syncline_documents.mapping')") == [(None,)]


def test_an_installation_of_an_older_release_notes_them_with_the_next_one(stage):
    stage.call("install", "--yes")
    stage.sql("DROP TABLE syncline_documents.claim")
    stage.mongo[COLLECTION].drop()
    assert "note in both databases which tables and collections this link writes" in stage.call("install", "--yes")
    assert claimed(stage) == (TABLES, {"syncline_documents": ["tasks", "labels"]})
    assert "nothing to do" in stage.call("install", "--yes")
