"""The SQL of `where` and of computed fields: one path for everybody, nothing but the row's own columns: cases 11 and 12."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from syncline.capture.postgres.install import InstallOptions, install, plan
from syncline.engines.postgres.condition import check_condition
from syncline.engines.postgres.plans import compile_plans
from syncline.errors import MappingError
from syncline.insight.explain import explain
from syncline.model.entity import Computed, Embed, Fields, TableName
from syncline.postgres.connection import connect
from syncline.postgres.path import pin_path
from tests.pairs import entity, kinds, paired

CITEXT = """
CREATE SCHEMA ext;
CREATE EXTENSION citext SCHEMA ext;
CREATE TABLE t (id int PRIMARY KEY, mail ext.citext);
"""
BOSS = entity("t", where="mail = 'boss@x.org'", fields=Fields(computed={"boss": Computed("mail LIKE 'BOSS%'")}))


def with_path(url: str, path: str) -> str:
    return f"{url}&options=-csearch_path%3D{path.replace(',', '%2C')}"


@pytest.mark.parametrize("theirs", ["public", "ext,public", "pg_catalog"])
async def test_11_where_and_computed_mean_the_same_for_everybody(theirs, database, mongo_url, mongo_db):
    """Case 11: the path of the first installation, whatever that of the worker's, the verifier's or a later installer's role."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(CITEXT)
    async with await psycopg.AsyncConnection.connect(with_path(database, "public,ext"), autocommit=True) as conn:
        await install(conn, await plan(conn, [BOSS]))
    async with paired(with_path(database, theirs), mongo_url, mongo_db, "SELECT", [BOSS]) as pair:
        for connection in (pair.pages, pair.looks):
            await pin_path(connection)
        pair.sql("INSERT INTO public.t VALUES (1, 'BOSS@x.org'), (2, 'other@x.org')")
        async with pair.worker() as relay:
            await relay.drained()
        assert [(d["_id"], d["boss"]) for d in pair.docs["t"].find()] == [(1, True)]
        assert kinds(await pair.verify()) == {}
        fresh = await connect(with_path(database, theirs))
        explanation = await explain(fresh, pair.target, BOSS, "1")
        await fresh.close()
        assert explanation.included
        await check_condition(pair.looks, pair.plan("t"), "mail = 'boss@X.org'")
        warnings = (await planned(with_path(database, theirs), BOSS)).warnings
        assert ["as recorded by the first installation" in line for line in warnings] == [True]


async def planned(url, *entities, **options):
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        return await plan(conn, entities, InstallOptions(**options))


async def test_11_a_path_in_the_configuration_is_recorded_and_marks_what_it_concerns(database, mongo_url, mongo_db):
    """Case 11: a change of the path changes what expressions mean."""
    plain = entity("plain")
    ddl = CITEXT + "CREATE TABLE plain (id int PRIMARY KEY)"
    async with paired(database, mongo_url, mongo_db, ddl, [BOSS, plain]) as pair:
        before = {one.name: one.projection.fingerprint for one in pair.plans.values()}
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
            made = await plan(conn, [BOSS, plain], InstallOptions(search_path=("ext", "public")))
            assert made.summary == ['where and computed fields: search_path is "ext", "public" now']
            await install(conn, made)
            assert not (await plan(conn, [BOSS, plain])).changes
        plans = (await compile_plans(pair.pages, [BOSS, plain])).by_id.values()
        after = {one.name: one.projection.fingerprint for one in plans}
        assert [before[name] == after[name] for name in ("t", "plain")] == [False, True]
        with pytest.raises(MappingError, match="there is no schema nowhere"):
            await planned(database, BOSS, search_path=("nowhere",))


async def test_11_a_role_that_may_not_use_a_schema_of_the_path_stops_that_entity(database, mongo_db):
    """A sibling of case 11: PostgreSQL passes such a schema over without a word, and `=` compares as text."""
    role = f"reader_{mongo_db}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(CITEXT + "CREATE TABLE plain (id int PRIMARY KEY)")
        conn.execute(f"CREATE ROLE {role} LOGIN")
        async with await psycopg.AsyncConnection.connect(
            with_path(database, "public,ext"), autocommit=True
        ) as installer:
            options = InstallOptions(worker_role=role)
            await install(installer, await plan(installer, [BOSS, entity("plain")], options))
        conn.execute(f"REVOKE USAGE ON SCHEMA ext FROM {role}, PUBLIC")
        connection = await connect(database.replace("postgres@", f"{role}@"))
        plans = await compile_plans(connection, [BOSS, entity("plain")])
        await connection.close()
        conn.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert [one.name for one in plans.by_id.values()] == ["plain"]
    assert f'GRANT USAGE ON SCHEMA ext TO "{role}"' in plans.problems["t"].message


