"""JSON has one spelling of names, camelCase, whoever prints or serves it; what is the user's keeps its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import orjson
import psycopg
import pytest
from click.testing import CliRunner

from syncline.cli.main import command
from syncline.config import load
from syncline.config.settings import Settings
from syncline.model.json_names import Named, Verbatim, camel, camelled
from syncline.web.auth import AdminCredential
from syncline.web.page import OperationsPage
from tests.relay import Relay, entity

TABLES = """
CREATE TABLE user_notes (id bigint PRIMARY KEY, first_name text, more jsonb);
INSERT INTO user_notes VALUES (1, 'Ada', '{"inner_name": {"deep_name": 1}}'), (2, 'Bob', NULL);
"""
EVENT = "INSERT INTO syncline.outbox (entity, lane, hint, key) SELECT 1, syncline.lane_of(1::smallint, '2'), 'U', '2'"
PARKED = """
INSERT INTO syncline.parked (seq, entity, lane, hint, key, created_at, code, error)
SELECT 1, 1, syncline.lane_of(1::smallint, '1'), 'U', '1', now(), 'too_large', 'the document has 17 MiB'
"""
NOTICE = "INSERT INTO syncline.notice (name, severity, message) VALUES ('Restored', 'critical', 'x')"
WORKER = """
INSERT INTO syncline.worker (id, name, version, expires_at, report)
VALUES (gen_random_uuid(), 'app-1:7', '1', now() + interval '1 h', '{"rate": 1.5, "target_error": "no answer"}')
"""
CALLS: dict[str, list[str]] = {
    "init": ["init", "--stdout", "--url", "URL"],
    "config show": ["config", "show"],
    "config check": ["config", "check"],
    "install": ["install", "--dry-run"],
    "status": ["status"],
    "doctor": ["doctor"],
    "db doctor": ["db", "doctor"],
    "explain": ["explain", "user_notes", "1"],
    "verify": ["verify", "--patience", "0"],
    "verify --sync": ["verify", "--sync", "--patience", "0"],
    "repair": ["repair", "--dry-run", "--from", "REPORT"],
    "parked list": ["parked", "list"],
    "parked retry": ["parked", "retry", "user_notes", "1"],
    "notices list": ["notices", "list"],
    "notices resolve": ["notices", "resolve", "--all"],
    "backfill": ["backfill", "--no-sweep", "--full-throttle"],
    "backfill --status": ["backfill", "--status"],
    "resync": ["resync", "--no-wait"],
    "tracing on": ["tracing", "on"],
    "tracing off": ["tracing", "off"],
    "load": ["load", "--clean"],
    "adopt": ["adopt", "--yes"],
    "parked discard": ["parked", "discard", "user_notes", "1", "--yes"],
    "uninstall": ["uninstall", "--dry-run"],
}
"""How each command that prints JSON is called, in this order."""
DATA = {"row", "document", "source", "target"}
"""Where keys are the user's (``source`` and ``target`` of a difference)."""
AS_IN_THE_FILE = {"config show"}
OF_SEVERAL_DATABASES = ("db ", "split ", "backup ", "copy", "schema ", "phase ")
"""They need an application of their own, or a PostgreSQL or documents on another side: here only what does with these two databases."""
CAMEL = re.compile(r"[a-z]+[a-zA-Z0-9]*|\$[a-zA-Z]+")


def printing_json(group: Any, *path: str) -> Iterator[str]:
    for name in group.list_commands(click.Context(group)):
        one = group.get_command(click.Context(group), name)
        if hasattr(one, "list_commands"):
            yield from printing_json(one, *path, name)
        elif any(option.name == "as_json" for option in one.params):
            yield " ".join([*path, name])


def names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from names(item) if name not in DATA else ()
    elif isinstance(value, list):
        for item in value:
            yield from names(item)


@pytest.fixture
async def relay(database, mongo_url, mongo_db, tmp_path, monkeypatch):
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES)
    one = Relay(database, [entity("user_notes")], None, mongo=(mongo_url, mongo_db), grace=timedelta(seconds=25))  # type: ignore[arg-type]
    await one.install()
    (tmp_path / "syncline.toml").write_text(one.toml())
    for statement in (EVENT, PARKED, NOTICE, WORKER):
        one.sql(statement)
    yield one
    one.conn.close()


