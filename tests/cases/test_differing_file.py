"""A file that says other than what is installed: `install --check` fails, a worker that starts warns and works.

What `install` refuses `config check` refuses, in the same words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from pymongo import MongoClient
from typer.testing import CliRunner

from syncline.cli.main import app

FILE = """
[source]
url = "{database}"
{source}
[target]
url = "{mongo}"
database = "{name}"
[entities.item]
table = "item"
{item}
"""


@pytest.fixture
def place(
    database: str, mongo_url: str, mongo_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def write(source: str = "", item: str = "") -> None:
        text = FILE.format(database=database, mongo=mongo_url, name=mongo_db, source=source, item=item)
        Path("syncline.toml").write_text(text)

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(arguments))
        return result.exit_code, result.output

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE item (id bigint PRIMARY KEY, name text)")
        write()
        yield SimpleNamespace(write=write, run=run, sql=connection.execute)


DIFFERENCES = {
    "an entity's field": {"item": 'exclude = ["name"]'},
    "an entity's collection": {"item": 'collection = "things"'},
    "the view's name": {"source": 'view_name = "changes"'},
    "how changes are captured": {"source": 'capture = "session"'},
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_a_differing_file_is_an_error_of_install_check_until_it_is_installed(place: Any, what: str) -> None:
    assert place.run("install", "--yes")[0] == 0
    status, said = place.run("install", "--check")
    assert (status, "what is installed is what is configured" in said) == (0, True), said

    place.write(**DIFFERENCES[what])
    status, said = place.run("install", "--check", "--json")
    assert (status, json.loads(said)["installed"], bool(json.loads(said)["changes"])) == (1, False, True), said
    assert place.run("install", "--check")[0] == 1, "nothing was changed"

    assert place.run("install", "--yes")[0] == 0
    assert place.run("install", "--check")[0] == 0


def test_what_is_not_installed_at_all_is_an_error_of_install_check(place: Any) -> None:
    assert place.run("install", "--check")[0] == 1
    assert place.sql("SELECT to_regnamespace('syncline')").fetchall() == [(None,)]


def test_a_trigger_that_was_dropped_is_an_error_of_install_check(place: Any) -> None:
    place.run("install", "--yes")
    place.sql("DROP TRIGGER syncline_1_update ON item")

    assert place.run("install", "--check")[0] == 1


REFUSED = {
    "a table that is not there": ('[entities.gone]\ntable = "gone"', "gone"),
    "a computed field that always fails": ('computed.x = "1 / 0"', "division by zero"),
    "a condition that reads other rows": ('where = "id > (SELECT min(id) FROM item)"', "its own rows"),
    "a view as the collection": ('collection = "seen"', "is a view"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_install_refuses_config_check_refuses_in_the_same_words(
    place: Any, what: str, mongo_url: str, mongo_db: str
) -> None:
    item, says = REFUSED[what]
    with MongoClient[dict[str, Any]](mongo_url) as client:
        client[mongo_db].create_collection("seen", viewOn="item", pipeline=[])
    place.write(item=item)
    checked, installed = place.run("config", "check"), place.run("install", "--yes")
    assert checked == installed
    assert checked[0] == 3
    assert says in checked[1]
    assert place.sql("SELECT to_regnamespace('syncline')").fetchall() == [(None,)]
