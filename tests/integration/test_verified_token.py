"""A token stands for all that was written before it: whoever waits for it hears when that has been compared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from bson import ObjectId

from syncline.config.documents import Documents
from syncline.config.dual_write import DualWriteSettings
from syncline.documents.installing import install, plan
from syncline.documents.opening import DocumentLink, opened
from syncline.documents.proving import draw_token, verified
from syncline.documents.verifying import DocumentVerifier
from syncline.engines.mongo.marked_database import IDENTITY
from syncline.engines.mongo.stored_marks import StoredMarks
from syncline.engines.postgres.documents.definitions import schema
from syncline.engines.postgres.documents.reading import Certificate, RowsSeen
from syncline.errors import TokenError
from syncline.phases.dual_write import AsyncEnhancedDualWriteService
from tests.dual_write import TASKS
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS

NOW = timedelta(0)
PATIENT = DualWriteSettings(enabled=True, deadline=timedelta(minutes=1))


@pytest.fixture
async def link(mongo_url: str, mongo_db: str, database: str) -> AsyncIterator[DocumentLink]:
    documents = Documents((TASKS,), None, {"source": mongo_url.replace("/?", f"/{mongo_db}?"), "target": database})
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in schema([TASKS]):
            connection.execute(statement)
    async with opened(documents) as made:
        await install(made, await plan(made))
        yield made


async def verify(link: DocumentLink) -> str:
    verifier = DocumentVerifier(link, patience=timedelta(seconds=0.1))
    try:
        return (await verifier.verify(["tasks"])).verdict.value
    finally:
        await verifier.close()


async def test_what_was_written_before_a_token_is_verified_when_a_pass_that_began_later_has_proved_it(link):
    async with AsyncEnhancedDualWriteService(link.documents, settings=PATIENT) as service:
        id_ = str(ObjectId())
        await service.create_document("tasks", {"title": "a"}, id_)
        token = await service.token()
        assert not await service.verified(token, timeout=NOW)
        waiting = asyncio.create_task(service.verified(token))
        assert await verify(link) == "equal"
        assert await waiting
        await service.update_document("tasks", id_, {"n": 1})
        later = await service.token()
        assert await service.verified(token, timeout=NOW)
        assert not await service.verified(later, collection_name="tasks", timeout=NOW)


async def test_a_pass_that_began_before_the_token_proves_nothing_of_it(link):
    rows, stored = RowsSeen(link.documents.url("target"), link.mappings), StoredMarks(link.database)
    before, token = await stored.now(), await draw_token(link)
    await rows.certify("tasks", Certificate(before, 0, "equal", {}))
    assert not await verified(link, token, timeout=NOW)
    after = await stored.now()
    await rows.certify("tasks", Certificate(after, 0, "divergent", {}))
    assert not await verified(link, token, timeout=NOW)
    await rows.certify("tasks", Certificate(after, 0, "equal", {}))
    assert await verified(link, token, timeout=NOW)
    await rows.close()


async def test_a_clock_that_is_set_back_makes_no_earlier_pass_count(link):
    """MongoDB's clock showed a later time, by which a pass began; then it was set back, and somebody wrote."""
    ahead: Any = datetime.now(UTC) + timedelta(days=1)
    await link.database[IDENTITY].insert_one({"_id": "clock", "at": ahead})  # what that pass has left
    rows = RowsSeen(link.documents.url("target"), link.mappings)
    await rows.certify("tasks", Certificate(ahead, 0, "equal", {}))
    await rows.close()
    token = await draw_token(link)
    assert not await verified(link, token, timeout=NOW)
    assert await verify(link) == "equal"
    assert await verified(link, token, timeout=NOW)


async def test_what_is_no_token_of_this_link_is_refused(link):
    token = await draw_token(link)
    for wrong in ("", "x", token.partition(".")[0], f"{token}0000000", token.replace(token[0], "z", 1)):
        with pytest.raises(TokenError):
            await verified(link, wrong, timeout=NOW)
