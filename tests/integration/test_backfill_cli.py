"""``syncline backfill`` as a process: its options, its JSON, how it ends, and what it leaves when it is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from syncline.engines.memory.target import MemoryTarget
from tests.relay import ITEM, Relay, entity, until

DDL = """
CREATE TABLE item (id bigint PRIMARY KEY, name text, qty int NOT NULL DEFAULT 0);
INSERT INTO item SELECT n, 'n' || n FROM generate_series(1, 400) AS n;
CREATE TABLE other (id text PRIMARY KEY);
INSERT INTO other VALUES ('a');
"""


class Command:
    """The command beside a relay whose target is never written."""

    def __init__(self, relay: Relay, folder: Path) -> None:
        self.relay, self.folder = relay, folder
        toml = relay.toml().replace("grace_seconds = 1.0", "grace_seconds = 30")
        (folder / "syncline.toml").write_text(toml)
        self.environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "MONGODB_URL")}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("syncline")), "backfill", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, ok: int = 0, said: str | None = None) -> str:
        process = self.start(*arguments)
        out, err = process.communicate(said, timeout=120)
        assert process.returncode == ok, (process.returncode, out, err)
        assert "Traceback" not in err
        return out if ok == 0 else out + err

    def marked(self) -> list[str]:
        return [key for (key,) in self.relay.sql("SELECT key FROM syncline.waiting ORDER BY seq")]


@pytest.fixture
async def command(database, mongo_url, mongo_db, tmp_path):
    relay = Relay(database, [ITEM, entity("other")], MemoryTarget(), mongo=(mongo_url, mongo_db))
    try:
        relay.conn.execute(DDL)
        await relay.install()
        relay.sql("DELETE FROM syncline.task")
        yield Command(relay, tmp_path)
    finally:
        relay.conn.close()


def test_everything_is_marked_and_json_says_so(command: Command):
    found = json.loads(command.run("--json", "--no-sweep"))
    kinds = [(task["entity"], task["kind"], task["marked"], task["finished"]) for task in found["tasks"]]
    assert kinds == [("item", "backfill", 400, True), ("other", "backfill", 1, True)]
    assert (found["queue"], found["workers"]) == (401, 0)


def test_a_condition_and_a_list_of_keys(command: Command):
    assert "item: 40 records marked" in command.run("item", "--where", "id % 10 = 0", "--rate", "100000")
    (command.folder / "keys").write_text("5\n\n7\n")
    assert "item: 2 records marked" in command.run("item", "--keys", "keys")
    assert command.marked()[40:] == ["5", "7"]
    assert json.loads(command.run("other", "--keys", "-", "--json", said="a\nnone such\n"))["tasks"][0]["marked"] == 2
    assert command.marked()[42:] == ["a", "none such"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--where", "true"], "--where needs one entity"),
        (["item", "other", "--keys", "keys"], "--keys needs one entity"),
        (["item", "--keys", "keys", "--where", "true"], "do not go together"),
        (["item", "--where", "colour = 'red'"], 'column "colour" does not exist'),
        (["item", "--keys", "keys"], "keys: line 2: 'x' is not a key (id bigint)"),
        (["item", "--keys", "missing"], "missing cannot be read: No such file or directory"),
        (["nothing", "--where", "true"], "there is no entity 'nothing'"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_marked(command: Command, arguments, message):
    (command.folder / "keys").write_text("5\nx\n")
    assert message in command.run(*arguments, ok=3)
    assert command.marked() == []
    assert command.relay.counts()["task"] == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_interrupted_it_says_how_far_it_came_and_the_next_call_goes_on(command: Command, number, status):
    process = command.start("item", "--no-sweep", "--rate", "20", "--json")
    await until(lambda: len(command.marked()) >= 20, seconds=60)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, (out, err)
    said = json.loads(out)
    assert said["interrupted"] is True
    assert 10 <= said["tasks"][0]["marked"] <= len(command.marked()) < 400
    progress = [json.loads(line) for line in err.splitlines()]
    assert {"marked", "total", "perSecond", "secondsLeft", "waiting"} <= progress[0].keys()
    assert command.relay.sql("SELECT options ->> 'rate', claimed_by FROM syncline.task") == [("20", None)]
    assert "item: 400 records marked" in command.run("item", "--no-sweep", "--full-throttle")
    assert sorted(map(int, command.marked())) == list(range(1, 401))


async def test_killed_outright_it_goes_on_when_its_claim_has_run_out(command: Command):
    process = command.start("item", "--no-sweep", "--rate", "20")
    await until(lambda: len(command.marked()) >= 20, seconds=60)
    process.kill()
    process.communicate()
    command.relay.sql("UPDATE syncline.task SET claimed_until = clock_timestamp() - interval '1 s'")
    command.run("item", "--no-sweep", "--full-throttle")
    assert sorted(map(int, command.marked())) == list(range(1, 401))


def test_cancel_drops_what_is_left(command: Command):
    command.relay.sql("INSERT INTO syncline.task (kind, entity, reason) VALUES ('backfill', 1, 'command')")
    assert "1 unfinished tasks dropped" in command.run("--cancel")