def test_every_command_that_prints_json_is_among_the_calls():
    found = {name for name in printing_json(command()) if not name.startswith(OF_SEVERAL_DATABASES)}
    assert len(found) >= 20
    called = {name.removesuffix(" on").removesuffix(" off").partition(" --")[0] for name in CALLS}
    assert found == {name for name in called if not name.startswith(OF_SEVERAL_DATABASES)}


def test_every_command_spells_its_names_alike(relay, tmp_path):
    seen, report = {}, tmp_path / "report.jsonl"
    report.write_text('{"report": {}}\n')
    for called, words in CALLS.items():
        given = [{"URL": relay.url, "REPORT": str(report)}.get(word, word) for word in words]
        where = [] if called == "init" else ["--config", str(tmp_path / "syncline.toml")]
        env = {"DATABASE_URL": relay.url} if words[0] == "db" else None
        done = CliRunner().invoke(command(), [*given, "--json", *where], env=env)
        assert done.stdout, (called, done.output, done.exception)
        seen[called] = json.loads(done.stdout)
        progress = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
        odd = [name for name in names([seen[called], progress]) if not CAMEL.fullmatch(name)]
        assert odd == [] or called in AS_IN_THE_FILE, called
    explained = seen["explain"]
    assert explained["row"] == {"id": 1, "first_name": "Ada", "more": {"inner_name": {"deep_name": 1}}}
    assert explained["parked"]["retryCount"] == 1
    assert "target_error" not in seen["status"]["workers"][0]["report"]
    assert seen["status"]["workers"][0]["report"]["targetError"] == "no answer"
    assert "lease_seconds" in seen["config show"]["worker"], "as in the file"


def test_what_is_found_keeps_the_names_of_fields_in_values(relay, tmp_path):
    relay.sql(
        "DELETE FROM syncline.outbox; DELETE FROM syncline.block; DELETE FROM syncline.parked; DELETE FROM syncline.task"
    )
    report = tmp_path / "report.jsonl"
    where = ["--config", str(tmp_path / "syncline.toml")]
    words = ["verify", "--json", "--report", str(report), *where]
    done = CliRunner().invoke(command(), words)
    assert done.exit_code == 1, done.output
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    for name in names([json.loads(done.stdout), lines]):
        assert CAMEL.fullmatch(name), name
    assert lines[-1]["report"]["exitStatus"] == 1
    done = CliRunner().invoke(command(), ["repair", "--from", str(report), "--json", *where])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["repair"]["marked"] == 2, "the file is read back"


async def test_the_page_serves_the_same_spelling(relay, tmp_path):
    settings: Settings = load(tmp_path / "syncline.toml")
    page = OperationsPage(settings, AdminCredential("correct-horse-battery"), pause=60)
    async with page.running():
        state = orjson.loads(await page.watch.current())
        explained = camelled(await page._records.explain("user_notes", "1"))
        parked = camelled(await page._records.page(0))
    for shown in (state, explained, parked):
        assert [name for name in names(shown) if not CAMEL.fullmatch(name)] == []
    assert state["parked"]["rows"][0]["retryCount"] == 1
    assert explained["row"]["more"] == {"inner_name": {"deep_name": 1}}


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("lag_seconds", "lagSeconds"),
        ("p50", "p50"),
        ("queueSize", "queueSize"),
        ("$missing", "$missing"),
        ("_id", "_id"),
        ("", ""),
        ("First_Name", "First_Name"),
        ("as_of_utc_2", "asOfUtc2"),
    ],
)
def test_a_name_of_ours_is_spelt(name, spelt):
    assert camel(name) == spelt


def test_data_and_names_of_things_stay():
    found = camelled({"a_b": Verbatim(c_d={"e_f": 1}), "g_h": Named(my_database={"i_j": [{"k_l": 2}]})})
    assert found == {"aB": {"c_d": {"e_f": 1}}, "gH": {"my_database": {"iJ": [{"kL": 2}]}}}


def test_only_the_shared_functions_write_json_in_the_commands():
    """A command that called json.dumps itself would spell as it likes."""
    root = Path(__file__).parents[2] / "src/syncline/cli"
    found = {
        (path.name, line.strip())
        for path in root.glob("*.py")
        for line in path.read_text().splitlines()
        if "json.dumps(" in line and "camelled(" not in line
    }
    assert {name for name, _ in found} == {"boundary.py", "config.py"}, "errors, and TOML's strings"
