"""Key text and names: canonical whatever a session's settings, whoever writes, however things are called."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from syncline.embedded.postgres import PrivatePostgres
from syncline.model.entity import Embed, Entity, TableName
from syncline.model.keys import KeyCodec
from syncline.postgres.catalog import read_shape
from tests import engines
from tests.integration.capture_case import Case, assert_captured, entity

TYPES = {
    "int2": ("smallint", "-7", "-7"),
    "int8": ("bigint", "9007199254740993", "9007199254740993"),
    "uuid": ("uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "text": ("text", 'Zoë\'s "key", \\ %s {x} $$', 'Zoë\'s "key", \\ %s {x} $$'),
    "varchar": ("varchar(10)", "a  ", "a  "),
    "char": ("char(5)", "a", "a"),
    "bool": ("boolean", "t", "true"),
    "date": ("date", "2024-02-29", "2024-02-29"),
    "date_bc": ("date", "0044-03-15 BC", "0044-03-15 BC"),
    "timestamp": ("timestamp", "2024-02-29 12:34:56.5", "2024-02-29 12:34:56.5"),
    "timestamptz": ("timestamptz", "2024-02-29 12:34:56.789012+02", "2024-02-29 10:34:56.789012+00"),
    "time": ("time", "12:30", "12:30:00"),
    "bytea": ("bytea", r"\xDEADBEEF", r"\xdeadbeef"),
    "numeric": ("numeric(10,2)", "5", "5.00"),
    "inet": ("inet", "10.0.0.1", "10.0.0.1/32"),
    "cidr": ("cidr", "10.0.0.0", "10.0.0.0/32"),
    "macaddr": ("macaddr", "08002B-010203", "08:00:2b:01:02:03"),
    "enum": ('"Mood"', "so so", "so so"),
    "domain": ("positive", "5", "5"),
}
SETTINGS = [
    "SET timezone = 'Asia/Tokyo'",
    "SET datestyle = 'German, DMY'",
    "SET intervalstyle = 'sql_standard'",
    "SET bytea_output = 'escape'",
    "SET extra_float_digits = -5",
]
WEIRD = [
    'q"uote',
    "Upper Case",
    "per%cent {brace} $$",
    "naïve_ünï",
    "x" * 63,
    "select",
    "new",
    "k",
    "changed",
    "before",
]


@pytest.fixture(scope="module")
def typed(postgres: PrivatePostgres) -> Iterator[Case]:
    with engines.fresh_database(postgres.url) as url:
        case = Case(url, [])
        case.sql("CREATE TYPE \"Mood\" AS ENUM ('so so', 'fine')", "CREATE DOMAIN positive AS int CHECK (value > 0)")
        for name, (type_, _, _) in TYPES.items():
            case.sql(
                f"CREATE TABLE one_{name} (k {type_} PRIMARY KEY, v int)",
                f"CREATE TABLE two_{name} (id int, k {type_}, v int, PRIMARY KEY (id, k)) PARTITION BY RANGE (id)",
                f"CREATE TABLE two_{name}_all PARTITION OF two_{name} DEFAULT",
                f"CREATE TABLE kid_{name} (id int PRIMARY KEY, parent {type_})",
            )
            embed = Embed("kids", TableName.parse(f"kid_{name}"), ("parent",))
            case.entities += [
                entity(f"one_{name}", f"one_{name}", embeds=(embed,)),
                entity(f"two_{name}", f"two_{name}"),
            ]
        case.install()
        yield case
        case.conn.close()


def test_a_second_installation_has_nothing_to_do_whatever_the_keys(typed: Case) -> None:
    again = typed.plan()

    assert (again.statements, again.summary) == ([], [])


@pytest.mark.parametrize("name", TYPES)
def test_key_text_does_not_follow_the_session(typed: Case, name: str) -> None:
    _, value, text = TYPES[name]
    typed.forget()
    with psycopg.connect(typed.url, autocommit=True) as writer:
        for setting in SETTINGS:
            writer.execute(setting)
        literal = psycopg.sql.Literal(value).as_string(writer)
        writer.execute("SET standard_conforming_strings = on")
        writer.execute(f"INSERT INTO one_{name} VALUES ({literal}, 1)")
        writer.execute(f"UPDATE one_{name} SET v = 2")
        writer.execute(f"INSERT INTO two_{name} VALUES (1, {literal}, 1)")
        writer.execute(f"UPDATE two_{name} SET id = 2")
        writer.execute(f"INSERT INTO kid_{name} VALUES (1, {literal})")
        shown = writer.execute(f"SELECT syncline.key_{typed.ids()[f'one_{name}']}(k) FROM one_{name}").fetchone()
    marked = {(entity_, key) for entity_, key, _ in typed.marks()}
    pair = [key for entity_, key in marked if entity_ == f"two_{name}"]

    assert shown == (text,)
    assert {key for entity_, key in marked if entity_ == f"one_{name}"} == {text}
    assert len(pair) == 2
    for key in pair:
        assert KeyCodec(_columns(typed, name)).parse(key)[1] == text


def _columns(case: Case, name: str):
    async def read():
        async with await psycopg.AsyncConnection.connect(case.url) as conn:
            return await read_shape(conn, TableName.parse(f"two_{name}"))

    return asyncio.run(read()).columns[:2]


@pytest.mark.parametrize("place", ["column", "table", "schema"])
@pytest.mark.parametrize("weird", WEIRD)
def test_names_may_be_anything(naming: Case, weird: str, place: str) -> None:
    schema, table, column = (weird if place == p else p for p in ("schema", "table", "column"))
    parts = [psycopg.sql.Identifier(part).as_string(naming.conn) for part in (schema, table, column)]
    s, t, c = parts
    naming.sql(
        "DROP SCHEMA IF EXISTS syncline CASCADE",
        f"CREATE SCHEMA {s}",
        f"CREATE TABLE {s}.{t} ({c} int PRIMARY KEY, v int)",
        f"CREATE TABLE {s}.kid (id int PRIMARY KEY, {c} int)",
        f"CREATE TABLE {s}.parted ({c} int PRIMARY KEY, v int) PARTITION BY RANGE ({c})",
        f"CREATE TABLE {s}.leaf PARTITION OF {s}.parted DEFAULT",
    )
    embed = Embed("kids", TableName(schema, "kid"), (column,))
    naming.entities = [
        Entity("plain", TableName(schema, table), "plains", embeds=(embed,)),
        Entity("parted", TableName(schema, "parted"), "parteds"),
    ]
    try:
        naming.install()
        assert naming.plan().statements == []
        before = naming.contents()
        naming.sql(
            f"INSERT INTO {s}.{t} VALUES (1), (2), (3)",
            f"UPDATE {s}.{t} SET {c} = 30 WHERE {c} = 3",
            f"INSERT INTO {s}.parted VALUES (1), (2)",
            f"UPDATE {s}.parted SET {c} = {c} + 10",
            f"INSERT INTO {s}.kid VALUES (1, 2)",
            f"UPDATE {s}.kid SET {c} = 1",
            f"DELETE FROM {s}.{t} WHERE {c} = 2",
        )
        assert_captured(naming, before, also=[("plain", "3"), ("plain", "2"), ("parted", "1"), ("parted", "2")])
    finally:
        naming.sql(f"DROP SCHEMA {s} CASCADE")


@pytest.fixture(scope="module")
def naming(postgres: PrivatePostgres) -> Iterator[Case]:
    with engines.fresh_database(postgres.url) as url:
        case = Case(url, [])
        yield case
        case.conn.close()


@pytest.fixture
def case(database: str) -> Iterator[Case]:
    with Case(database, [entity("todo", "todo"), entity("part", "part")]) as made:
        yield made


def test_a_hostile_session_cannot_lead_capture_astray(case: Case) -> None:
    case.sql(
        "CREATE TABLE todo (id text PRIMARY KEY)",
        "CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE part_all PARTITION OF part DEFAULT",
    )
    case.install()
    before = case.contents()
    case.sql(
        "CREATE SCHEMA evil",
        "CREATE FUNCTION evil.left(text, int) RETURNS text LANGUAGE sql AS $$ SELECT 'evil' $$",
        "CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT 'off' $$",
        "CREATE FUNCTION evil.hashtextextended(text, bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT 0::bigint $$",
        "CREATE FUNCTION evil.same(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$",
        "CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.same)",
        "CREATE DOMAIN evil.text AS pg_catalog.int4",
        "CREATE TEMP TABLE outbox (LIKE syncline.outbox)",
        "CREATE TEMP TABLE changed (id text)",
        "CREATE DOMAIN pg_temp.text AS pg_catalog.int4",
        "SET search_path = evil, pg_temp, public, pg_catalog",
    )
    case.sql(
        "INSERT INTO public.todo VALUES ('a'), ('b')",
        "UPDATE public.todo SET id = 'c' WHERE id OPERATOR(pg_catalog.=) 'b'",
        "INSERT INTO public.part VALUES (1)",
        "UPDATE public.part SET id = 2",
    )
    case.sql("SET search_path = public", "DROP DOMAIN pg_temp.text")

    assert_captured(case, before, also=[("todo", "b"), ("part", "1")])
    assert case.sql("SELECT DISTINCT durable FROM syncline.waiting") == [(True,)]


def test_a_writer_needs_no_privilege_on_our_schema(case: Case) -> None:
    case.sql(
        "DROP ROLE IF EXISTS capture_writer",
        "CREATE ROLE capture_writer",
        "CREATE TABLE todo (id int PRIMARY KEY, owner text DEFAULT current_user)",
        "CREATE TABLE part (id int PRIMARY KEY, owner text DEFAULT current_user) PARTITION BY RANGE (id)",
        "CREATE TABLE part_all PARTITION OF part DEFAULT",
        *(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY" for table in ("todo", "part")),
        *(f"CREATE POLICY own ON {table} USING (owner = current_user)" for table in ("todo", "part")),
        *(f"INSERT INTO {table} VALUES (1, 'somebody else')" for table in ("todo", "part")),
        "GRANT ALL ON todo, part TO capture_writer",
    )
    case.install()
    before = case.contents()
    try:
        case.sql(
            "SET ROLE capture_writer",
            *(f"INSERT INTO {table} VALUES (2), (3)" for table in ("todo", "part")),
            *(f"UPDATE {table} SET id = id + 10" for table in ("todo", "part")),
            *(f"DELETE FROM {table} WHERE id = 12" for table in ("todo", "part")),
            "TRUNCATE part",
            "RESET ROLE",
        )
        also = [(table, key) for table in ("todo", "part") for key in ("2", "3", "12", "13")]
        touched = assert_captured(case, before, also=also)
        assert ("todo", "1") not in touched
        for attempt in ("SELECT * FROM syncline.waiting", "SELECT syncline.mark(1::smallint, '{1}', 'U')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                case.sql("SET ROLE capture_writer", attempt)
    finally:
        case.sql("RESET ROLE", "DROP OWNED BY capture_writer", "DROP ROLE capture_writer")


def test_key_functions_of_common_types_are_inlined(typed: Case) -> None:
    ids = typed.ids()
    for name in ("int8", "uuid", "text", "char", "numeric"):
        plan = typed.sql(f"EXPLAIN (VERBOSE, COSTS OFF) SELECT syncline.key_{ids[f'one_{name}']}(k) FROM one_{name}")
        assert "key_" not in str(plan)
    pair = typed.sql(f"EXPLAIN (VERBOSE, COSTS OFF) SELECT syncline.key_{ids['two_int8']}(id, k) FROM two_int8")
    assert "key_" not in str(pair)


MOVED = {
    "int": ("id int PRIMARY KEY", ["1", "2", "3"], "id = id + 10", ["11", "12", "13"]),
    "bigint": ("id bigint PRIMARY KEY", ["1", "2", "3"], "id = -id", ["-1", "-2", "-3"]),
    "uuid": (
        "id uuid PRIMARY KEY",
        [f"00000000-0000-0000-0000-00000000000{n}" for n in "123"],
        "id = overlay(id::text placing '9' from 1 for 1)::uuid",
        [f"90000000-0000-0000-0000-00000000000{n}" for n in "123"],
    ),
    "text": ("id text PRIMARY KEY", ["a", "b", "c"], "id = upper(id)", ["A", "B", "C"]),
    "char": ("id char(3) PRIMARY KEY", ["a", "b", "c"], "id = upper(id)", ["A", "B", "C"]),
    "two": (
        "a smallint, id int, PRIMARY KEY (a, id)",
        ['["1", "1"]', '["1", "2"]', '["1", "3"]'],
        "a = id",
        ['["1", "1"]', '["2", "2"]', '["3", "3"]'],
    ),
}


@pytest.mark.parametrize("name", MOVED)
def test_a_bulk_update_of_keys_marks_the_old_ones_whatever_their_type(database: str, name: str) -> None:
    columns, before, change, after = MOVED[name]
    with Case(database, [entity("moved", "moved")]) as case:
        case.sql(f"CREATE TABLE moved ({columns}, note text)")
        case.install()
        names = "a, id" if name == "two" else "id"
        values = ["(1, 1)", "(1, 2)", "(1, 3)"] if name == "two" else [f"('{key}')" for key in before]
        case.sql(f"INSERT INTO moved ({names}) VALUES {', '.join(values)}")
        case.forget()
        case.sql("UPDATE moved SET note = 'x'")
        assert [(key, hint) for _, key, hint in case.marks()] == [(key, "U") for key in before]
        case.forget()
        case.sql(f"UPDATE moved SET {change}")
        gone = {(key, "D") for key in before if key not in after}
        assert {(key, hint) for _, key, hint in case.marks()} == {(key, "U") for key in after} | gone


@pytest.mark.parametrize("type_", ["numeric", "text", "bigint", "smallint"])
def test_an_integer_key_that_has_become_another_type_is_still_compared_by_its_text(database: str, type_: str) -> None:
    with Case(database, [entity("moved", "moved")]) as case:
        case.sql("CREATE TABLE moved (id int PRIMARY KEY, note text)", "INSERT INTO moved VALUES (1), (2)")
        case.install()
        case.sql("UPDATE moved SET note = 'x'", f"ALTER TABLE moved ALTER id TYPE {type_} USING id::{type_}")
        case.forget()
        case.sql(
            {"numeric": "UPDATE moved SET id = round(id, 1)", "text": "UPDATE moved SET id = id || '.0'"}.get(
                type_, "UPDATE moved SET id = id + 2"
            )
        )
        marked = {(key, hint) for _, key, hint in case.marks()}
        assert marked == {(key, "D") for key in "12"} | {
            (key, "U") for key in (("1.0", "2.0") if type_ in ("numeric", "text") else "34")
        }
