"""Named databases on real servers: the same code in single and in split mode, wrong databases refused in both."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import delete, exists, func, insert, select, text, union, update
from sqlalchemy.orm import joinedload, selectinload

from syncline.embedded.postgres import PrivatePostgres
from syncline.errors import (
    AcrossDatabasesError,
    ConfigError,
    NamedDatabaseError,
    NamedDatabaseUnavailableError,
    RoutingError,
    SecondDatabaseError,
    UnknownTableError,
    WrongDatabaseError,
)
from syncline.split.databases import Databases
from tests import engines
from tests.bouncer import Application, Pooler, bouncer
from tests.cockroach.server import Simulator
from tests.integration.split_case import Carrier, User, Zone, create, declared, variables

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module", params=["single", "split"])
def case(request: pytest.FixtureRequest, postgres: PrivatePostgres) -> Iterator[Databases]:
    """The databases in each mode, with a carrier, its zone and a user."""
    with engines.fresh_database(postgres.url) as one, engines.fresh_database(postgres.url) as other:
        split = request.param == "split"
        create(one, other if split else one)
        with declared(variables(one, other if split else None)) as databases:
            with databases.session_factory().begin() as session:
                session.add(User(name="ann"))
            with databases.session_factory().begin() as session:
                session.add(Carrier(name="post", zones=[Zone()]))
            yield databases


READS = {
    "model": select(Carrier.name),
    "columns of a table": select(Carrier.__table__.c.name),
    "text": text("SELECT name FROM carriers WHERE id > :id").bindparams(id=0),
    "union of models": union(select(Carrier.name), select(Carrier.name)),
    "exists": select(exists().where(Carrier.id == 1)),
    "exists on a table": select(exists().where(Carrier.__table__.c.id == 1)),
    "count": select(func.count()).select_from(Carrier),
    "fragment of text": select(text("name")).select_from(text("carriers")),
    "text for a model": select(Carrier).from_statement(text("SELECT * FROM carriers")),
    "alias": select(Carrier.__table__.alias("c").c.name),
    "cte": select(select(Carrier.name).cte().c.name),
}


@pytest.mark.parametrize("statement", READS.values(), ids=READS)
def test_a_session_finds_the_database_of_each_statement(case: Databases, statement):
    with case.session_factory()() as session:
        assert session.scalar(select(User.name)) == "ann"
        assert session.execute(statement).all()
        session.rollback()
        assert session.execute(statement).all()


WRITES = {
    "bulk insert": (insert(Carrier), [{"name": "a"}, {"name": "b"}]),
    "insert into a table": (insert(Carrier.__table__).values(name="c"), None),
    "insert from select": (insert(Carrier).from_select(["name"], select(Carrier.name)), None),
    "update": (update(Carrier).where(Carrier.id < 0).values(name="x"), None),
    "update of a table": (update(Carrier.__table__).where(Carrier.__table__.c.id < 0).values(name="x"), None),
    "delete": (delete(Carrier).where(Carrier.id < 0), None),
    "text": (text("UPDATE carriers SET name = :name WHERE id < 0"), {"name": "x"}),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_bulk_statements_find_theirs_and_no_second_one_is_written(case: Databases, write):
    with case.session_factory()() as session:
        session.execute(*write)
        with pytest.raises(SecondDatabaseError, match="has changed data and would now change primary"):
            session.execute(update(User).values(name="bob"))
        session.rollback()
        session.execute(update(User).where(User.id < 0).values(name="bob"))
        session.rollback()


def test_a_flush_of_both_databases_is_refused_and_nothing_stays(case: Databases):
    with case.session_factory()() as session:
        session.add_all([User(name="lost"), Carrier(name="lost")])
        with pytest.raises(SecondDatabaseError):
            session.flush()
        session.rollback()
        assert session.scalar(select(func.count()).where(User.name == "lost")) == 0
        assert session.scalar(select(func.count()).where(Carrier.name == "lost")) == 0


def test_locks_count_as_writes(case: Databases):
    with case.session_factory()() as session:
        session.execute(select(User).with_for_update())
        with pytest.raises(SecondDatabaseError):
            session.execute(select(Carrier).with_for_update(key_share=True, read=True))


CROSSINGS = {
    "join of models": select(User).join(Carrier, Carrier.id == User.id),
    "join of tables": select(User.__table__.join(Carrier.__table__, text("true"))),
    "subquery": select(User).where(User.id.in_(select(Carrier.id))),
    "text": text("SELECT * FROM users, carriers"),
    "insert from select": insert(Carrier).from_select(["name"], select(User.name)),
    "common table expression": text("WITH u AS (SELECT * FROM users) DELETE FROM carriers USING u"),
}


@pytest.mark.parametrize("statement", CROSSINGS.values(), ids=CROSSINGS)
def test_a_statement_over_both_is_refused(case: Databases, statement):
    with (
        case.session_factory()() as session,
        pytest.raises(AcrossDatabasesError, match=r"users in primary; carriers in"),
    ):
        session.execute(statement)


def test_relationships_within_a_database_work(case: Databases):
    with case.session_factory()() as session:
        assert session.scalars(select(Carrier).options(joinedload(Carrier.zones))).unique().first().zones
        assert session.scalars(select(Carrier).options(selectinload(Carrier.zones))).first().zones
        assert session.scalars(select(Zone)).first().carrier.name == "post"


def test_statements_without_a_known_place_are_refused_or_told_theirs(case: Databases):
    with case.session_factory()() as session:
        with pytest.raises(UnknownTableError, match="nobody"):
            session.execute(text("SELECT * FROM nobody"))
        with pytest.raises(RoutingError, match="cannot be parsed"):
            session.execute(text("SELEC 1"))
        assert session.scalar(text("SELECT 1")) == 1
        assert (
            session.scalar(text("SELECT current_database()"), bind_arguments={"database": "data"})
            == (urlsplit(case.data.address.conninfo).path[1:])
        )
        for wrong in (text("SELECT * FROM users"), select(User), select(User.__table__)):
            with pytest.raises(WrongDatabaseError, match="users: in primary, not in data"):
                session.execute(wrong, bind_arguments={"database": "data"})
        with pytest.raises(ConfigError, match="there is no database 'geo'"):
            session.execute(text("SELECT 1"), bind_arguments={"database": "geo"})


async def test_async_sessions_do_the_same(case: Databases):
    factory = case.async_session_factory()
    try:
        async with factory() as session:
            assert (await session.scalars(select(Carrier.name))).first() == "post"
            assert (await session.execute(text("SELECT name FROM users WHERE id > :id"), {"id": 0})).scalar() == "ann"
            await session.execute(update(User).where(User.id < 0).values(name="bob"))
            with pytest.raises(SecondDatabaseError):
                await session.execute(insert(Carrier), [{"name": "x"}])
        async with case.data.async_engine.connect() as connection:
            with pytest.raises(WrongDatabaseError):
                await connection.execute(text("SELECT * FROM users"))
        async with case.data.aconnection() as connection:
            assert await (await connection.execute("SELECT name FROM carriers WHERE id = %s", [1])).fetchone() == (
                "post",
            )
            with pytest.raises(WrongDatabaseError):
                await connection.execute("SELECT * FROM users")
            with pytest.raises(WrongDatabaseError):
                async with connection.cursor("named") as cursor:
                    await cursor.execute("SELECT * FROM users")
    finally:
        await case.aclose()


async def test_sessions_for_reading_have_no_transaction_around_a_statement(case: Databases):
    """Two round trips less; where each statement sees what is committed by then, nothing else differs."""
    lasts = text("SELECT now() FROM carriers"), text("SELECT pg_sleep(0.001), now() FROM carriers")
    try:
        for reading in (True, False):
            with case.session_factory(reading=reading)() as session:
                session.execute(select(User))
                first, later = (session.execute(one).first()[-1] for one in lasts)
                assert (first < later) is reading
            async with case.async_session_factory(reading=reading)() as session:
                first, later = [(await session.execute(one)).first()[-1] for one in lasts]
                assert (first < later) is reading
                with pytest.raises(AcrossDatabasesError):
                    await session.execute(text("SELECT 1 FROM users, carriers"))
    finally:
        await case.aclose()


def test_engines_refuse_the_other_databases_statements(case: Databases):
    with case.primary.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM users")).scalar() == 1
        with pytest.raises(WrongDatabaseError, match="zones: in data, not in primary"):
            connection.execute(select(Zone.__table__))
        with pytest.raises(WrongDatabaseError):
            connection.exec_driver_sql("SELECT * FROM zones WHERE id = %s", (1,))


def test_plain_connections_refuse_them_too(case: Databases):
    with case.data.connection() as connection:
        assert connection.execute("SELECT name FROM carriers WHERE name LIKE %s", ["p%"]).fetchone() == ("post",)
        for wrong in (
            "DELETE FROM users",
            b"DELETE FROM users",
            sql.SQL("DELETE FROM {}").format(sql.Identifier("users")),
        ):
            with pytest.raises(WrongDatabaseError, match="users: in primary, not in data"):
                connection.execute(wrong)
        cursor = connection.cursor()
        with pytest.raises(WrongDatabaseError):
            cursor.executemany("INSERT INTO users (name) VALUES (%s)", [["x"]])
        with pytest.raises(WrongDatabaseError), cursor.copy("COPY users FROM STDIN"):
            pass
        with pytest.raises(WrongDatabaseError):
            list(cursor.stream("SELECT * FROM users"))
        with connection.cursor("named") as named, pytest.raises(WrongDatabaseError):
            named.execute("SELECT * FROM users")
    with case.primary.connection() as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (1,)


def test_a_block_that_fails_is_rolled_back(case: Databases):
    with pytest.raises(ZeroDivisionError), case.data.connection() as connection:  # noqa: PT012
        connection.execute("INSERT INTO carriers (name) VALUES ('gone')")
        raise ZeroDivisionError
    with case.data.connection() as connection:
        assert connection.execute("SELECT 1 FROM carriers WHERE name = 'gone'").fetchone() is None


async def test_a_connection_comes_back_as_it_was(database: str):
    env = {"DATABASE_URL": f"{database}&connection_limit=1"}
    async with Databases.from_environment(None, env, dotenv=None) as databases:
        with databases.primary.connection() as connection:
            connection.autocommit = True
            connection.cursor_factory = psycopg.ClientCursor
        with databases.data.connection() as connection:
            assert (connection.autocommit, connection.cursor_factory.__name__) == (False, "CheckedCursor")
        async with databases.primary.aconnection() as connection:
            await connection.set_autocommit(True)
        async with databases.data.aconnection() as connection:
            assert not connection.autocommit


def test_cockroachdb_is_refused_by_name(cockroach: Simulator):
    databases = Databases.from_environment(None, {"DATABASE_URL": cockroach.url}, dotenv=None)
    with pytest.raises(NamedDatabaseError, match="this is CockroachDB; named databases are PostgreSQL only"):
        databases.check()


def _with(url: str, **parts: str) -> str:
    info = psycopg.conninfo.conninfo_to_dict(url) | parts
    user = f"{info.pop('user')}:{info.pop('password', '')}"
    name = info.pop("dbname")
    return f"postgresql://{user}@/{name}?" + "&".join(f"{key}={value}" for key, value in info.items())


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"user": "nobody_here"}, "DATABASE_URL: the server has no such role"),
        ({"dbname": "nothing_here"}, "DATABASE_URL: the server has no such database (nothing_here at "),
        ({"port": "1"}, "cannot be reached"),
    ],
)
def test_what_keeps_a_connection_from_opening_is_said(database: str, parts, said):
    url = _with(database, **{"password": "s3cret"} | parts)
    with Databases.from_environment(None, {"DATABASE_URL": url}, dotenv=None) as databases:
        for use in (databases.primary.connection, databases.primary.engine.connect):
            with pytest.raises(NamedDatabaseError) as told, use():
                pass
            assert said in str(told.value)
            assert "s3cret" not in str(told.value)


def test_a_schema_that_is_not_there_is_refused(database: str):
    env = {"DATABASE_URL": f"{database}&schema=nowhere"}
    with (
        Databases.from_environment(None, env, dotenv=None) as databases,
        pytest.raises(NamedDatabaseError, match="DATABASE_URL: there is no schema 'nowhere'"),
        databases.primary.connection(),
    ):
        pass


async def test_tasks_that_come_at_once_share_one_pool(database: str):
    async with Databases.from_environment(None, {"DATABASE_URL": database}, dotenv=None) as databases:

        async def ask() -> object:
            async with databases.primary.aconnection() as connection:
                return (await (await connection.execute("SELECT 1")).fetchone())[0]

        assert await asyncio.gather(*(ask() for _ in range(5))) == [1] * 5


def test_the_mode_can_be_shown(case: Databases):
    assert case.mode == ("split" if case.split else "single")


def test_a_pool_without_a_free_connection_says_so(database: str):
    env = {"DATABASE_URL": f"{database}&connection_limit=1&pool_timeout=60"}
    with Databases.from_environment(None, env, dotenv=None) as databases, databases.primary.connection():
        databases.primary._server.open().timeout = 0.01  # once it has its one connection
        with pytest.raises(NamedDatabaseUnavailableError, match="all 1 are in use"), databases.data.connection():
            pass


@pytest.fixture
def pooled(database: str) -> Iterator[str]:
    """The URL of a database behind PgBouncer in transaction mode, as an application has it."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL); CREATE SCHEMA app")
    with bouncer(database, size=3) as url:
        yield f"{url}&pgbouncer=true&connection_limit=3"


