"""One link writes a collection of a MongoDB, whichever file, installation or control collection it has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pymongo import MongoClient

from syncline.engines.mongo.claims import COLLECTION, Claim
from syncline.engines.mongo.target import MongoTarget
from syncline.errors import UnsuitableTargetError
from syncline.model.entity import Entity, TableName
from syncline.ports import Beat
from tests.relay import ITEM, relayed

pytestmark = pytest.mark.engines

TODO = Entity("todo", TableName("public", "todo"), "todos")
OTHER = Entity("note", TableName("public", "note"), "notes")
Made = Callable[..., MongoTarget]


@pytest.fixture
async def made(mongo_url: str, mongo_db: str) -> AsyncIterator[Made]:
    async with AsyncExitStack() as stack:

        def make(control: str = "_syncline", link: str = "syncline") -> MongoTarget:
            target = MongoTarget(mongo_url, mongo_db, control=control, link=link)
            stack.push_async_callback(target.close)
            return target

        yield make


def claimed(url: str, database: str) -> dict[str, list[str]]:
    with MongoClient[dict[str, Any]](url) as client:
        return {one["_id"]: one["collections"] for one in client[database][COLLECTION].find()}


async def taken(target: MongoTarget, system: str, *entities: Entity) -> MongoTarget:
    target.claim_for(system, entities)
    await target.prepare(entities)
    return target


async def test_another_installations_collection_is_refused_under_any_control_collection(made, mongo_url, mongo_db):
    first = await taken(made(), "one/app", TODO)
    second = made("_other")
    with pytest.raises(UnsuitableTargetError, match=r"todos in the target is written by .* of the source one/app"):
        await taken(second, "two/app", OTHER, TODO)
    with pytest.raises(UnsuitableTargetError, match=r"deleteOne\({_id: \'_syncline\'}\)"):
        await second.require_suitable([TODO], system="two/app 2026-11-30")
    assert claimed(mongo_url, mongo_db) == {"_syncline": ["todos"]}
    await taken(second, "two/app", OTHER)
    await taken(first, "one/app")
    await taken(second, "two/app", OTHER, TODO)  # the first one has taken it out of its entities


@pytest.mark.parametrize(("link", "system"), [("far", "one/app"), ("syncline", "one/other")])
async def test_a_link_is_its_name_and_its_source(made, link, system):
    await taken(made(), "one/app", TODO)
    await taken(made("_renamed"), "one/app", TODO)  # the same one, after its control collection has got another name
    with pytest.raises(UnsuitableTargetError):
        await taken(made("_another", link), system, TODO)


async def test_what_a_link_gives_up_another_one_may_write(made):
    first = await taken(made(), "one/app", TODO)
    await first.release()
    await taken(made("_other"), "two/app", TODO)


async def test_of_two_that_want_one_collection_at_once_neither_stands_beside_the_other(
    made, mongo_url, mongo_db, monkeypatch
):
    first, second = made(), made("_other")
    look, looks = second._claims.require_free, 0

    async def first_comes_meanwhile(mine: Claim) -> None:
        nonlocal looks
        looks += 1
        await look(mine)
        if looks == 1:
            await taken(first, "one/app", TODO)

    monkeypatch.setattr(second._claims, "require_free", first_comes_meanwhile)
    with pytest.raises(UnsuitableTargetError):
        await taken(second, "two/app", TODO)
    assert looks == 2
    assert claimed(mongo_url, mongo_db) == {"_syncline": ["todos"]}


async def test_the_claim_of_another_sources_copy_stays(made, mongo_url, mongo_db):
    """Whose copy it is, the heartbeat says; the link that finds that out ends."""
    first = await taken(made(), "one/app", TODO)
    await first.beat(Beat("installation", "one/app", 1))
    await taken(made(), "two/app", OTHER)
    assert claimed(mongo_url, mongo_db) == {"_syncline": ["todos"]}


async def test_a_worker_notes_what_its_link_writes(database, mongo_url, mongo_db):
    async with relayed(database, (mongo_url, mongo_db)) as running, running.worker():
        assert claimed(mongo_url, mongo_db) == {"_syncline": [ITEM.collection]}
