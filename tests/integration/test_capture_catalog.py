"""What the catalog says about tables: types resolved, keys that are keys, families, and when it changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from syncline.embedded.postgres import PrivatePostgres
from syncline.errors import MappingError
from syncline.model.entity import Shape, TableName
from syncline.postgres.catalog import fingerprint, read_shape, read_shapes
from tests import engines

TABLES = """
CREATE TYPE mood AS ENUM ('a', 'b');
CREATE TYPE pair AS (x int, y int);
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN small_positive AS positive;
CREATE DOMAIN price AS numeric(10,2);
CREATE DOMAIN many AS positive[];
CREATE SCHEMA other;
CREATE TYPE other."Weird (x)" AS ENUM ('a');
CREATE TABLE "Types" (
    id small_positive PRIMARY KEY, mood mood NOT NULL, moods mood[], pair pair, span int4range, spans int4multirange, price price,
    prices price[], many many, free numeric, exact numeric(12,3), code char(3), codes varchar(10)[],
    at timestamptz(3), grid int[][], weird other."Weird (x)", weirds other."Weird (x)"[], name name, doc jsonb);
CREATE TABLE keys (
    id int PRIMARY KEY, code text NOT NULL UNIQUE, a int NOT NULL, b int NOT NULL, maybe int UNIQUE, part int NOT NULL, expr text NOT NULL,
    late int NOT NULL UNIQUE DEFERRABLE, span int4range NOT NULL, EXCLUDE USING gist (span WITH &&), UNIQUE (b, a), UNIQUE (code) INCLUDE (b));
CREATE UNIQUE INDEX ON keys (part) WHERE part > 0;
CREATE UNIQUE INDEX ON keys (lower(expr));
CREATE TABLE parted (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE base (id int PRIMARY KEY);
CREATE TABLE derived (PRIMARY KEY (id)) INHERITS (base);
ALTER TABLE derived ENABLE ROW LEVEL SECURITY;
CREATE VIEW looking AS SELECT 1 AS x;
CREATE TABLE nothing ();
CREATE TABLE counted (id int PRIMARY KEY);
INSERT INTO counted SELECT generate_series(1, 500);
INSERT INTO parted SELECT g, '2020-01-01' FROM generate_series(1, 300) AS g;
ANALYZE counted, parted;
"""


@pytest.fixture(scope="module")
def shapes(postgres: PrivatePostgres) -> Iterator[dict[str, Shape]]:
    with engines.fresh_database(postgres.url) as url:
        with psycopg.connect(url) as conn:
            conn.execute(TABLES)
            if conn.info.server_version >= 150000:
                conn.execute('ALTER TABLE "Types" ADD tens numeric(5,-2)')
        yield {shape.table.name: shape for shape in _with(url, read_shapes)}


def _with(url: str, act: Any, *arguments: Any) -> Any:
    async def run() -> Any:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
            return await act(conn, *arguments)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "type_", "base", "array", "scale"),
    [
        ("id", "public.small_positive", "int4", False, None),
        ("mood", "public.mood", "enum", False, None),
        ("moods", "public.mood[]", "enum", True, None),
        ("pair", "public.pair", "composite", False, None),
        ("span", "int4range", "range", False, None),
        ("spans", "int4multirange", "multirange", False, None),
        ("price", "public.price", "numeric", False, 2),
        ("prices", "public.price[]", "numeric", True, 2),
        ("many", "public.many", "int4", True, None),
        ("free", "numeric", "numeric", False, None),
        ("exact", "numeric(12,3)", "numeric", False, 3),
        pytest.param(
            *("tens", "numeric(5,-2)", "numeric", False, -2), marks=pytest.mark.postgres(15, "scales below zero")
        ),
        ("code", "character(3)", "bpchar", False, None),
        ("codes", "character varying(10)[]", "varchar", True, None),
        ("at", "timestamp(3) with time zone", "timestamptz", False, None),
        ("grid", "integer[]", "int4", True, None),
        ("weird", 'other."Weird (x)"', "enum", False, None),
        ("weirds", 'other."Weird (x)"[]', "enum", True, None),
        ("name", "name", "name", False, None),
        ("doc", "jsonb", "jsonb", False, None),
    ],
)
def test_types_are_resolved(
    shapes: dict[str, Shape], name: str, type_: str, base: str, array: bool, scale: int | None
) -> None:
    column = shapes["Types"].column(name)

    assert column is not None
    assert (column.type, column.base, column.array, column.scale) == (type_, base, array, scale)


def test_only_complete_keys_over_not_null_columns_count(shapes: dict[str, Shape]) -> None:
    keys = shapes["keys"]

    assert keys.primary_key == ("id",)
    assert sorted(keys.unique_keys) == [("b", "a"), ("code",), ("id",), ("late",)]


def test_a_primary_key_keeps_its_order_and_families_are_told(shapes: dict[str, Shape]) -> None:
    assert shapes["parted"].primary_key == ("id", "at")
    told = {name: (s.kind, s.is_partition, s.inherits, s.has_children, s.row_security) for name, s in shapes.items()}
    assert told["parted"] == ("p", False, False, False, False)
    assert told["parted_1"] == ("r", True, False, False, False)
    assert told["base"] == ("r", False, False, True, False)
    assert told["derived"] == ("r", False, True, False, True)
    assert told["looking"] == ("v", False, False, False, False)
    assert shapes["nothing"].columns == ()


def test_rows_are_estimated_over_the_whole_family(shapes: dict[str, Shape]) -> None:
    assert (shapes["counted"].estimated_rows, shapes["parted"].estimated_rows) == (500, 300)


def test_a_missing_table_is_an_error_that_names_similar_ones(database: str) -> None:
    with psycopg.connect(database) as conn:
        conn.execute('CREATE TABLE "Todos" (id int)')

    with pytest.raises(MappingError, match=r"did you mean public\.Todos"):
        _with(database, read_shape, TableName.parse("todos"))


CHANGES = [
    "ALTER TABLE flat ADD COLUMN extra int",
    "ALTER TABLE flat DROP COLUMN v",
    "ALTER TABLE flat RENAME COLUMN v TO w",
    "ALTER TABLE flat ALTER COLUMN v TYPE bigint",
    "ALTER TABLE flat ALTER COLUMN v SET NOT NULL",
    "ALTER TABLE flat DROP CONSTRAINT flat_pkey",
    "DROP TABLE flat",
    "CREATE TABLE heir () INHERITS (flat)",
    "CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20)",
    "ALTER TABLE parted DETACH PARTITION parted_1",
    "ALTER TABLE parted_1 RENAME TO parted_one",
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_fingerprint_follows_what_the_worker_depends_on(database: str, change: str) -> None:
    tables = [TableName.parse("flat"), TableName.parse("parted")]
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "CREATE TABLE flat (id int PRIMARY KEY, v int); CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);"
            "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10)"
        )
        before = _with(database, fingerprint, tables)
        conn.execute("INSERT INTO flat VALUES (1, 1); CREATE TABLE unrelated (id int); ANALYZE flat")
        assert _with(database, fingerprint, tables) == before
        conn.execute(change)

    assert _with(database, fingerprint, tables) != before