async def test_everything_works_through_a_pooler_in_transaction_mode(pooled: str):
    async with Databases.from_environment(None, {"DATABASE_URL": pooled}, dotenv=None) as databases:
        databases.declare("primary", User)
        for _ in range(12):  # psycopg would prepare the sixth
            with databases.session_factory().begin() as session:
                session.add(User(name="x"))
                session.execute(select(User).where(User.id == 1))
            with databases.primary.connection() as connection:
                connection.execute("SELECT * FROM users WHERE id = %s", [1])
            async with databases.async_session_factory()() as session:
                await session.execute(select(User).where(User.id == 1))
            async with databases.primary.aconnection() as connection:
                await connection.execute("SELECT * FROM users WHERE id = %s", [1])
        with databases.primary.connection() as connection:
            assert connection.execute("SELECT count(*) FROM users").fetchone() == (12,)
            assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


async def test_connections_that_a_pooler_has_closed_meanwhile_fail_no_request(database: str):
    """Those to the side of a move that does not serve are used by nobody until it does."""
    create(database, database)
    pooler = Pooler(database)
    pooler.start()
    try:
        async with Databases.from_environment(
            None, {"DATABASE_URL": f"{pooler.url}&pgbouncer=true&connection_limit=4"}, dotenv=None
        ) as databases:
            databases.declare("primary", User)

            async def asked() -> int:
                async with AsyncExitStack() as stack:  # all at once, so that each pool has several
                    for _ in range(2):
                        connection = stack.enter_context(databases.primary.connection())
                        connection.execute("SELECT 1 FROM users")
                        other = await stack.enter_async_context(databases.primary.aconnection())
                        await other.execute("SELECT 1 FROM users")
                        stack.enter_context(databases.session_factory()()).execute(select(User))
                        session = await stack.enter_async_context(databases.async_session_factory()())
                        await session.execute(select(User))
                return 8

            assert await asked() == 8
            for _ in range(2):
                pooler.kill()
                pooler.start()
                assert await asked() == 8
    finally:
        pooler.remove()


