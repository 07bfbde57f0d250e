"""Either side restored, replaced or installed anew: noticed, said, and reconciled; new changes are never taken for old."""

from __future__ import annotations

import asyncio
import shutil

import psycopg
import pytest
from pymongo import MongoClient

from syncline.errors import ForeignTargetError
from tests import engines
from tests.relay import ITEM, Relay, relayed, until


@pytest.fixture
async def memory(database):
    async with relayed(database) as found:
        yield found


def fill(relay: Relay, low: int, high: int, name: str = "x") -> None:
    relay.sql("INSERT INTO item SELECT n, %s FROM generate_series(%s::int, %s::int) AS n", name, low, high)


async def settled(relay: Relay) -> None:
    """Every mark and every task is done; the keeper has had its say."""
    await relay.renewed()
    await relay.equal(tasks=True)


async def test_g3_a_target_restored_to_an_earlier_copy_is_reconciled(memory: Relay) -> None:
    """The lanes have not changed hands since the copy: only the beats tell."""
    async with memory.worker():
        fill(memory, 1, 100)
        await memory.drained()
        await memory.renewed()
        restore = memory.target.target.backup()
        fill(memory, 101, 200)
        memory.sql("UPDATE item SET name = 'changed' WHERE id <= 50")
        memory.sql("DELETE FROM item WHERE id BETWEEN 40 AND 60")
        await memory.drained(deferred=True)
        await memory.renewed()
        restore()
        await until(lambda: "Restored" in memory.notices())
        await settled(memory)


async def test_a_target_restored_while_no_worker_ran_is_reconciled(database, mongo_url, mongo_db) -> None:
    """Collections dumped and put back, the control collection with them."""
    async with relayed(database, (mongo_url, mongo_db)) as relay, _client(mongo_url) as client:
        async with relay.worker():
            fill(relay, 1, 50)
            await relay.drained()
            await relay.renewed()
        found = client[mongo_db]
        dump = {name: list(found[name].find()) for name in found.list_collection_names()}
        async with relay.worker():
            fill(relay, 51, 90)
            relay.sql("DELETE FROM item WHERE id < 10")
            await relay.drained(deferred=True)
            await relay.renewed()
        for name, documents in dump.items():
            found[name].delete_many({})
            found[name].insert_many(documents)
        assert len(relay.raw()) == 50
        async with relay.worker():
            await until(lambda: "Restored" in relay.notices())
            await settled(relay)


async def test_an_emptied_target_is_filled_again(memory: Relay) -> None:
    async with memory.worker():
        fill(memory, 1, 300)
        await memory.drained()
        await memory.renewed()
        memory.target.target.wipe()
        await until(lambda: "Restored" in memory.notices())
        await settled(memory)


async def test_a_reinstallation_is_noticed_and_reconciled(memory: Relay) -> None:
    async with memory.worker():
        fill(memory, 1, 100)
        await memory.drained()
        await memory.renewed()
    await memory.uninstall()
    memory.sql("UPDATE item SET name = 'not captured' WHERE id < 20")
    memory.sql("DELETE FROM item WHERE id > 90")
    await memory.install()
    async with memory.worker():
        await until(memory.notices)
        await settled(memory)
        fill(memory, 500, 510)
        await memory.equal()
    assert memory.notices() == ["Reinstalled"], "said once"


@pytest.mark.engines
async def test_g3_a_source_restored_to_an_earlier_time_is_reconciled() -> None:
    """A copy of the data directory is put back; the target remembers what the source has forgotten."""
    with engines.running_postgres(own_identity=False) as server, engines.scratch_folder() as folder:
        async with relayed(server.url) as relay:
            async with relay.worker():
                fill(relay, 1, 50)
                relay.sql("UPDATE item SET name = 'kept' WHERE id = 7")
                await relay.drained()
                await relay.renewed()
            relay.conn.close()
            server.stop()
            shutil.copytree(server.data_dir, folder / "backup")
            server.start()
            relay.conn = psycopg.connect(relay.url, autocommit=True)
            async with relay.worker():
                relay.sql("UPDATE item SET name = 'lost'")
                relay.sql("DELETE FROM item WHERE id = 9")
                fill(relay, 51, 80)
                await relay.drained(deferred=True)
                await relay.renewed()
            relay.conn.close()
            server.stop()
            shutil.rmtree(server.data_dir)
            shutil.copytree(folder / "backup", server.data_dir)
            server.start()
            relay.conn = psycopg.connect(relay.url, autocommit=True)
            relay.sql("UPDATE item SET name = 'after the restore' WHERE id = 8")
            async with relay.worker():
                await until(lambda: "Restored" in relay.notices())
                await settled(relay)
                assert relay.document(8)["name"] == "after the restore"
                assert relay.document(9)["name"] == "x", "deleted before the restore, and back"
                assert relay.document(60) is None
                relay.sql("UPDATE item SET qty = 5")
                await relay.equal()


async def test_a_target_of_another_source_is_refused(memory: Relay, postgres) -> None:
    async with memory.worker():
        fill(memory, 1, 10)
        await memory.drained()
        await memory.renewed()
    with engines.fresh_database(postgres.url) as other:
        async with relayed(other) as stranger:
            stranger.target.target = memory.target.target
            fill(stranger, 100, 110)
            with pytest.raises(ForeignTargetError) as caught:
                async with stranger.worker():
                    pass
            assert "adopt" in str(caught.value)
            assert stranger.counts()["outbox"] == 11
            assert {document["_id"] for document in stranger.raw()} == set(range(1, 11))
            await stranger.adopt()
            async with stranger.worker():
                await settled(stranger)
                assert {document["_id"] for document in stranger.raw(ITEM)} == set(range(100, 111))


async def test_nothing_is_said_when_nothing_was_restored(memory: Relay) -> None:
    """Workers come and go, the target is away for a while: no false alarm."""
    async with memory.worker():
        for _ in range(3):
            async with memory.worker():
                await asyncio.sleep(0.4)
            memory.target.unavailable = True
            await asyncio.sleep(0.4)
            memory.target.unavailable = False
            fill(memory, 0, 0)
            await memory.drained()
            memory.sql("DELETE FROM item")
    async with memory.worker():
        await asyncio.sleep(0.5)
    assert memory.notices() == []
    assert memory.counts()["task"] == 0


def _client(url: str):
    import contextlib

    @contextlib.asynccontextmanager
    async def opened():
        with MongoClient(url) as client:
            yield client

    return opened()
