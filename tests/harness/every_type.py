"""The harness for mappings over a table with a column of every type that it generates; copied beside the example."""

from __future__ import annotations

from pathlib import Path

from syncline.testing.mapping.base import MappingCase
from syncline.testing.mapping.fields import FieldTests

HERE = Path(__file__).parent
TYPES = (
    "smallint", "integer", "bigint", "oid", "real", "double precision", "numeric", "numeric(12,2)", "numeric(4,0)",
    "text", "varchar(7)", "char(5)", "name", '"char"', "boolean", "bytea", "uuid", "date", "time", "timetz", "timestamp",
    "timestamptz", "timestamptz(0)", "interval", "money", "json", "jsonb", "inet", "cidr", "macaddr", "macaddr8",
    "bit(6)", "varbit", "point", "lseg", "box", "tsvector", "mood", "price", "pair",
    "int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange", "int4multirange", "tstzmultirange",
    "text[]", "integer[]", "numeric[]", "timestamptz[]", "jsonb[]", "uuid[]", "mood[]", "price[]",
)  # fmt: skip
SCHEMA = """
CREATE TYPE mood AS ENUM ('sad', 'so-so', 'it''s');
CREATE DOMAIN price AS numeric(12,2) CHECK (value < 10000000);
CREATE TYPE pair AS (a int, b text);
CREATE TABLE everything (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {columns});
CREATE TABLE other (
    tenant text, number smallint, at timestamptz NOT NULL, whole numeric(9,0) NOT NULL, near numeric(9,3), exact timestamptz,
    shown date, free jsonb, parent_tenant text, parent_number smallint, double_number int GENERATED ALWAYS AS (number * 2) STORED,
    PRIMARY KEY (tenant, number), FOREIGN KEY (parent_tenant, parent_number) REFERENCES other ON DELETE SET NULL
);
CREATE TABLE keyed (id uuid UNIQUE NOT NULL, at timestamptz PRIMARY KEY, note text NOT NULL CHECK (length(note) BETWEEN 1 AND 200));
INSERT INTO keyed SELECT gen_random_uuid(), '2026-01-01'::timestamptz + i * interval '1 us', 'from the schema' FROM generate_series(1, 3) AS i;
"""
ENTITIES = """
[source]
url = "postgresql://nobody/nothing"
[target]
url = "mongodb://nobody/nothing"
[entities.everything]
types = { PAIR = "json" }
[entities.other]
naming = "camel"
types = { whole = "long", near = "double", exact = "micros", shown = "text" }
rename = { free = "nested.free", at = "nested.deep.at" }
[entities.other.computed]
"nested.sum" = { sql = "number + coalesce(near, 0)", type = "decimal" }
plain = { sql = "tenant || '%'" }
plus = { sql = "number + 1" }
both = { sql = "ARRAY[number, 2]" }
[entities.keyed]
[entities.by_id]
table = "keyed"
key = ["id"]
where = "note NOT LIKE 'a%'"
"""
COLUMNS = {f"c{number:02}": type_ for number, type_ in enumerate(TYPES)}
PAIR = next(name for name, type_ in COLUMNS.items() if type_ == "pair")
(HERE / "types.sql").write_text(
    SCHEMA.replace("{columns}", ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())), "utf-8"
)
(HERE / "types.toml").write_text(ENTITIES.replace("PAIR", PAIR), "utf-8")


class Types(MappingCase):
    config = "types.toml"
    schema = "types.sql"
    rows_per_table = 10


class TestEveryType(Types, FieldTests):
    pass


class TestHistory(Types):
    def test_a_random_history_arrives(self, syncline_pair):
        async def scenario(pair):
            pair.rows.fill(self.rows_per_table)
            async with pair.worker():
                for _ in pair.rows.history(60):
                    pass
                await pair.settled()

        self.play(syncline_pair, scenario)

    def test_the_same_seed_makes_the_same_rows(self, syncline_pair):
        async def scenario(pair):
            pair.rows.fill(3)
            with self.opened(pair.prepared, pair.seed, "test_the_same_seed_makes_the_same_rows") as twin:
                twin.rows.fill(3)
                for table in ("everything", "other", "keyed"):
                    query = f"SELECT t::text FROM {table} AS t ORDER BY 1"
                    assert pair.conn.execute(query).fetchall() == twin.conn.execute(query).fetchall()

        self.play(syncline_pair, scenario)