async def test_no_session_of_the_pooler_is_changed(database: str):
    create(database, database)
    with bouncer(database, size=4) as url:
        application = Application(url, size=4)
        before = application.sessions()
        async with Databases.from_environment(
            None, {"DATABASE_URL": f"{url}&pgbouncer=true"}, dotenv=None
        ) as databases:
            databases.declare("primary", User)
            databases.check()
            with databases.session_factory().begin() as session:
                session.add(User(name="x"))
            with databases.primary.connection() as connection:
                connection.execute("SELECT * FROM users WHERE id = %s", [1])
            async with databases.async_session_factory()() as session, databases.primary.aconnection() as connection:
                await session.execute(select(User))
                await connection.execute("SELECT * FROM users")
        assert application.changed(before) == {}
        application.close()


def test_what_needs_a_session_takes_the_direct_url_or_refuses(pooled: str, database: str):
    with Databases.from_environment(None, {"DATABASE_URL": pooled}, dotenv=None) as databases:
        with pytest.raises(NamedDatabaseError, match="leads through a pooler") as told:
            databases.primary.direct()
        assert "DIRECT_URL" in str(told.value)
    env = {"DATABASE_URL": pooled, "DIRECT_URL": database}
    with Databases.from_environment(None, env, dotenv=None) as databases, databases.primary.direct() as connection:
        connection.execute("LISTEN anything")
        assert databases.primary.direct_address.called == "DIRECT_URL"


