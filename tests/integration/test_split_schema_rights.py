"""A move by roles of a managed service: no superuser, no replication, no event triggers; or too few rights, said."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
import pytest

from syncline.errors import SchemaMoveError
from syncline.split.schema.carrying import carry_out
from syncline.split.schema.comparing import compare
from syncline.split.schema.things import Phase
from tests import engines
from tests.bouncer import bouncer, version
from tests.integration.moving_case import planned

ROLE = "mover_of_schemas"
TABLES = """
CREATE SCHEMA ref;
CREATE EXTENSION citext WITH SCHEMA public;
CREATE TYPE ref.mood AS ENUM ('sad', 'happy');
CREATE FUNCTION ref.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TABLE ref.a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood ref.mood, name public.citext);
CREATE TABLE ref.b (id serial PRIMARY KEY, a int REFERENCES ref.a);
CREATE TRIGGER stamp BEFORE UPDATE ON ref.a FOR EACH ROW EXECUTE FUNCTION ref.stamp();
ALTER TABLE ref.a ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY every ON ref.a USING (true);
CREATE MATERIALIZED VIEW ref.m AS SELECT count(*) FROM ref.b;
CREATE TABLE users (id int PRIMARY KEY);
"""


@pytest.fixture
def sides(postgres) -> Iterator[tuple[psycopg.Connection, psycopg.Connection, psycopg.Connection]]:
    """The source and the target as a role of a managed service, which owns both; and the target as an administrator."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(psycopg.connect(postgres.url, autocommit=True))
        server.execute(f"CREATE ROLE {ROLE} LOGIN NOSUPERUSER NOREPLICATION NOBYPASSRLS")
        stack.callback(server.execute, f"DROP ROLE {ROLE}")
        urls = [stack.enter_context(engines.fresh_database(postgres.url)) for _ in range(2)]
        for url in urls:
            with psycopg.connect(url, autocommit=True) as owner:
                owner.execute(f"ALTER DATABASE {owner.info.dbname} OWNER TO {ROLE}")
        poor = [
            stack.enter_context(psycopg.connect(url.replace("postgres@", f"{ROLE}@"), autocommit=True)) for url in urls
        ]
        admin = stack.enter_context(psycopg.connect(urls[1], autocommit=True))
        yield (*poor, admin)


def test_the_owner_of_both_databases_moves_everything(sides):
    source, target, _ = sides
    source.execute(TABLES)
    for phase in Phase:
        carry_out(planned(source, target), target, phase)
    assert compare(source, target, planned(source, target).tables, opened=True) == []


def test_a_role_that_may_not_create_is_told_so_and_what_then(sides):
    source, target, admin = sides
    source.execute(TABLES)
    admin.execute(f"ALTER DATABASE {admin.info.dbname} OWNER TO postgres")
    told = {one.id: one.remedy for one in planned(source, target).obstacles}
    assert told == {
        "extension:citext": "let an administrator run there: CREATE EXTENSION citext SCHEMA public",
        "rights:create": f"GRANT CREATE ON DATABASE … TO {ROLE}, or let an administrator make the schema ref",
    }
    admin.execute("CREATE EXTENSION citext SCHEMA public")
    admin.execute(f"CREATE SCHEMA ref AUTHORIZATION {ROLE}")
    assert planned(source, target).obstacles == ()
    admin.execute("ALTER SCHEMA ref OWNER TO postgres")
    plan = planned(source, target)
    with pytest.raises(SchemaMoveError, match="permission denied"):
        carry_out(plan, target, Phase.BEFORE)


def test_through_a_pooler_in_transaction_mode(sides, postgres):
    """And no session of it keeps anything of ours."""
    source, target, _ = sides
    source.execute(TABLES)
    version()
    direct = postgres.url.replace("postgres@", f"{ROLE}@")
    with contextlib.ExitStack() as stack:
        urls = [
            stack.enter_context(bouncer(direct.replace("/postgres?", f"/{side.info.dbname}?"), size=2))
            for side in (source, target)
        ]
        here, there = (
            stack.enter_context(psycopg.connect(url, autocommit=True, prepare_threshold=None)) for url in urls
        )
        for phase in Phase:
            carry_out(planned(here, there), there, phase)
        assert compare(here, there, planned(here, there).tables, opened=True) == []
        for one in (here, there):
            kept = "SELECT current_setting('search_path'), current_setting('quote_all_identifiers')"
            assert one.execute(kept).fetchone() == ('"$user", public', "off")
