"""Which named databases there are, how their URLs are read, whose a table is, and where a statement goes."""

from __future__ import annotations

import socket
import threading

import psycopg
import pytest
from sqlalchemy import MetaData, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from syncline.config.databases import Place, load_databases
from syncline.errors import (
    AcrossDatabasesError,
    ConfigError,
    NamedDatabaseUnavailableError,
    RoutingError,
    SecondDatabaseError,
    UnknownTableError,
    WrongDatabaseError,
)
from syncline.split.address import address_of
from syncline.split.connecting import connect, refusal
from syncline.split.ownership import Ownership, Rules
from syncline.split.routing import Ledger, Routing
from syncline.split.statements import Name, Placeholders

SPLIT = {
    "SPLIT_DB_MODE": "true",
    "PRIMARY_DATABASE_URL": "postgresql://app:s3cret@primary/app",
    "DATA_DATABASE_URL": "postgres://app@data/app",
}


def read(env, text="", tmp_path=None):
    path = None
    if tmp_path is not None:
        path = tmp_path / "syncline.toml"
        path.write_text(text)
    return load_databases(path, env, dotenv=None)


def test_single_mode_has_one_url_for_all():
    found = read({"DATABASE_URL": "postgresql://h/app"})
    assert not found.split
    assert [each.name for each in found.databases] == ["primary", "data"]
    assert {each.place.url for each in found.databases} == {"postgresql://h/app"}


def test_in_a_file_with_collections_the_target_is_the_postgresql(tmp_path):
    text = '[source]\nurl = "mongodb://h/shop"\n[target]\nurl = "postgresql://h/written"\n[collections.tasks]\n'
    for env, url in (({}, "postgresql://h/written"), ({"DATABASE_URL": "postgresql://h/set"}, "postgresql://h/set")):
        found = read({**env, "MONGODB_URL": "mongodb://h/other"}, text, tmp_path)
        assert {(each.place.url, each.direct) for each in found.databases} == {(url, None)}
    assert read({"DIRECT_URL": "postgresql://d/x"}, text, tmp_path).databases[0].direct.url == "postgresql://d/x"


def test_split_mode_has_a_url_for_each():
    found = read(SPLIT | {"DATA_DIRECT_URL": "postgresql://direct/app"})
    assert found.split
    assert [each.place.called for each in found.databases] == ["PRIMARY_DATABASE_URL", "DATA_DATABASE_URL"]
    assert found.databases[0].direct is None
    assert found.databases[1].direct == Place("DATA_DIRECT_URL", "postgresql://direct/app")


def test_there_may_be_any_number_of_databases(tmp_path):
    text = (
        '[split]\nenabled = true\n[databases.core]\nurl = "${CORE}"\n[databases.geo]\n[databases.audit]\nrest = true\n'
    )
    env = {"CORE": "postgresql://c/x", "GEO_DATABASE_URL": "postgresql://g/x", "AUDIT_DATABASE_URL": "postgresql://a/x"}
    found = read(env, text, tmp_path)
    assert [(each.name, each.place.url) for each in found.databases] == [
        ("core", "postgresql://c/x"),
        ("geo", "postgresql://g/x"),
        ("audit", "postgresql://a/x"),
    ]