def test_a_schema_that_the_pooler_cannot_set_is_refused_unless_the_server_sets_it(pooled: str, database: str):
    env = {"DATABASE_URL": f"{pooled}&schema=app"}
    with Databases.from_environment(None, env, dotenv=None) as databases:
        with pytest.raises(NamedDatabaseError, match="schema=app cannot be set through a pooler"):
            databases.primary.connection().__enter__()
        with psycopg.connect(database, autocommit=True) as connection:
            name = connection.info.dbname
            connection.execute(sql.SQL("ALTER DATABASE {} SET search_path = app").format(sql.Identifier(name)))
    with (
        bouncer(database) as url,
        Databases.from_environment(
            None, {"DATABASE_URL": f"{url}&pgbouncer=true&schema=app"}, dotenv=None
        ) as databases,
        databases.primary.connection() as connection,
    ):
        assert connection.execute("SELECT current_schema()").fetchone() == ("app",)


def test_a_schema_is_set_where_there_is_no_pooler(database: str):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute('CREATE SCHEMA "Odd one"; CREATE TABLE "Odd one".users (id int)')
    env = {"DATABASE_URL": f"{database}&schema=Odd%20one"}
    with Databases.from_environment(None, env, dotenv=None) as databases:
        with databases.primary.connection() as connection:
            assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)
        with databases.primary.engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM users")).scalar() == 0
