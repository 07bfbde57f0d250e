"""A side of a document link restored from a copy of its folder: noticed, refused, and begun anew when somebody says so."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from syncline.documents.installing import install, plan
from syncline.documents.opening import opened
from syncline.documents.restores import advance, require_unrestored
from syncline.documents.standing import keeping
from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.postgres import PrivatePostgres
from syncline.engines.mongo.marked_database import MarkedDatabase
from syncline.errors import RestoredError
from tests import engines
from tests.document_link import DocumentStage
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS


class Servers:
    """Both servers, and a stage on them."""

    def __init__(self, stage: DocumentStage, mongodb: PrivateMongo, postgresql: PrivatePostgres, folder: Path) -> None:
        self.stage, self._folder = stage, folder
        self._servers: dict[str, Any] = {"mongodb": mongodb, "postgresql": postgresql}

    def back_up(self) -> None:
        for name, server in self._servers.items():
            server.stop()
            shutil.copytree(server.data_dir, self._folder / name)
            server.start()
        self._reconnected()

    def restore(self, side: str) -> None:
        server = self._servers[side]
        server.stop()
        shutil.rmtree(server.data_dir)
        shutil.copytree(self._folder / side, server.data_dir)
        server.start()
        self._reconnected()

    def _reconnected(self) -> None:
        """Have the client see that its connections are over: no write is tried again on a standalone."""
        for _ in range(100):
            with contextlib.suppress(AutoReconnect):
                self.stage.client.admin.command("ping")
                return
        raise AssertionError("MongoDB is not there again")

    def carried(self) -> None:
        """Work until nothing is marked, and a beat has been exchanged since."""
        before = self.stage.sql("SELECT beat_here FROM syncline_documents.link")[0][0]
        tasks = self.stage.mongo["tasks"]

        def done() -> bool:
            beats = self.stage.sql("SELECT beat_here FROM syncline_documents.link")[0][0]
            return beats > before and not tasks.count_documents({"_sync.mark": {"$exists": True}})

        self.stage.work(done)

    def both(self) -> tuple[Any, Any]:
        rows = self.stage.sql("SELECT mongo_id, n FROM postgres_tasks ORDER BY mongo_id")
        documents = self.stage.collection("tasks").find().sort("_id", 1)
        return rows, [(str(one["_id"]), one["n"]) for one in documents]


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with (
        engines.running_postgres() as postgresql,
        engines.running_mongo() as mongodb,
        engines.scratch_folder() as folder,
    ):
        stage = DocumentStage(tmp_path, mongodb.url, "board", postgresql.url)
        stage.make_tables()
        stage.call("install", "--yes")
        yield Servers(stage, mongodb, postgresql, folder)
        stage.close()


def oid(number: int) -> ObjectId:
    return ObjectId(f"{number:024x}")


@pytest.mark.engines
def test_a_restore_of_either_side_is_noticed_and_what_it_lacks_comes_again_when_it_is_said(servers: Servers) -> None:
    tasks = servers.stage.collection("tasks")
    tasks.insert_many([{"_id": oid(number), "n": number} for number in range(4)])
    servers.carried()
    servers.back_up()
    for side in ("postgresql", "mongodb"):
        tasks.update_one({"_id": oid(0)}, {"$set": {"n": 10}})
        tasks.delete_one({"_id": oid(1)})
        tasks.insert_one({"_id": oid(9), "n": 9})
        servers.carried()
        servers.restore(side)
        with pytest.raises(RestoredError, match="was restored") as raised:
            servers.stage.work(lambda: False)
        assert f"syncline phase restored {side}" in str(raised.value.hint)
        status = servers.stage.json("status", status=2)
        assert any("was restored" in alert["message"] for alert in status["alerts"])
        said = servers.stage.json("phase", "restored", side, "--yes")
        assert said["restored"] == side
        servers.carried()
        rows, documents = servers.both()
        assert rows == documents
        lost = side == "mongodb"  # MongoDB was the truth: what was written since the backup is gone with it
        assert [n for _, n in rows] == ([0, 1, 2, 3] if lost else [10, 2, 3, 9])
        tasks.delete_many({"_id": oid(9)})
        tasks.update_one({"_id": oid(1)}, {"$set": {"n": 1}}, upsert=True)
        servers.carried()


async def test_counters_that_are_advanced_side_by_side_never_look_like_a_restore(
    tmp_path, mongo_url, mongo_db, database
):
    """A worker may be killed between any two of its steps, and others look meanwhile."""
    stage = DocumentStage(tmp_path, mongo_url, mongo_db, database)
    stage.make_tables()
    async with opened(stage.documents) as link:
        await install(link, await plan(link))
        kept, other = keeping(link), MarkedDatabase(link.database)
        await advance(link, kept)
        for killed in range(3):
            there, _ = await other.advance()
            await require_unrestored(link, kept)
            if killed:
                known = await kept.advance(there)
                await require_unrestored(link, kept)
                if killed > 1:
                    await other.advance(here=known.here, by=0)
            await require_unrestored(link, kept)
        await kept.close()
    stage.close()


async def test_a_beat_of_another_worker_between_two_questions_looks_like_no_restore(
    tmp_path, mongo_url, mongo_db, database, monkeypatch
):
    stage = DocumentStage(tmp_path, mongo_url, mongo_db, database)
    stage.make_tables()
    async with opened(stage.documents) as link:
        await install(link, await plan(link))
        kept, other = keeping(link), keeping(link)
        for one, name in ((MarkedDatabase, "beats"), (type(kept), "beats")):
            plain = getattr(one, name)

            async def asked(self, plain=plain):
                found = await plain(self)
                await advance(link, other)
                return found

            with monkeypatch.context() as patched:
                patched.setattr(one, name, asked)
                await require_unrestored(link, kept)
        await kept.close()
        await other.close()
    stage.close()
