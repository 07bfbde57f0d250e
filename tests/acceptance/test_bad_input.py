"""Records and columns that cannot be synced: said by name, and in nobody else's way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.acceptance.running import Syncline

ENTITIES = "[entities.thing]\n[entities.other]\n"
TABLES = """
CREATE TABLE thing (id bigint PRIMARY KEY, body text, amount numeric, data json);
CREATE TABLE other (id bigint PRIMARY KEY);
"""


@pytest.fixture
def connection(database):
    with psycopg.connect(database, autocommit=True) as found:
        found.execute(TABLES)
        yield found


@pytest.fixture
def syncline(database, mongo_url, mongo_db, tmp_path, connection) -> Syncline:
    made = Syncline(tmp_path, source=database, target=mongo_url, database=mongo_db, entities=ENTITIES)
    made.call("install", "--yes")
    return made


def eventually(true: Callable[[], Any], *, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, true()
        time.sleep(0.1)


def parked(connection) -> dict[str, tuple[str, str]]:
    rows = connection.execute("SELECT key, code, error FROM syncline.parked").fetchall()
    return {key: (code, error) for key, code, error in rows}


def test_what_the_target_can_never_hold_is_parked_by_name_and_cleared_when_it_is_mended(syncline, connection):
    with syncline.worker():
        connection.execute("INSERT INTO thing (id) SELECT generate_series(1, 100)")
        syncline.drained()
        with connection.transaction():
            connection.execute("UPDATE thing SET body = 'fine'")
            connection.execute("UPDATE thing SET body = repeat('x', 17000000) WHERE id = 7")
            connection.execute("UPDATE thing SET amount = 12345678901234567890123456789012345.5 WHERE id = 8")
            connection.execute("""UPDATE thing SET data = '{"a\\u0000b": 1}' WHERE id = 9""")
        eventually(lambda: len(parked(connection)) == 3)
        syncline.drained(parked=3)
        found = parked(connection)
        assert found["7"][0] == "too_large"
        assert "16,777,216" in found["7"][1]
        assert found["8"][0] == "mapping"
        assert "amount" in found["8"][1]
        assert "34 digits" in found["8"][1]
        assert "data" in found["9"][1]
        documents = syncline.documents("thing")
        assert len(documents) == 100
        assert [key for key, document in documents.items() if document["body"] != "fine"] == ["7", "8", "9"]
        listed = syncline.call("parked", "list")
        assert "thing" in listed
        assert "34 digits" in listed

        connection.execute("UPDATE thing SET body = NULL, amount = 1, data = NULL WHERE id IN (7, 8)")
        connection.execute("DELETE FROM thing WHERE id = 9")
        eventually(lambda: not parked(connection))
        syncline.drained()
        assert syncline.verify()["verdict"] == "equal"


def test_a_text_with_nul_cannot_come_into_being(connection):
    for value, type_ in (("a\0b", "text"), ('"\\u0000"', "jsonb")):
        with pytest.raises(psycopg.DataError):
            connection.execute(f"SELECT %s::{type_}", (value,))


def test_nul_inside_of_json_text_is_kept(syncline, connection):
    with syncline.worker():
        connection.execute("""INSERT INTO thing (id, data) VALUES (1, '"a\\u0000b"')""")
        syncline.drained()
        assert syncline.documents("thing")["1"]["data"] == "a\0b"


def test_a_column_of_unknown_type_is_refused_at_install_with_the_line_that_mends_it(syncline, connection):
    connection.execute("CREATE TYPE pair AS (a integer, b text); CREATE TABLE odd (id bigint PRIMARY KEY, twin pair)")
    syncline.write(ENTITIES + "[entities.odd]\n")
    said = syncline.call("install", "--yes", status=3)
    assert "odd.twin" in said
    assert 'types = { twin = "text" }' in said
    syncline.write(ENTITIES + '[entities.odd]\ntypes = { twin = "json" }\n')
    syncline.call("install", "--yes")
    with syncline.worker():
        connection.execute("INSERT INTO odd VALUES (1, (1, 'x'))")
        syncline.drained()
        assert syncline.documents("odd")["1"]["twin"] == {"a": 1, "b": "x"}


def test_a_column_of_unknown_type_that_comes_later_stops_its_entity_loudly_and_no_other(syncline, connection):
    with syncline.worker():
        connection.execute("INSERT INTO thing (id) VALUES (1)")
        syncline.drained()
        connection.execute("CREATE TYPE pair AS (a integer, b text); ALTER TABLE thing ADD COLUMN twin pair")
        eventually(lambda: connection.execute("SELECT FROM syncline.notice WHERE severity = 'critical'").rowcount)
        connection.execute("INSERT INTO thing (id, twin) VALUES (2, (1, 'x')); INSERT INTO other VALUES (1)")
        eventually(lambda: "1" in syncline.documents("other"))
        (message,) = connection.execute("SELECT message FROM syncline.notice WHERE severity = 'critical'").fetchone()
        assert "thing" in message
        assert "twin" in message
        eventually(lambda: connection.execute("SELECT count(*) FROM syncline.waiting").fetchone() == (1,))
        connection.execute("ALTER TABLE thing DROP COLUMN twin")
        syncline.drained()
        assert syncline.documents("thing").keys() == {"1", "2"}
