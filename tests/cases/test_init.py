"""What ``syncline init`` writes: what ``install`` accepts, and none of the tables that are no application's."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import psycopg
import pytest
from psycopg import sql

from syncline.capture.postgres.install import install, plan
from tests.cases.proposed import loaded, proposed

TOOLS = {
    "alembic_version": "version_num text PRIMARY KEY",
    "django_migrations": "id int PRIMARY KEY, app text",
    "schema_migrations": "version text PRIMARY KEY",
    "ar_internal_metadata": "key text PRIMARY KEY, value text",
    "flyway_schema_history": "installed_rank int PRIMARY KEY",
    "databasechangelog": "id text PRIMARY KEY",
    "DATABASECHANGELOG": "id text PRIMARY KEY",
    "databasechangeloglock": "id int PRIMARY KEY",
    "_prisma_migrations": "id text PRIMARY KEY",
    "knex_migrations": "id int PRIMARY KEY",
    "knex_migrations_lock": "index int PRIMARY KEY",
    "kysely_migration": "name text PRIMARY KEY",
    "SequelizeMeta": "name text PRIMARY KEY",
    "migrations": "id int PRIMARY KEY, timestamp bigint, name text",
    "typeorm_metadata": "type text PRIMARY KEY",
    "__drizzle_migrations": "id int PRIMARY KEY",
    "goose_db_version": "id int PRIMARY KEY",
    "mikro_orm_migrations": "id int PRIMARY KEY",
    "pgmigrations": "id int PRIMARY KEY",
    "refinery_schema_history": "version int PRIMARY KEY",
    "__diesel_schema_migrations": "version text PRIMARY KEY",
    "_sqlx_migrations": "version bigint PRIMARY KEY",
    "seaql_migrations": "version text PRIMARY KEY",
    "atlas_schema_revisions": "version text PRIMARY KEY",
    "phinxlog": "version bigint PRIMARY KEY",
    "doctrine_migration_versions": "version text PRIMARY KEY",
    "__EFMigrationsHistory": "migration_id text PRIMARY KEY",
}


async def test_bookkeeping_of_migration_tools_is_left_out(database):
    ddl = [f'CREATE TABLE "{name}" ({columns})' for name, columns in TOOLS.items()]
    ddl += ["CREATE SCHEMA sqitch CREATE TABLE changes (change_id text PRIMARY KEY)"]
    found = await proposed(database, *ddl)
    assert found.entities == {}
    assert {table.name for table in found.left_out} == {*TOOLS, "changes"}
    assert all("bookkeeping of a tool (" in reason for reason in found.left_out.values())


@pytest.mark.parametrize("columns", ["id int PRIMARY KEY, species text", "id int PRIMARY KEY, name text, started date"])
async def test_a_table_of_the_application_may_be_called_like_one_of_a_tool(columns, database):
    """Birds migrate too: an ambiguous name is the tool's only with its columns."""
    found = await proposed(database, f"CREATE TABLE migrations ({columns})")
    assert list(found.entities) == ["migrations"]


async def test_tables_of_extensions_are_left_out_and_named(database, postgres):
    """Found by pg_depend, whatever the extension: a table that ALTER EXTENSION took in stands for PostGIS's."""
    found = await proposed(
        database,
        "CREATE EXTENSION citext",
        "CREATE TABLE taken (id int PRIMARY KEY)",
        "ALTER EXTENSION citext ADD TABLE taken",
        "CREATE TABLE own (id int PRIMARY KEY)",
    )
    assert list(found.entities) == ["own"]
    assert list(found.left_out.values()) == ["belongs to the extension citext"]


async def test_partitions_are_neither_entities_nor_embeds(database, tmp_path):
    ddl = """
        CREATE TABLE parent (id int PRIMARY KEY);
        CREATE TABLE event (id int, at date, parent_id int REFERENCES parent, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
        CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
        ALTER TABLE event_2 ADD FOREIGN KEY (parent_id) REFERENCES parent;
    """
    found = await proposed(database, ddl)
    entities = {entity.name: entity for entity in loaded(found, tmp_path, embeds=True)}
    assert set(entities) == {"parent", "event"}
    assert [embed.field for embed in entities["parent"].embeds] == ["event"]


NUMBERS = {
    "wide numeric(40,2)": "text",
    "widest numeric(1000,0)": "text",
    "fits numeric(34,4)": None,
    "narrow numeric(10,2)": None,
    "free numeric": None,
    "held numeric DEFAULT 12345678901234567890123456789012345": "text",
    "fraction numeric DEFAULT 0.12345678901234567890123456789012345": "text",
    "negative numeric DEFAULT -12345678901234567890123456789012345": "text",
    "round_ numeric DEFAULT 1e60": None,
    "tiny numeric DEFAULT 1e-60": None,
    "special numeric DEFAULT 'NaN'": None,
    "list numeric[] DEFAULT '{1,12345678901234567890123456789012345}'": "text",
}


