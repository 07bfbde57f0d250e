"""Each row is marked once whatever its key is, and wherever marking is interrupted; each chunk is a range of an index."""

from __future__ import annotations

import json

import psycopg
import pytest

from syncline.backfill.pace import Pace
from syncline.engines.postgres.key_sql import key_statements
from syncline.ports import TaskKind
from tests import programs
from tests.pairs import entity, paired

SMALL = Pace(chunk=50, max_queue=10**9, heeds_source=False)
ROWS = 330
TABLES = {
    "smallint": ("id smallint PRIMARY KEY", "n - 200"),
    "skewed": ("id bigint PRIMARY KEY", "CASE WHEN n % 50 = 0 THEN n * 1000000000000 ELSE n END"),
    "uuid": ("id uuid PRIMARY KEY", "md5(n::text)::uuid"),
    "unicode": (
        f"id text COLLATE {programs.collation()} PRIMARY KEY",
        "(ARRAY['ä', 'Z', 'a', '-', 'A', 'z '])[n % 6 + 1] || n",
    ),
    "bpchar": ("id char(8) PRIMARY KEY", "chr(97 + n % 26) || n"),
    "enums": ("id grade PRIMARY KEY", "('g' || n)::grade"),
    "inet": ("id inet PRIMARY KEY", "'10.0.0.0'::inet + n * 77"),
    "timestamps": ("id timestamp PRIMARY KEY", "'1901-01-01'::timestamp + n * interval '1 year 0.000003 s'"),
    "composite": ("a text, b int, PRIMARY KEY (a, b)", "repeat('k', n % 4), n"),
    "reversed": ("a int NOT NULL, b int NOT NULL, UNIQUE (b, a), c int PRIMARY KEY DEFERRABLE", "n, n % 7, -n"),
    "by_range": (
        "a int, b uuid, PRIMARY KEY (a, b)) PARTITION BY RANGE (a",
        "n % 90, md5(n::text)::uuid",
    ),
    "by_hash": ("id text PRIMARY KEY) PARTITION BY HASH (id", "'k' || n"),
}
PARTITIONS = """
CREATE TABLE by_range_low PARTITION OF by_range FOR VALUES FROM (MINVALUE) TO (30);
CREATE TABLE by_range_high PARTITION OF by_range FOR VALUES FROM (30) TO (MAXVALUE);
CREATE TABLE by_hash_0 PARTITION OF by_hash FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_hash_1 PARTITION OF by_hash FOR VALUES WITH (MODULUS 2, REMAINDER 1);
"""
LABELS = ", ".join(f"'g{n * 7919 % 1000}'" for n in range(1000))  # in another order than their text's


def ddl(rows: int, *names: str) -> str:
    lines = [f"CREATE TYPE grade AS ENUM ({LABELS});"]
    lines += [f"CREATE TABLE {name} ({TABLES[name][0]});" for name in names]
    lines += [line for line in PARTITIONS.splitlines() if any(f"OF {name} " in line for name in names)]
    lines += [f"INSERT INTO {name} SELECT {TABLES[name][1]} FROM generate_series(1, {rows}) AS n;" for name in names]
    return "".join(lines)


def one(name: str):
    return entity(name, key=("a", "b")) if name == "reversed" else entity(name)


class Killed(BaseException):
    """As good as ``kill -9`` for what runs in this process."""


async def test_killed_after_every_chunk_each_row_of_each_kind_of_key_is_marked_once(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, ddl(ROWS, *TABLES), [one(name) for name in TABLES]) as pair:
        for name in TABLES:
            plan = pair.plan(name)
            columns = ", ".join(column.name for column in plan.projection.key)
            id_ = await pair.runner().tasks.request(TaskKind.BACKFILL, plan.id, "test")
            kills = 0
            while pair.sql("SELECT count(*) FROM syncline.task") != [(0,)]:

                def die(step) -> None:
                    raise Killed

                try:
                    assert (await pair.runner(pace=SMALL, on_progress=die).run(id_)) is None
                except Killed:
                    kills += 1
            assert kills >= ROWS // SMALL.chunk, name
            expected = sorted(pair.sql(f"SELECT syncline.key_{plan.id}({columns}) FROM {name}"))
            marks = sorted(pair.sql(f"SELECT key FROM syncline.waiting WHERE entity = {plan.id}"))
            assert len(expected) == ROWS
            assert marks == expected, name


# -- plans

LARGE = 200_000
CHUNK = 4000
LARGE_TABLES = ("unicode", "reversed", "by_hash")


def nodes(plan: dict) -> list[dict]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in nodes(child))]


async def explained(pair, statement, values) -> list[dict]:
    text = psycopg.sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + statement
    row = await (await pair.pages.execute(text, values)).fetchone()
    found = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return nodes(found[0]["Plan"])


@pytest.mark.parametrize("name", LARGE_TABLES)
async def test_a_chunk_in_the_middle_of_a_large_table_is_a_range_of_its_index(database, mongo_url, mongo_db, name):
    async with paired(database, mongo_url, mongo_db, ddl(LARGE, name), [one(name)]) as pair:
        pair.sql("DELETE FROM syncline.outbox; DELETE FROM syncline.block", f"ANALYZE {name}")
        plan, codec = pair.plan(name), pair.plan(name).projection.codec
        statements = key_statements(plan, where="true")
        (last,) = await (await pair.pages.execute(statements.last)).fetchone()
        end = statements.bounds(codec.parse(last))
        (middle,) = await (await pair.pages.execute(statements.boundary, (*end, LARGE // 2))).fetchone()
        start = statements.bounds(codec.parse(middle))
        (until,) = await (await pair.pages.execute(statements.boundary_after, (*start, *end, CHUNK - 1))).fetchone()
        bounds = statements.bounds(codec.parse(until))
        for statement, values in (
            (statements.last, ()),
            (statements.boundary, (*end, CHUNK - 1)),
            (statements.boundary_after, (*start, *end, CHUNK - 1)),
            (statements.mark_after, ("B", *start, *bounds)),
        ):
            for node in await explained(pair, statement, values):
                assert node["Node Type"] not in ("Sort", "Incremental Sort", "Seq Scan"), node
                assert node.get("Actual Rows", 0) <= CHUNK + 2, node
                if node["Node Type"].startswith(("Index", "Bitmap Index")) and statement is not statements.last:
                    assert "Index Cond" in node, node
                    assert node.get("Rows Removed by Filter", 0) == 0, node
        assert pair.sql("SELECT count(*) FROM syncline.waiting") == [(CHUNK,)]