def test_a_file_of_variables_is_read_and_the_environment_wins(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text(
        "SPLIT_DB_MODE=true\nexport PRIMARY_DATABASE_URL='postgresql://of-file/app'\nDATA_DATABASE_URL=x\n"
    )
    found = load_databases(None, {"DATA_DATABASE_URL": "postgresql://of-env/app"}, dotenv=dotenv)
    assert [each.place.url for each in found.databases] == ["postgresql://of-file/app", "postgresql://of-env/app"]


@pytest.mark.parametrize(
    ("env", "text", "said"),
    [
        ({}, "", "DATABASE_URL is not set"),
        ({"SPLIT_DB_MODE": "true"}, "", "PRIMARY_DATABASE_URL and DATA_DATABASE_URL are not set"),
        ({"SPLIT_DB_MODE": "true", "PRIMARY_DATABASE_URL": "x"}, "", "DATA_DATABASE_URL is not set"),
        ({"SPLIT_DB_MODE": "perhaps"}, "", "SPLIT_DB_MODE=perhaps: it must be true or false"),
        ({}, "[databases.Primary]", "'Primary' cannot name a database"),
        ({}, "[databases.a]\ntable = []", "unknown setting 'table'"),
        ({}, '[databases.a]\ntables = ["t"]\n[databases.b]\ntables = ["t"]', "'t' belongs to a already"),
        ({}, "[databases.a]\nrest = true\n[databases.b]\nrest = true", "a has `rest` already"),
        ({"SPLIT_DB_MODE": "1"}, '[databases.a]\nurl = "postgresql://u:${NONE}@h/d"', "$NONE is not set"),
    ],
)
def test_what_is_wrong_is_said_by_name(env, text, said, tmp_path):
    with pytest.raises(ConfigError) as told:
        read(env, text, tmp_path)
    assert said in str(told.value)


def address(url, text="", tmp_path=None, **options):
    found = read({"SPLIT_DB_MODE": "true", "A_DATABASE_URL": url}, f"[databases.a]\n{text}", tmp_path)
    return address_of(found.databases[0], **options)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+asyncpg"])
def test_urls_are_taken_as_people_have_them(scheme, tmp_path):
    query = "sslmode=require&pgbouncer=true&connection_limit=15&pool_timeout=20&schema=app&sslrootcert=%2Fca.pem"
    found = address(f"{scheme}://app:s3cret@pooler:6432/shop?{query}", tmp_path=tmp_path)
    assert found.conninfo == "postgresql://app:s3cret@pooler:6432/shop?sslmode=require&sslrootcert=%2Fca.pem"
    assert (found.pooled, found.pool_size, found.pool_timeout, found.schema) == (True, 15, 20.0, "app")
    assert found.arguments()["prepare_threshold"] is None
    assert "options" not in found.arguments()
    assert "s3cret" not in repr(found)


def test_without_a_pooler_settings_go_to_the_session(tmp_path):
    text = (
        'settings = { statement_timeout = "5s", work_mem = 4096 }\nparameters = { sslmode = "disable" }\npool_size = 3'
    )
    found = address("postgresql://h/d?schema=odd%20one", text, tmp_path)
    assert found.arguments() == {
        "connect_timeout": "5",
        "sslmode": "disable",
        "options": '-c statement_timeout=5s -c work_mem=4096 -c search_path="odd\\ one",\\ public',
    }
    assert found.pool_size == 3


def test_what_the_url_says_of_itself_is_kept(tmp_path):
    found = address("postgresql://h/d?application_name=shop&connect_timeout=9&pool_timeout=0", tmp_path=tmp_path)
    assert found.arguments() == {}
    assert found.conninfo == "postgresql://h/d?application_name=shop&connect_timeout=9"
    assert found.pool_timeout > 3600


@pytest.mark.parametrize(
    ("url", "text", "said"),
    [
        ("mysql://h/d", "", "a PostgreSQL URL is expected"),
        ("cockroachdb://h/d", "", "PostgreSQL only"),
        ("postgresql://h/d?connection_limit=0", "", "connection_limit=0: it must be a whole number above 0"),
        ("postgresql://h/d?pool_timeout=soon", "", "pool_timeout=soon: it must be a whole number"),
        ("postgresql://h/d?pgbouncer=maybe", "", "it must be true or false"),
        ("postgresql://h/d?pgbouncer=true&options=-cx%3D1", "", "through a pooler in transaction mode"),
        ("postgresql://h/d?pgbouncer=true", 'settings = { x = "1" }', "ALTER ROLE"),
        ("postgresql://h/d?pgbounce=true", "", "pgbounce"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_by_its_variable(url, text, said, tmp_path):
    with pytest.raises(ConfigError) as told:
        address(url, text, tmp_path)
    assert str(told.value).startswith("A_DATABASE_URL: ")
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("driver", "said"),
    [
        ('FATAL:  password authentication failed for user "app"', "the server refuses the password"),
        ("FATAL:  SASL authentication failed", "the server refuses the password"),
        ('FATAL:  database "x" does not exist', "the server has no such database"),
        ("server does not support SSL, but SSL was required", "the server does not offer TLS, and sslmode asks for it"),
        ('root certificate file "/ca.pem" does not exist', "the file of sslrootcert does not exist"),
        ("SSL error: certificate verify failed", "the server's certificate cannot be trusted"),
        ("FATAL:  unsupported startup parameter: options", "the pooler refuses a setting of the session"),
        ("FATAL:  sorry, too many clients already", "has no connection left"),
        ("connection timeout expired", "does not answer in time"),
        ("Connection refused\n\tIs the server running?", "cannot be reached"),
    ],
)
def test_what_the_driver_says_becomes_one_sentence_without_the_password(driver, said, tmp_path):
    found = address("postgresql://app:s3cret@db:5432/shop", tmp_path=tmp_path)
    error = refusal(found, psycopg.OperationalError(f"connection failed for app:s3cret: {driver}"))
    assert error.message.startswith("A_DATABASE_URL: ")
    assert said in error.message
    assert "shop at db:5432" in error.message
    assert "s3cret" not in str(error)
    assert error.retryable == (said.startswith(("has", "does not answer", "cannot be reached")))


RULES = {
    "primary": Rules(tables=("users", "billing.invoices"), schemas=("customers",)),
    "data": Rules(tables=("carriers", "delivery_*", "ref.*"), schemas=("warehouse",)),
}


@pytest.mark.parametrize(
    ("table", "owner"),
    [
        ("users", "primary"),
        ("public.users", "primary"),
        ("other.users", None),
        ("billing.invoices", "primary"),
        ("customers.anything", "primary"),
        ("delivery_2026", "data"),
        ("ref.zones", "data"),
        ("warehouse.carriers", "data"),
        ("nobody", None),
    ],
)
def test_rules_say_whose_a_table_is(table, owner):
    assert Ownership(RULES).owner(Name.read(table)) == owner


def test_tables_that_each_database_has_for_itself_go_wherever_they_are_sent(tmp_path):
    found = read({"DATABASE_URL": "postgresql://h/d"}, "[databases.a]\nrest = true", tmp_path)
    asked = Routing(Ownership(RULES, everywhere=found.settings.everywhere), split=True)
    for database in ("primary", "data"):
        asked.look("INSERT INTO django_migrations VALUES (1)", Placeholders.NONE, database=database)
        asked.look("UPDATE ops.alembic_version SET version_num = '1'", Placeholders.NONE, database=database)
    assert asked.destination("SELECT * FROM alembic_version, carriers", Placeholders.NONE) == "data"


def test_the_rest_goes_to_the_database_that_takes_it():
    ownership = Ownership({"a": Rules(tables=("x",)), "b": Rules(rest=True)})
    assert ownership.owner(Name(None, "y")) == "b"
    assert ownership.default == "b"


def test_a_name_without_a_schema_that_two_databases_have_is_refused():
    ownership = Ownership({"a": Rules("s", tables=("t",)), "b": Rules("u", tables=("t",))})
    assert ownership.owner(Name("u", "t")) == "b"
    with pytest.raises(RoutingError, match="belongs to a and to b"):
        ownership.owner(Name(None, "t"))


def routing(*, split=True):
    return Routing(Ownership(RULES), split=split)


def look(sql, *, split=True, **options):
    return routing(split=split).look(sql, Placeholders.NONE, **options)


@pytest.mark.parametrize("split", [True, False])
def test_the_wrong_database_is_refused_with_the_right_ones_name(split):
    with pytest.raises(WrongDatabaseError, match="carriers: in data, not in primary") as told:
        look("SELECT * FROM carriers", split=split, database="primary")
    assert told.value.right == "data"
    look("SELECT * FROM users, unknown, pg_class", split=split, database="primary")
    look("SELECT 1", split=split, database="primary")
    look("not SQL at all", split=split, database="primary")


@pytest.mark.parametrize("split", [True, False])
def test_a_statement_over_two_databases_is_refused(split):
    with pytest.raises(AcrossDatabasesError, match=r"users in primary; carriers in data"):
        look("SELECT * FROM users JOIN carriers ON true", split=split)


@pytest.mark.parametrize(
    "second", ["UPDATE carriers SET x = 1", "SELECT * FROM carriers FOR KEY SHARE", "TRUNCATE carriers"]
)
@pytest.mark.parametrize("split", [True, False])
def test_a_transaction_that_writes_two_databases_is_refused(split, second):
    asked, ledger = routing(split=split), Ledger()
    asked.look("INSERT INTO users VALUES (1)", Placeholders.NONE, ledger=ledger)
    asked.look("SELECT * FROM carriers", Placeholders.NONE, ledger=ledger)
    with pytest.raises(SecondDatabaseError, match="has changed primary and would now change data"):
        asked.look(second, Placeholders.NONE, ledger=ledger)
    ledger.clear()
    asked.look(second, Placeholders.NONE, ledger=ledger)


def test_crossings_may_be_let_through_in_single_mode_only():
    told = []
    for split in (False, True):
        asked = routing(split=split)
        asked.allow = lambda error, sql: told.append((type(error), sql)) or True
        if split:
            with pytest.raises(AcrossDatabasesError):
                asked.look("SELECT * FROM users, carriers", Placeholders.NONE)
        else:
            asked.look("SELECT * FROM users, carriers", Placeholders.NONE)
    assert told == [(AcrossDatabasesError, "SELECT * FROM users, carriers")]


def test_statements_find_their_database():
    asked = routing()
    assert asked.destination("SELECT * FROM carriers WHERE id = :id", Placeholders.COLON) == "data"
    assert asked.destination("DELETE FROM customers.x", Placeholders.NONE) == "primary"
    assert asked.destination("SELECT now()", Placeholders.NONE) == "primary"
    assert asked.destination("SELECT now()", Placeholders.NONE, current="data") == "data"
    with pytest.raises(UnknownTableError, match="no rule says in which database nobody is"):
        asked.destination("SELECT * FROM nobody", Placeholders.NONE)
    with pytest.raises(RoutingError, match="cannot be parsed"):
        asked.destination("SELEC 1", Placeholders.NONE)


def test_a_model_that_is_declared_later_counts_from_then_on():
    asked, tables = Routing(Ownership({"a": Rules(), "b": Rules(rest=True)}), split=True), MetaData()
    asked.declare("a", tables)
    assert asked.look("SELECT * FROM later", Placeholders.NONE).owners == {"b"}
    Table("later", tables)
    assert asked.look("SELECT * FROM later", Placeholders.NONE).owners == {"a"}


def test_models_are_declared_by_base_by_model_and_by_table():
    class Base(DeclarativeBase):
        pass

    class OfData(Base):
        __abstract__ = True

    class User(Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Carrier(OfData):
        __tablename__ = "carriers"
        id: Mapped[int] = mapped_column(primary_key=True)

    ownership = Ownership({"primary": Rules(), "data": Rules(), "audit": Rules()})
    ownership.declare("primary", User)
    ownership.declare("data", OfData)
    ownership.declare("audit", Table("log", MetaData(), schema="ops"))
    assert [ownership.owner(Name.read(name)) for name in ("users", "public.carriers", "ops.log", "log")] == [
        "primary",
        "data",
        "audit",
        None,
    ]


def test_a_database_that_is_not_configured_is_an_error():
    with pytest.raises(ConfigError, match="there is no database 'geo'"):
        routing().declare("geo", object())


def test_a_resolver_that_does_not_answer_is_not_waited_for_longer_than_a_server(monkeypatch):
    """libpq asks it before its own limit begins to count."""
    answers = threading.Event()
    asked = []

    def asking(host, *_):
        asked.append(host)
        answers.wait()

    monkeypatch.setattr(socket, "getaddrinfo", asking)
    found = read({"DATABASE_URL": "postgresql://app@%2Frun,db.example/app?connect_timeout=1"})
    with pytest.raises(NamedDatabaseUnavailableError, match=r"DATABASE_URL: app at .* cannot be reached") as error:
        connect(address_of(found.databases[0]))
    answers.set()
    assert asked == ["db.example"]
    assert "the name db.example was not resolved within 1 s" in str(error.value.hint)
