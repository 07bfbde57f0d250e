"""The questions that operators ask the view "Outbox", and our own reports, with many changes that wait and many that were applied."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb

from syncline.capture.postgres.install import install, plan
from syncline.insight import reach
from syncline.model.entity import Entity, TableName
from syncline.postgres.connection import connect
from syncline.postgres.sql import blocks
from tests import engines, programs

CHANGES = 1_000_000
"""So many wait, and so many were applied."""
FILL = f"""
DO $$ BEGIN
    FOR day IN 1..9 LOOP
        EXECUTE format('CREATE TABLE syncline.history_%s PARTITION OF syncline.history FOR VALUES FROM (%L) TO (%L)',
                       to_char(current_date - day, 'YYYYMMDD'), current_date - day, current_date - day + 1);
    END LOOP;
END $$;
INSERT INTO syncline.history (seq, created_at, processed_at, entity, hint, key)
SELECT n, at, at, 1, CASE n % 3 WHEN 0 THEN 'I' WHEN 1 THEN 'U' ELSE 'D' END::"char", (n % 50000)::text
FROM (SELECT n, current_date - interval '8 days' + n * interval '{600_000_000 // CHANGES} milliseconds' AS at
      FROM generate_series(1, {CHANGES}) AS n) AS g;
INSERT INTO syncline.outbox (entity, lane, hint, key)
SELECT 1, syncline.lane_of(1::smallint, n::text), CASE WHEN n > 20 THEN 'U' ELSE 'G' END::"char", n::text
FROM generate_series(1, {CHANGES}) AS n;
INSERT INTO syncline.parked (seq, entity, lane, hint, key, created_at, retry_count, code, error)
SELECT n, 1, 0, 'U', n::text, now(), n % 10, 'too_large', 'the document has 17 MiB' FROM generate_series(1, 500) AS n;
"""
KEYS = {"outbox": "PRIMARY KEY (seq)", "history": "PRIMARY KEY (seq, processed_at)"}
UNPROCESSED = 'SELECT count(*) FROM "Outbox" WHERE NOT processed'
NEXT = 'SELECT * FROM "Outbox" WHERE NOT processed ORDER BY id LIMIT 10'
QUESTIONS = {
    "how many are unprocessed": UNPROCESSED,
    "the next ones": NEXT,
    "which failed more than 5 times": 'SELECT * FROM "Outbox" WHERE retry_count > 5',
    "what failed": 'SELECT * FROM "Outbox" WHERE NOT processed AND last_error IS NOT NULL',
    "failures by event type": 'SELECT event_type, count(*), max(retry_count) FROM "Outbox" WHERE last_error IS NOT NULL'
    " GROUP BY event_type ORDER BY 3 DESC",
}
NEWEST = (
    """SELECT * FROM "Outbox" WHERE aggregate_type = 'user' AND aggregate_id = '42' ORDER BY created_at DESC LIMIT 1"""
)
EXPLAINED = """SELECT seq FROM syncline.waiting
WHERE entity = 1 AND lane = syncline.lane_of(1::smallint, '42') AND key = '42' ORDER BY seq LIMIT 100"""
LAST_WEEK = """SELECT count(*) FROM "Outbox" WHERE processed AND processed_at > now() - interval '7 days'"""


@pytest.fixture(scope="module")
def filled(postgres):
    async def prepare(url):
        connection = await connect(url)
        await install(connection, await plan(connection, [Entity("user", TableName("public", "users"), "users")]))
        await connection.close()

    with engines.fresh_database(postgres.url) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE users (id bigint PRIMARY KEY)")
        asyncio.run(prepare(url))
        with without_indexes(connection):
            connection.execute(FILL)
        for statement in (
            "VACUUM ANALYZE syncline.history",
            "VACUUM ANALYZE syncline.outbox",
            "ANALYZE syncline.parked",
        ):
            connection.execute(statement)
        yield connection, url


@contextlib.contextmanager
def without_indexes(connection):
    """Make the indexes after the rows, which takes a fraction of the time."""
    query = """SELECT indexrelid::regclass::text, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') FROM pg_index
               WHERE indrelid = 'syncline.history'::regclass AND NOT indisprimary"""
    indexes = dict(connection.execute(query).fetchall())
    connection.execute("SET synchronous_commit = off; SET maintenance_work_mem = '128MB'")
    connection.execute("; ".join(f"DROP INDEX {name}" for name in indexes))
    for table in KEYS:
        connection.execute(f"ALTER TABLE syncline.{table} DROP CONSTRAINT {table}_pkey")
    yield
    for table, key in KEYS.items():
        connection.execute(f"ALTER TABLE syncline.{table} ADD CONSTRAINT {table}_pkey {key}")
    connection.execute("; ".join(indexes.values()))


def executed(connection, question):
    """Run a question; return (node, relation, index) of each part that read any row."""
    (tree,) = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {question}").fetchone()[0]
    parts = []
    for node in walked(tree["Plan"]):
        rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        if node["Actual Loops"] * rows:
            index = node.get("Index Name", "")
            index = index or "".join(one.get("Index Name", "") for one in node.get("Plans", []))
            parts.append((node["Node Type"], node.get("Relation Name", ""), index))
    return parts, json.dumps(tree)


def walked(node):
    yield node
    for child in node.get("Plans", []):
        yield from walked(child)


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_concerns_open_changes_never_looks_at_the_history(filled, question):
    parts, tree = executed(filled[0], QUESTIONS[question])
    assert not [part for part in parts if part[1].startswith("history")], tree


@pytest.mark.parametrize("question", ["the next ones", "which failed more than 5 times", "failures by event type"])
def test_what_is_asked_in_a_hurry_reads_no_large_table_whole(filled, question):
    """What failed is few (more than 100 are a critical alert), so PostgreSQL may read that table whole."""
    parts, tree = executed(filled[0], QUESTIONS[question])
    whole = {relation for node, relation, _ in parts if node == "Seq Scan"}
    assert not {one for one in whole if one.startswith(("outbox", "history"))}, tree


def read(parts, table):
    return {(node, index) for node, relation, index in parts if relation.startswith(table)}


def test_what_is_next_comes_in_the_order_of_the_outbox_without_reading_all_of_it(filled):
    parts, tree = executed(filled[0], NEXT)
    assert read(parts, "outbox") == {("Index Scan", "outbox_pkey")}, tree
    assert json.loads(tree)["Plan"]["Actual Rows"] == 10
    (scan,) = [part for part in walked(json.loads(tree)["Plan"]) if part.get("Relation Name") == "outbox"]
    assert scan["Actual Rows"] + scan["Rows Removed by Filter"] < 100, "second deletes are passed over"
    found = [row[0] for row in filled[0].execute(NEXT).fetchall()]
    assert found == sorted(found)


def test_one_change_is_found_by_its_id_wherever_it_is(filled):
    (id_,) = filled[0].execute("SELECT seq FROM syncline.outbox ORDER BY seq OFFSET 76 LIMIT 1").fetchone()
    parts, tree = executed(filled[0], f'SELECT * FROM "Outbox" WHERE id = {id_}')
    assert read(parts, "outbox") == {("Index Scan", "outbox_pkey")}, tree
    assert [index.endswith("_pkey") for _, index in read(parts, "history_2")] == [True], tree


@pytest.mark.parametrize("question", ["which failed more than 5 times", "what failed", "failures by event type"])
def test_what_failed_never_looks_at_what_only_waits(filled, question):
    parts, tree = executed(filled[0], QUESTIONS[question])
    assert not read(parts, "outbox"), tree
    assert read(parts, "parked"), tree


def test_with_the_index_of_the_guide_the_newest_event_of_a_record_reads_no_table_whole(filled):
    guide = (Path(__file__).parents[2] / "docs/how-to/operate.md").read_text()
    make, drop = re.findall(r"^((?:CREATE|DROP) INDEX CONCURRENTLY [^;]*);", guide, re.MULTILINE)
    filled[0].execute(make)
    try:
        for question in (NEWEST, EXPLAINED):
            parts, tree = executed(filled[0], question)
            assert {index for _, index in read(parts, "outbox")} == {"outbox_key"}, tree
            assert not [part for part in read(parts, "history") if part[0] == "Seq Scan"], tree
    finally:
        filled[0].execute(drop)


def test_the_newest_event_of_one_aggregate_comes_from_an_index(filled):
    parts, tree = executed(filled[0], NEWEST)
    scans = [(node, index) for node, relation, index in parts if relation.startswith("history")]
    assert scans, tree
    assert all(node in {"Index Scan", "Bitmap Heap Scan"} for node, _ in scans), tree
    assert filled[0].execute(NEWEST).fetchone() is not None


def test_the_last_week_leaves_older_days_alone(filled):
    parts, tree = executed(filled[0], LAST_WEEK)
    days = {relation for _, relation, _ in parts if relation.startswith("history_2")}
    all_days = filled[0].execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'syncline.history'::regclass")
    assert 0 < len(days) <= 8 < all_days.fetchone()[0], tree


def test_by_event_type(filled):
    question = """SELECT count(*) FROM "Outbox" WHERE event_type = 'user.created'"""
    assert filled[0].execute(question).fetchone() == (CHANGES // 3,)


def rows_scanned(connection):
    connection.execute("SELECT pg_stat_force_next_flush()")
    query = "SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname LIKE 'history%'"
    return connection.execute(query).fetchone()[0]


@programs.FLUSHED
async def test_our_own_reports_do_not_scan_the_history(filled):
    before = rows_scanned(filled[0])
    connection = await connect(filled[1])
    values = {
        "name": "user",
        "entity": 1,
        "key": "42",
        "limit": 10,
        "after": 0,
        "tables": [],
        "table": 0,
        "columns": [],
        "wanted": Jsonb([]),
        "closed": True,
        "ids": [],
        "pglogical": False,
    }
    async with connection:
        for name in blocks("queries.sql", "syncline.insight"):
            if name not in {"retry_parked", "discard_parked", "parked", "parked_total"}:  # an entity's name, not its id
                await reach.rows(connection, name, **values)
        await connection.execute("SELECT pg_stat_force_next_flush()")
    assert rows_scanned(filled[0]) == before