async def test_numbers_that_no_decimal128_holds_are_proposed_as_text(database, tmp_path):
    """By what is declared, and by what is there."""
    found = await proposed(
        database,
        f"CREATE TABLE t (id int PRIMARY KEY, {', '.join(NUMBERS)})",
        "INSERT INTO t (id) VALUES (1)",
    )
    (entity,) = loaded(found, tmp_path)
    assert dict(entity.fields.types) == {c.split()[0]: kind for c, kind in NUMBERS.items() if kind}
    assert "a Decimal128 holds 34 digits; there are numbers of more than 34 digits" in found.text


@pytest.mark.postgres(18, "VIRTUAL columns")
async def test_columns_that_cannot_be_read_do_not_stop_init(database, tmp_path):
    """A look at the data is a look: a row security policy, or a value that cannot be computed, is passed over."""
    found = await proposed(
        database,
        "CREATE TABLE t (id int PRIMARY KEY, n int, broken numeric GENERATED ALWAYS AS (1.0 / n) VIRTUAL)",
        "INSERT INTO t (id, n) VALUES (1, 0)",
    )
    assert [entity.name for entity in loaded(found, tmp_path)] == ["t"]


NAMES = (
    "id", "a", "b", "A", "a.b", "a_b", "$a", "a.", "_id", "_v", "%", "x%s", 'q"', "'", "migrations", "r", "ta.ble", "{x}",
    "Ä", "a b", "user", "end",
)  # fmt: skip
TYPES = (
    "int", "bigint", "text", "varchar(9)", "uuid", "numeric", "numeric(5,2)", "numeric(40,3)", "float8", "jsonb", "json",
    "date", "timestamptz", "int4range", "box", "mood", "pair", "price", "spans", "citext", "money", "text[]", "numeric(50,1)[]",
    "mood[]", "inet", "bytea", "char(3)", "bool", "interval", "xml",
)  # fmt: skip
ODD_TYPES = """
CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('a', 'b');
CREATE TYPE pair AS (x int, y text);
CREATE DOMAIN price AS numeric(38, 2);
CREATE TYPE spans AS RANGE (subtype = float8);
CREATE SCHEMA "other.one";
"""


def tables(random: Random) -> Iterator[str]:
    """Odd tables: names, types, keys, children, partitions, none of them made for us."""
    made: list[tuple[str, str, str]] = []
    for number, name in enumerate(random.sample(NAMES, 7)):
        schema = random.choice(["public", "other.one"])
        table = sql.Identifier(schema, name).as_string(None)
        columns = random.sample(NAMES, random.randint(1, 7))
        typed = {one: random.choice(TYPES) for one in columns}
        parts = [f"{sql.Identifier(one).as_string(None)} {type_}" for one, type_ in typed.items()]
        keyed = [one for one in columns if typed[one] not in {"json", "xml", "box", "pair", "mood[]"}]
        if keyed and random.random() < 0.8:
            names = random.sample(keyed, random.randint(1, min(2, len(keyed))))
            listed = sql.SQL(", ").join(map(sql.Identifier, names)).as_string(None)
            parts.append(f"PRIMARY KEY ({listed})")
            if len(names) == 1:
                made.append((table, listed, typed[names[0]]))
        for parent, key, type_ in random.sample(made, min(2, len(made))):
            if parent != table and random.random() < 0.7:
                column = sql.Identifier(f"ref{number}_{len(parts)}").as_string(None)
                parts.append(f"{column} {type_} REFERENCES {parent} ({key})")
        yield f"CREATE TABLE {table} ({', '.join(parts)})"


@pytest.mark.parametrize("seed", range(8))
async def test_19_what_init_writes_install_accepts(seed, database, tmp_path):
    """Case 19, for random odd tables; the suggested embeds too, when they are taken in."""
    found = await proposed(database, ODD_TYPES, *tables(Random(seed)))
    for embeds in (False, True):
        entities = loaded(found, tmp_path, embeds=embeds)
        assert [entity.name for entity in entities] == list(found.entities)
        if entities:
            async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
                await install(conn, await plan(conn, entities))
                installed = await (await conn.execute("SELECT name FROM syncline.entity ORDER BY name")).fetchall()
            assert [name for (name,) in installed] == sorted(found.entities)