READING = """
CREATE TABLE actor (id int PRIMARY KEY, name text);
CREATE TABLE film (id int PRIMARY KEY, actor_id int, n int, parent int, tags text[], at timestamptz, j jsonb);
CREATE TABLE role (id int PRIMARY KEY, film_id int, title text);
CREATE VIEW names AS SELECT * FROM actor;
CREATE FUNCTION by_sql(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT name FROM actor WHERE id = $1';
CREATE FUNCTION by_body(i int) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC SELECT name FROM actor WHERE id = i; END;
CREATE FUNCTION by_code(i int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RETURN (SELECT name FROM "actor" WHERE id = i); END $$;
CREATE FUNCTION has_actor(int, int) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM public.actor WHERE id = $1)';
CREATE OPERATOR @@@ (LEFTARG = int, RIGHTARG = int, FUNCTION = has_actor);
CREATE FUNCTION doubled(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    -- nothing is read from actor
    RETURN i * 2 + length('from actor'); END $$;
"""
READS = {
    "a scalar subquery": "(select a.name from public.actor a where a.id = actor_id)",
    "exists": "exists (select from actor where id = actor_id)",
    "in": "actor_id in (select id from actor)",
    "a view": "(select name from names where names.id = actor_id)",
    "an uncorrelated subquery": "n > (select count(*) from actor)",
    "other rows of the same table": "(select count(*) from film f where f.parent = film.id)",
    "a function": "by_sql(actor_id)",
    "a function with a parsed body": "by_body(actor_id)",
    "a function in PL/pgSQL that says it is immutable": "by_code(actor_id)",
    "an operator": "actor_id @@@ n",
    "within a larger expression": "coalesce(n, 0) + (select max(id) from actor)",
    "never reached": "case when false then (select max(id) from actor) end",
}
OWN = {
    "arithmetic": "n * 2",
    "an array unnested": "(select string_agg(x, ',') from unnest(tags) as x)",
    "json unnested": "(select count(*) from jsonb_array_elements(j))",
    "extract from": "extract(year from at)",
    "a function": "doubled(n)",
    "the words in a text": "'select from actor'",
    "trim from": "trim(both ' ' from tags[1])",
}


@pytest.mark.parametrize("what", READS)
@pytest.mark.parametrize("place", ["computed", "where", "embed"])
async def test_12_what_reads_other_rows_is_refused(what, place, database):
    """Case 12: a change of those rows would leave documents stale, and nobody would know."""
    sql = READS[what]
    if place == "computed":
        one = entity("film", fields=Fields(computed={"x": Computed(sql)}))
    elif place == "where":
        one = entity("film", where=f"({sql}) IS NOT NULL")
    else:
        embed = Embed("films", TableName("public", "film"), ("actor_id",), fields=Fields(computed={"x": Computed(sql)}))
        one = entity("actor", embeds=(embed,))
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(READING)
    with pytest.raises(MappingError) as raised:
        await planned(database, one)
    named = {"computed": "computed.x of [entities.film]", "where": "where of [entities.film]"}
    assert raised.value.message.startswith(named.get(place, "computed.x of [entities.actor.embed.films]"))
    assert " reads " in raised.value.message
    assert "actor" in raised.value.message or "film" in raised.value.message
    assert "embed that table" in (raised.value.hint or "")


async def test_12_what_follows_its_own_row_is_accepted(database):
    computed = {f"f{place}": Computed(sql) for place, sql in enumerate(OWN.values())}
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(READING)
    one = entity("film", fields=Fields(computed=computed), where="n > 0 -- all of them")
    made = await planned(database, one)
    assert made.warnings == []


UNSTEADY = [
    "at < now()",
    "current_date > at",
    "random() < 0.5",
    "current_user = 'x'",
    "age(at) > '1 day' or at < clock_timestamp()",
]


@pytest.mark.parametrize("sql", UNSTEADY)
async def test_12_what_follows_the_clock_or_the_session_is_warned_of(sql, database):
    """A sibling of case 12: no write says that time has passed."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(READING)
    made = await planned(database, entity("film", where=sql))
    assert ["where of [entities.film] depends on " in line for line in made.warnings] == [True]


WRONG = ["nope + 1", "n +", "n), (n", "n; drop table film", "$1", "lower(n)", "%s", "sum(n) over (", "1 / 0"]


@pytest.mark.parametrize("sql", WRONG)
async def test_an_expression_that_does_not_fit_is_named_with_its_section(sql, database):
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(READING)
    with pytest.raises(MappingError, match=r"^computed.x of \[entities.film\] does not fit public.film: ") as raised:
        await planned(database, entity("film", fields=Fields(computed={"x": Computed(sql)})))
    assert "over the columns of public.film" in (raised.value.hint or "")
    with pytest.raises(MappingError, match=r"^where of \[entities.film\] does not fit"):
        await planned(database, replace(entity("film"), where=f"n = {sql}"))


async def test_a_condition_that_is_no_condition_is_refused(database):
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(READING)
    with pytest.raises(MappingError, match="cannot cast type text\\[\\] to boolean"):
        await planned(database, entity("film", where="tags"))
