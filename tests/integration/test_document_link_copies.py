"""A copy of the PostgreSQL of a document link has the link's id, and takes no marks of the MongoDB that it never had."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from urllib.parse import urlsplit

import psycopg
import pytest

from syncline.config.dual_write import DualWriteSettings
from syncline.documents.opening import opened
from syncline.documents.standing import keeping, require_sides
from syncline.engines.mongo.marked_database import MarkedDatabase
from syncline.errors import ForeignTargetError
from syncline.phases import FixedPhases, Phase
from syncline.phases.dual_write import AsyncDualWriteService
from syncline.phases.standing import Change, Standing
from syncline.phases.switching.changing import change_sides
from syncline.phases.switching.sides import POSTGRESQL
from tests.cases.test_copies import COPIES
from tests.document_link import DocumentStage
from tests.phase_switch import SwitchStage
from tests.programs import DOCUMENT_LINKS
from tests.relay import until
from tests.way_back import worker

pytestmark = [pytest.mark.engines, DOCUMENT_LINKS]
TITLES = "SELECT mongo_id, title FROM postgres_tasks ORDER BY 1"


@pytest.fixture
def installed(tmp_path, mongo_url, mongo_db, database, monkeypatch):
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    made = DocumentStage(tmp_path, mongo_url, mongo_db, database)
    made.make_tables()
    made.call("install", "--yes")
    made.collection("tasks").insert_many([{"_id": n, "title": f"t{n}"} for n in range(2)])
    made.work(lambda: unmarked(made))
    yield made
    made.close()


def unmarked(stage):
    return stage.mongo["tasks"].count_documents({"_sync.mark": {"$exists": True}}) == 0


@pytest.fixture(params=COPIES)
def copy(request, installed, tmp_path, mongo_url, mongo_db):
    """The same file, with a copy of the PostgreSQL, which nobody has used since."""
    folder = tmp_path / "copy"
    folder.mkdir()
    name = f"copy_{urlsplit(installed.database).path[1:]}"
    made = DocumentStage(folder, mongo_url, mongo_db, COPIES[request.param](installed.database, name))
    yield made
    made.close()
    with psycopg.connect(urlsplit(installed.database)._replace(path="/postgres").geturl(), autocommit=True) as server:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_worker_of_a_copy_is_refused_by_name_and_takes_no_mark(installed, copy):
    installed.collection("tasks").update_one({"_id": 1}, {"$set": {"title": "new"}})
    for end in (lambda: copy.work(lambda: False), lambda: copy.work(lambda: False)):
        with pytest.raises(ForeignTargetError, match="is a copy of the one to which the documents"):
            end()
    for words, status in ((["status"], 2), (["install", "--yes"], 3), (["uninstall", "--yes"], 3)):
        assert "is a copy" in copy.call(*words, status=status)
    assert not unmarked(installed)
    installed.work(lambda: unmarked(installed))
    assert installed.sql(TITLES) == [("0", "t0"), ("1", "new")]
    assert copy.sql(TITLES) == [("0", "t0"), ("1", "t1")]


async def test_a_dual_write_reaches_no_copy_in_the_call(installed, copy):
    settings = DualWriteSettings(deadline=timedelta(seconds=2))
    phases = FixedPhases(Phase.DUAL_WRITE)
    async with AsyncDualWriteService(copy.documents, phases=phases, settings=settings) as service:
        assert await service.update_document("tasks", 1, {"title": "new"})
        assert await service.update_document("tasks", 1, {"title": "newer"})
    assert not unmarked(installed)
    assert copy.sql(TITLES) == [("0", "t0"), ("1", "t1")]


def test_a_copy_that_takes_the_others_place_gets_everything_and_the_other_is_refused(installed, copy):
    installed.collection("tasks").update_one({"_id": 1}, {"$set": {"title": "new"}})
    installed.work(lambda: unmarked(installed))
    copy.call("phase", "restored", "postgresql", "--yes")
    copy.work(lambda: unmarked(copy))
    assert copy.sql(TITLES) == [("0", "t0"), ("1", "new")]
    with pytest.raises(ForeignTargetError, match="is a copy"):
        installed.work(lambda: False)


def test_an_older_installation_notes_which_database_it_is(installed):
    link = installed.mongo["_syncline_documents"]
    link.update_one({"_id": "link"}, {"$unset": {"system": ""}})

    async def ask():
        async with opened(installed.documents) as opened_link:
            await require_sides(opened_link)

    asyncio.run(ask())
    assert installed.call("install", "--check", status=1)
    assert installed.json("install", "--yes")["backfill"] == []
    system, database = link.find_one({"_id": "link"})["system"].split("/")
    [(expected,)] = installed.sql("SELECT system_identifier::text FROM pg_control_system()")
    assert system == expected
    assert installed.sql("SELECT oid::text FROM pg_database WHERE datname = current_database()") == [(database,)]


@pytest.fixture
async def stage(mongo_url, mongo_db, database):
    """A collection in live, whose MongoDB says that its rows are in another cluster."""
    one = SwitchStage(mongo_url, mongo_db, database)
    await one.prepare()
    one.bare.insert_one({"_id": "a", "n": 1})
    await one.switch(POSTGRESQL)
    async with opened(one.documents) as link:
        kept = keeping(link)
        await MarkedDatabase(link.database).identify((await kept.kept()).id, "1/1")
        await kept.close()
    yield one
    one.client.close()


async def test_the_way_back_of_a_copy_writes_nothing_and_says_why(stage, caplog):
    async with worker(stage.documents):
        stage.sql("UPDATE postgres_tasks SET n = 2")
        await until(lambda: "is a copy of the one" in caplog.text)
    assert stage.documents_there() == {"a": 1}


async def test_a_collection_of_a_copy_changes_no_sides(stage):
    change = Change({"tasks": Standing(Phase.LIVE)}, {"tasks": Standing(Phase.RAMP)})
    with pytest.raises(ForeignTargetError, match="is a copy"):
        await change_sides(stage.documents, change)
    assert stage.modes() == "la"
