"""``syncline resync`` and ``syncline backfill --status`` as processes beside a real worker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.relay import ITEM, Relay, entity

DDL = """
CREATE TABLE item (id bigint PRIMARY KEY, name text, qty int NOT NULL DEFAULT 0);
INSERT INTO item SELECT n, 'n' || n FROM generate_series(1, 200) AS n;
CREATE TABLE other (id text PRIMARY KEY);
INSERT INTO other VALUES ('a');
"""


class Commands:
    def __init__(self, relay: Relay, folder: Path) -> None:
        self.relay, self.folder = relay, folder
        (folder / "syncline.toml").write_text(relay.toml().replace("grace_seconds = 1.0", "grace_seconds = 30"))
        self.environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "MONGODB_URL")}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("syncline")), *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def run(self, *arguments: str, ok: int = 0) -> str:
        process = self.start(*arguments)
        out, err = await asyncio.to_thread(process.communicate, timeout=60)
        assert process.returncode == ok, (process.returncode, out, err)
        assert "Traceback" not in err
        return out if ok == 0 else out + err


@pytest.fixture
async def commands(database, mongo_url, mongo_db, tmp_path):
    from syncline.engines.mongo.target import MongoTarget

    target = MongoTarget(mongo_url, mongo_db)
    relay = Relay(database, [ITEM, entity("other")], target, mongo=(mongo_url, mongo_db))
    try:
        relay.conn.execute(DDL)
        await relay.install()
        relay.sql("DELETE FROM syncline.task")
        yield Commands(relay, tmp_path)
    finally:
        relay.conn.close()
        await target.close()


async def test_a_resync_is_followed_until_both_sides_are_equal(commands: Commands):
    async with commands.relay.worker():
        await commands.relay.target._database["item"].insert_one({"_id": 999, "_originalId": "999", "_v": 1})  # type: ignore[attr-defined]
        found = json.loads(await commands.run("resync", "--json"))
        assert (found["state"], found["progress"], found["left"]) == ("finished", 1.0, [])
        commands.relay.assert_equal()


async def test_only_the_named_entities_are_marked(commands: Commands):
    found = json.loads(await commands.run("resync", "other", "--no-wait", "--json"))
    assert (found["state"], {part["entity"] for part in found["left"]}) == ("running", {"other"})
    assert "not installed: nobody" in await commands.run("resync", "--cancel") + await commands.run(
        "resync", "nobody", ok=3
    )


async def test_without_a_worker_it_says_so_and_an_interruption_says_how_to_go_on(commands: Commands):
    process = commands.start("resync")
    while not commands.relay.sql("SELECT 1 FROM syncline.task"):
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 130
    assert err.startswith("interrupted; workers go on with it; `syncline resync --status`")
    shown = await commands.run("resync", "--status")
    assert "full resync of item, other: running, 0% marked" in shown
    assert "no worker is running" in shown
    assert "cancelled" in await commands.run("resync", "--cancel")
    assert await commands.run("resync", "--status") == "no resync is under way\n"


async def test_a_backfill_can_be_looked_at_without_marking_anything(commands: Commands):
    assert await commands.run("backfill", "--status") == "nothing is left to be marked\n"
    await commands.run("resync", "item", "--no-wait")
    shown = json.loads(await commands.run("backfill", "--status", "--json"))["tasks"]
    assert [(task["entity"], task["kind"], task["running"]) for task in shown] == [
        ("item", "backfill", False),
        ("item", "sweep", False),
    ]
    assert "not begun" in await commands.run("backfill", "--status")
    assert commands.relay.sql("SELECT 1 FROM syncline.waiting") == []
