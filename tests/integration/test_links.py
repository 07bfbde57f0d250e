"""Links with names: each has a schema, triggers, locks and records of its own, and meets nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.request import urlopen

import psycopg
import pytest
from pymongo import MongoClient
from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker
from typer.testing import CliRunner

from syncline.capture.events import record
from syncline.capture.sqlalchemy.commits import attach_tokens
from syncline.cli.main import app
from syncline.config import load
from syncline.insight import reach
from syncline.tokens.freshness import Freshness
from syncline.tokens.token import INFO
from syncline.web.page.recent import read_recent

TABLES = """
CREATE TABLE todo (id bigint PRIMARY KEY, title text, qty int NOT NULL DEFAULT 0);
CREATE TABLE person (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text);
INSERT INTO todo (id, title) SELECT n, 'todo ' || n FROM generate_series(1, 20) AS n;
"""
WORKER = "[worker]\nlease_seconds = 2\nrenew_seconds = 0.25\ngrace_seconds = 5\nmax_batch_age_seconds = 2\npoll_seconds = 600\n"
LINK = """
[links.{link}.target]
url = "{mongo}"
database = "{name}"
timeout_seconds = 2
[links.{link}.entities.todo]
table = "todo"
collection = "{collection}"
"""


class Place:
    """A folder with a configuration, a source and a target."""

    def __init__(self, database: str, client: Any, mongo: str, name: str, folder: Any, links: dict[str, str]) -> None:
        self.source, self.mongo, self.name = database, client[name], name
        self.config, self.log = folder / "syncline.toml", folder / "worker.log"
        self.mongo_url = mongo
        texts = [LINK.format(link=link, mongo=mongo, name=name, collection=c) for link, c in links.items()]
        self.config.write_text(f'[source]\nurl = "{database}"\n{WORKER}' + "".join(texts), "utf-8")
        self.sql(TABLES)

    def sql(self, statement: Any, values: Any = None) -> list[Any]:
        with psycopg.connect(self.source, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def run(self, *arguments: Any, ok: int = 0) -> str:
        result = CliRunner().invoke(app, [*map(str, arguments), "-c", str(self.config)])
        assert result.exit_code == ok, result.output + repr(result.exception)
        return result.output

    @contextlib.contextmanager
    def worker(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "syncline.cli.main", "worker", "-c", str(self.config), *arguments]
        with self.log.open("w") as log, subprocess.Popen(command, stderr=log) as process:
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)

    def rows(self) -> dict[int, str]:
        return dict(self.sql("SELECT id, title FROM todo"))

    def documents(self, collection: str) -> dict[int, str]:
        return {one["_id"]: one["title"] for one in self.mongo[collection].find()}

    def arrives(self, *collections: str) -> None:
        wait(lambda: all(self.documents(one) == self.rows() for one in collections))

    def schemas(self) -> set[str]:
        return {row[0] for row in self.sql("SELECT nspname FROM pg_namespace WHERE nspname ~ '^syncline'")}


def wait(condition: Callable[[], bool]) -> None:
    """Wait for as long as a busy machine may take."""
    end = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)


def committed(place: Place, link: str) -> str:
    """Write in a session that names the link in its tokens, an event included."""
    engine = create_engine(place.source.replace("postgresql:", "postgresql+psycopg:"))
    sessions = sessionmaker(engine)
    attach_tokens(sessions, links=[link])
    with sessions() as session:
        session.execute(text("INSERT INTO todo (id, title) VALUES (500, 'token')"))
        record(session, "todo.written", 500, link=link)
        session.commit()
        token: str = session.info[INFO]
    engine.dispose()
    return token


async def synced(place: Place, token: str, link: str, seconds: float) -> bool:
    freshness = Freshness(place.source, link=link)
    try:
        return await freshness.synced(token, timeout=seconds)
    finally:
        await freshness.close()


async def recent(place: Place) -> list[Any]:
    """Give the applied changes that the operations page shows."""
    async with reach.source(load(place.config).source, purpose="page") as source:
        events: list[Any] = (await read_recent(source))["recent"]["events"]
        return events


@pytest.fixture
def place(database, mongo_url, mongo_db, tmp_path):
    with MongoClient(mongo_url) as client:
        yield lambda **links: Place(database, client, mongo_url, mongo_db, tmp_path, links)


def test_every_command_works_in_the_schema_of_its_link_alone(place) -> None:
    """The schema ``syncline`` is not there: whatever forgot the link would not find its tables."""
    there = place(only="todos")
    there.run("config", "check")
    there.run("install", "--yes")
    assert there.schemas() == {"syncline_only"}
    assert "nothing to do" in there.run("install", "--yes")
    with there.worker():
        there.arrives("todos")
        there.sql("UPDATE todo SET title = upper(title) WHERE id < 5; DELETE FROM todo WHERE id = 7")
        there.sql("INSERT INTO todo (id, title) VALUES (100, 'new')")
        there.arrives("todos")
        status = json.loads(there.run("status", "--json"))
        assert status["status"] == "healthy"
        there.run("doctor")
        there.run("backfill")
        there.run("verify")
        there.mongo["todos"].update_one({"_id": 3}, {"$set": {"title": "foreign"}})
        there.run("verify", ok=1)
        there.run("repair")
        there.arrives("todos")
        explained = json.loads(there.run("explain", "todo", "3", "--json"))
        assert explained["equal"] is True
        there.run("parked", "list")
        there.run("notices", "list")
        there.run("resync", "--status")
        token = committed(there, "only")
        assert asyncio.run(synced(there, token, "only", 60))
        assert not asyncio.run(synced(there, token, "other", 0))
        there.run("tracing", "on")
        there.run("tracing", "off")
        assert [one["entity"] for one in asyncio.run(recent(there))] == ["todo"] * 10
    there.run("uninstall", "--yes")
    assert there.schemas() == set()
    assert there.sql("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal") == []


def test_two_links_of_one_database_have_one_worker_and_nothing_else_in_common(place, private_mongo) -> None:
    """Both keep a collection equal; the target of one is away, and the other goes on."""
    there = place(near="todos", far="copies")
    there.config.write_text(
        there.config.read_text("utf-8").replace(
            f'[links.far.target]\nurl = "{there.mongo_url}"', f'[links.far.target]\nurl = "{private_mongo.url}"'
        ),
        "utf-8",
    )
    installed = json.loads(there.run("install", "--yes", "--json"))
    assert [one["installed"] for one in installed["links"].values()] == [True, True]
    assert there.schemas() == {"syncline_near", "syncline_far"}
    names = {name for (name,) in there.sql("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")}
    assert len(names) == 8
    assert {name.rpartition("_1_")[0] for name in names} == {"syncline_near", "syncline_far"}
    assert {row[0] for row in there.sql("SELECT viewname FROM pg_views WHERE schemaname = 'public'")} == {
        "Outbox_near",
        "Outbox_far",
    }
    with MongoClient(private_mongo.url) as client, there.worker("--metrics-port", "0", "--log-format", "json"):
        far = client[there.name]["copies"]
        there.arrives("todos")
        wait(lambda: far.count_documents({}) == 20)
        private_mongo.kill()
        there.sql("INSERT INTO todo (id, title) SELECT n, 'new' FROM generate_series(100, 200) AS n")
        there.arrives("todos")
        status = json.loads(there.run("status", "--json", ok=1))["links"]
        assert (status["near"]["status"], status["far"]["status"]) == ("healthy", "degraded")
        port = next(json.loads(line)["port"] for line in there.log.read_text().splitlines() if '"metrics"' in line)
        with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
        assert 'syncline_queue_size{link="near"} 0.0' in text
        assert 'syncline_queue_size{link="far"} 101.0' in text
        assert text.count("# TYPE syncline_records_total ") == 1
        private_mongo.start()
        wait(lambda: far.count_documents({}) == 121)
    assert "--link" in there.run("backfill", ok=3)
    there.run("uninstall", "--yes", "--link", "far")
    assert there.schemas() == {"syncline_near"}
    assert there.run("install", "--check", "--link", "near")


def test_two_links_of_one_worker_role_revoke_its_rights_when_both_are_gone(place) -> None:
    there, role = place(near="todos", far="copies"), f"linked_{secrets.token_hex(4)}"
    there.sql(f"CREATE ROLE {role}")
    try:
        assert "--link" in there.run("install", "--sql", ok=3)
        there.run("install", "--yes", "--worker-role", role)
        may = "SELECT pg_catalog.has_table_privilege(%s, 'todo', 'SELECT')"
        there.run("uninstall", "--yes", "--link", "near")
        assert there.sql(may, [role]) == [(True,)], "the other link's worker reads it"
        there.run("uninstall", "--yes", "--link", "far")
        assert there.sql(may, [role]) == [(False,)]
    finally:
        there.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")
