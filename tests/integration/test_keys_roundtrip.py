"""Keys through a real server: what PostgreSQL prints is a key text; ``_id`` and back gives the same text."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from syncline.engines.postgres.projection_sql import embed_query, range_query, state_query
from syncline.model.entity import Embed, Entity, TableName
from syncline.model.keys import KeyCodec
from syncline.model.mapping import Projection
from syncline.model.types import PINNED_SETTINGS
from syncline.postgres.loaders import register_loaders
from tests.shapes import column, read_shape

RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PRINTABLE = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))
SQL_VALUES: dict[str, tuple[Any, st.SearchStrategy[str]]] = {
    "int2": (column("k", "smallint", "int2"), st.integers(-(2**15), 2**15 - 1).map(str)),
    "int4": (column("k", "integer", "int4"), st.integers(-(2**31), 2**31 - 1).map(str)),
    "int8": (column("k", "bigint", "int8"), st.integers(-(2**63), 2**63 - 1).map(str)),
    "uuid": (column("k", "uuid", "uuid"), st.uuids().map(str)),
    "text": (column("k", "text", "text"), PRINTABLE),
    "bpchar": (column("k", "bpchar", "bpchar"), PRINTABLE),
    "bool": (column("k", "boolean", "bool"), st.sampled_from(["t", "f"])),
    "date": (column("k", "date", "date"), st.integers(-2451545, 2145031948).map(lambda n: f"@{n}") | st.sampled_from(["infinity", "-infinity"])),
    "timestamp": (column("k", "timestamp", "timestamp"), st.datetimes().map(str) | st.sampled_from(["infinity", "0044-03-15 10:00 BC", "294276-12-31 23:59:59.999999"])),
    "timestamptz": (column("k", "timestamptz", "timestamptz"), st.datetimes().map(lambda d: f"{d}+05:30")),
    "time": (column("k", "time", "time"), st.times().map(str) | st.just("24:00:00")),
    "bytea": (column("k", "bytea", "bytea"), st.binary().map(lambda b: "\\x" + b.hex())),
    "inet": (column("k", "inet", "inet"), st.integers(0, 2**49).map(lambda n: str(ipaddress.IPv6Address(n))) | st.ip_addresses().map(str) | st.builds("{}/{}".format, st.ip_addresses(v=6), st.integers(0, 128)) | st.builds("{}/{}".format, st.ip_addresses(v=4), st.integers(0, 32))),
    "cidr": (column("k", "cidr", "cidr"), st.ip_addresses().map(str) | st.integers(0, 2**33).map(lambda n: str(ipaddress.IPv6Address(n))) | st.integers(0, 2**128 - 1).map(lambda n: str(ipaddress.IPv6Address(n & ((1 << 128) - 1) << 64 & (1 << 128) - 1)) + "/64")),
    "macaddr": (column("k", "macaddr", "macaddr"), st.binary(min_size=6, max_size=6).map(lambda b: b.hex(":"))),
    "numeric(10,2)": (column("k", "numeric(10,2)", "numeric", scale=2), st.decimals(-99999999, 99999999, places=2).map(str)),
    "numeric(34,0)": (column("k", "numeric(34,0)", "numeric", scale=0), st.integers(-(10**34) + 1, 10**34 - 1).map(str) | st.just("NaN")),
}  # fmt: skip


@pytest.fixture(scope="module")
def connection(postgres) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.url, autocommit=True, prepare_threshold=None) as found:
        for name, value in PINNED_SETTINGS.items():
            found.execute("SELECT set_config(%s, %s, false)", (name, value))
        register_loaders(found.adapters)
        yield found


@pytest.mark.parametrize("type_", SQL_VALUES)
@RELAXED
@given(data=st.data())
def test_every_printed_value_is_a_key_and_comes_back(connection, type_, data):
    key_column, strategy = SQL_VALUES[type_]
    value = data.draw(strategy)
    cast = (
        "('2000-01-01'::date + substr(%s, 2)::int)"
        if value.startswith("@") and type_ == "date"
        else f"%s::text::{type_}"
    )
    printed, array = connection.execute(
        f"SELECT v::text, jsonb_build_array(v::text, v::text)::text FROM (SELECT {cast} AS v) AS t", (value,)
    ).fetchone()
    single = KeyCodec([key_column])
    assert single.parse(printed) == (printed,)
    assert single.key_text(single.document_id(printed)) == printed
    assert single.parse_operator(printed) == printed
    double = KeyCodec([key_column, key_column], ["a", "b"])
    assert double.parse(array) == (printed, printed)
    assert double.key_text(double.document_id(array)) == array
    assert double.parse_operator(array) == array
    sql_type = single.types[0].sql
    assert connection.execute(f"SELECT %s::text::{sql_type}::text", (printed,)).fetchone() == (printed,)


@pytest.fixture
def orders(connection) -> psycopg.Connection[Any]:
    connection.execute(
        """
        DROP SCHEMA IF EXISTS keys CASCADE; CREATE SCHEMA keys;
        CREATE TYPE keys.kind AS ENUM ('retail', 'bulk');
        CREATE TABLE keys.orders (kind keys.kind, no bigint, total numeric(10,2), PRIMARY KEY (kind, no));
        CREATE TABLE keys.lines (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), kind keys.kind, order_no int, position int, sku text);
        CREATE FUNCTION keys.key_1(a keys.kind, b bigint) RETURNS text LANGUAGE sql
            AS $$ SELECT jsonb_build_array(a::text, b::text)::text $$;
        INSERT INTO keys.orders VALUES ('retail', 1, 1.5), ('bulk', 1, 2), ('bulk', 2, NULL);
        INSERT INTO keys.lines (kind, order_no, position, sku) VALUES ('bulk', 1, 2, 'b'), ('bulk', 1, 1, 'a'), ('retail', 1, 1, 'hidden');
        """
    )
    return connection


def test_composite_keys_and_embeds_read_as_documents(orders):
    embed = Embed("lines", TableName("keys", "lines"), ("kind", "order_no"), ("position",), where="sku NOT LIKE 'hid%'")
    entity = Entity("orders", TableName("keys", "orders"), "orders", embeds=(embed,))
    projection = Projection(entity, read_shape(orders, "keys.orders"), {embed.table: read_shape(orders, "keys.lines")})
    function = sql.SQL("keys.key_1")
    keys = ['["bulk", "1"]', '["retail", "1"]', '["bulk", "99"]']
    cursor = orders.cursor(binary=True)
    rows = cursor.execute(state_query(projection, function), projection.codec.parameters(keys)).fetchall()
    children = cursor.execute(embed_query(projection.embeds[0], function), projection.codec.parameters(keys)).fetchall()
    found = projection.documents(rows, [children], source="postgresql", synced_at=None, ticket=1)
    bulk, retail = sorted(found, key=lambda document: document["_originalId"])
    assert bulk["_id"] == {"kind": "bulk", "no": 1}
    assert (bulk["_originalId"], str(bulk["total"])) == (keys[0], "2.00")
    assert [(line["position"], line["sku"]) for line in bulk["lines"]] == [(1, "a"), (2, "b")]
    assert "order_no" not in bulk["lines"][0]
    assert retail["lines"] == []
    assert list(retail) == ["_id", "kind", "no", "total", "lines", "_originalId", "_source", "_syncedAt", "_v"]


def test_composite_ranges_follow_the_order_of_the_index(orders):
    projection = Projection(Entity("orders", TableName("keys", "orders"), "orders"), read_shape(orders, "keys.orders"))
    query = range_query(projection, sql.SQL("keys.key_1"))
    rows = orders.cursor(binary=True).execute(query, ("retail", "1", "bulk", "2", 10)).fetchall()
    assert [row[-1] for row in rows] == ['["bulk", "1"]', '["bulk", "2"]']


def test_reading_by_key_uses_the_index(orders):
    orders.execute("INSERT INTO keys.orders SELECT 'bulk', n, n FROM generate_series(10, 5000) n; ANALYZE keys.orders")
    projection = Projection(Entity("orders", TableName("keys", "orders"), "orders"), read_shape(orders, "keys.orders"))
    query = sql.SQL("EXPLAIN ") + state_query(projection, sql.SQL("keys.key_1"))
    plan = "\n".join(row[0] for row in orders.execute(query, (["bulk"] * 3, ["10", "11", "12"])))
    assert "Index" in plan
