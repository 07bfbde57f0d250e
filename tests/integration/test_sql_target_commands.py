"""A PostgreSQL as a target, through the commands: installed, filled, followed, looked at, refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests import engines
from tests.copies import Copy

TABLES = """
    CREATE TABLE person (id int PRIMARY KEY, email text UNIQUE, boss int REFERENCES person DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE visit (
        person int REFERENCES person ON DELETE CASCADE, day date, minutes numeric(6,2), tags text[],
        hours numeric GENERATED ALWAYS AS (minutes / 60) STORED, PRIMARY KEY (person, day)
    );
"""
ROWS = """
    INSERT INTO person SELECT n, 'p' || n, 1 + n % 50 FROM generate_series(1, 300) AS n;
    INSERT INTO visit SELECT n, date '2024-02-01' + n % 30, n / 7.0, ARRAY['a"b', NULL, 'c,d'] FROM generate_series(1, 300) AS n;
"""


@pytest.fixture
def copy(postgres, database, tmp_path: Path) -> Iterator[Copy]:
    with engines.fresh_database(postgres.url) as other:
        made = Copy(database, other, tmp_path)
        made.both(TABLES)
        yield made
        made.close()


def test_from_nothing_to_equal_followed_and_swept(copy: Copy) -> None:
    copy.here.execute(ROWS)
    copy.there.execute("INSERT INTO person VALUES (9999, 'stray'), (9998, 'p7')")
    copy.configure("person visit")
    assert 'target_table = "public.visit"' in copy("config", "show")
    assert "valid, 2 entities" in copy("config", "check")
    assert "public.person in the target has rows" in copy("install", "--yes")
    assert "has rows" not in copy("install", "--check")
    with copy.worker():
        copy.drained()
        assert copy.difference("person", "visit") == [("person", "(9999,stray,)")]
        copy.here.execute("UPDATE visit SET minutes = minutes + 1; UPDATE person SET email = NULL WHERE id % 9 = 0")
        copy.here.execute("UPDATE person SET boss = NULL WHERE boss = 5; DELETE FROM person WHERE id = 5")
        copy.drained()
        assert len(copy.difference("person", "visit")) == 1
        status = copy.json("status")
        assert status["databases"]["target"]["state"] == "connected"
        assert status["databases"]["postgresql"]["state"] == "connected"
        assert status["sync"]["failedEvents"] == 0
        copy.there.execute("DELETE FROM visit WHERE person < 20; UPDATE person SET email = 'x' || id WHERE id > 290")
        copy("backfill")
        copy.drained()
        assert copy.difference("person", "visit") == []
        copy.here.execute("TRUNCATE visit")
        copy.until("SELECT count(*) = 0 FROM visit", there=True)


def test_one_record_is_explained_by_both_rows(copy: Copy) -> None:
    copy.here.execute("INSERT INTO person VALUES (1, 'a')")
    copy.configure("[entities.person]\nmask = ['email']\n")
    copy("install", "--yes")
    assert "target row of public.person: none" in copy("explain", "person", "1")
    with copy.worker():
        copy.drained()
        found = copy.json("explain", "person", "1")
        assert found["verdict"] == "Nothing is waiting: the target row is equal to the row."
        assert found["document"] == {"id": "1", "email": "a", "boss": None}
        assert found["lane"]["owner"]
    copy.there.execute("UPDATE person SET email = 'b'")
    found = copy.json("explain", "person", "1")
    assert found["verdict"].startswith("Nothing is waiting, and the target row differs from the row in email")
    assert found["differences"] == [{"field": "email", "source": {"$masked": True}, "target": {"$masked": True}}]
    assert "There is no such row and no target row" in copy("explain", "person", "2")


def test_what_only_the_target_forbids_is_parked_with_column_and_reason(copy: Copy) -> None:
    copy.there.execute("ALTER TABLE person ALTER email TYPE varchar(5), ADD CHECK (id < 100)")
    copy.configure("person")
    copy("install", "--yes")
    with copy.worker():
        copy.here.execute("INSERT INTO person VALUES (1, 'short'), (2, 'much longer'), (200, 'x')")
        copy.until("SELECT count(*) FROM syncline.parked", is_=2)
        parked = {one["key"]: one for one in copy.json("parked", "list")["parked"]}
        assert parked["2"]["code"] == "too_long"
        assert "column email" in parked["2"]["error"]
        assert parked["200"]["code"] == "check"
        assert "person_id_check" in parked["200"]["error"]
        copy.there.execute("ALTER TABLE person ALTER email TYPE text, DROP CONSTRAINT person_id_check")
        copy("parked", "retry", "--all")
        copy.until("SELECT NOT EXISTS (SELECT FROM syncline.parked)")
        copy.drained()
        assert copy.difference("person") == []


def test_an_outage_of_the_target_costs_nothing(copy: Copy) -> None:
    copy.configure("person visit")
    copy("install", "--yes")
    name = copy.there.info.dbname
    with (
        copy.worker(),
        psycopg.connect(copy.source.replace(copy.here.info.dbname, "postgres"), autocommit=True) as admin,
    ):
        copy.until("SELECT count(*) > 0 FROM syncline.lane WHERE owner IS NOT NULL")
        copy.there.close()
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        copy.here.execute(ROWS)
        assert copy.json("status", status=1)["databases"]["target"]["state"] == "disconnected"
        copy.until("SELECT count(*) > 0 FROM syncline.waiting")
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        copy.there = psycopg.connect(copy.target, autocommit=True)
        copy.drained()
        assert copy.here.execute("SELECT count(*) FROM syncline.parked").fetchone() == (0,)
        assert copy.difference("person", "visit") == []


def test_writes_say_whose_they_are_and_reach_the_disk(copy: Copy) -> None:
    copy.there.execute(
        "CREATE TABLE seen (link text, durable text);"
        " CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES"
        " (current_setting('syncline.link', true), current_setting('synchronous_commit')); RETURN NULL; END $$;"
        " CREATE TRIGGER see AFTER INSERT ON person FOR EACH STATEMENT EXECUTE FUNCTION see()"
    )
    copy.configure("person")
    copy("install", "--yes")
    with copy.worker():
        copy.here.execute("INSERT INTO person VALUES (1, 'a')")
        copy.drained()
    assert copy.there.execute("SELECT DISTINCT link, durable FROM seen").fetchall() == [("syncline", "on")]


def test_rows_go_to_another_table_by_declared_renames_and_drops(copy: Copy) -> None:
    copy.here.execute(ROWS)
    copy.there.execute("CREATE SCHEMA people; CREATE TABLE people.copies (key int PRIMARY KEY, mail text, called text)")
    copy.configure("""
        [entities.person]
        target_table = "people.copies"
        where = "id < 50"
        rename = { id = "key", email = "mail" }
        exclude = ["boss"]
        computed.called = "'No ' || id"
    """)
    copy("install", "--yes")
    with copy.worker():
        copy.drained()
        wanted = copy.here.execute("SELECT id, email, 'No ' || id FROM person WHERE id < 50 ORDER BY id").fetchall()
        assert copy.there.execute("SELECT * FROM people.copies ORDER BY key").fetchall() == wanted
        copy.here.execute(
            "DELETE FROM visit; UPDATE person SET boss = NULL; UPDATE person SET email = 'new' WHERE id = 3; UPDATE person SET id = 1003 WHERE id = 30"
        )
        copy.drained()
        found = "SELECT array_agg(mail ORDER BY key) FROM people.copies WHERE key IN (3, 30, 1003)"
        assert copy.there.execute(found).fetchone() == (["new"],)


@pytest.mark.parametrize(
    ("ddl", "entities", "says"),
    [
        ("DROP TABLE visit", "person visit", "the target has no table public.visit"),
        ("DROP TABLE visit; ALTER TABLE person DROP email", "person visit", "has no column email; the target has no"),
        ("ALTER TABLE person DROP email", "person", "or leave it out: `exclude`"),
        (
            "ALTER TABLE visit DROP CONSTRAINT visit_pkey",
            "visit",
            "nothing makes the key (person, day) of public.visit",
        ),
    ],
)
def test_a_table_that_cannot_be_a_target_is_refused_before_anything_is_changed(
    copy: Copy, ddl: str, entities: str, says: str
) -> None:
    copy.there.execute(ddl)
    copy.configure(entities)
    assert says in copy.refused("install", "--yes")
    assert copy.here.execute("SELECT to_regclass('syncline.meta')").fetchone() == (None,)


def test_a_table_is_never_kept_equal_to_itself(copy: Copy) -> None:
    copy.configure("person", target=f'url = "{copy.source}"\n')
    assert "source and target are one database" in copy.refused("config", "check", "--offline")
    copy.configure("person")
    copy("install", "--yes")
    spelt = re.sub(r"host=([^&]+)", r"host=\1/", copy.source)
    assert spelt != copy.source
    copy.configure("person", target=f'url = "{spelt}"\n')
    assert "source and target are one database" in copy.refused("config", "check")
    assert "source and target are one database" in copy.refused("install", "--yes")
    with copy.worker() as worker:
        assert worker.wait(60) == 3
    assert "source and target are one database" in copy.log.read_text()


def test_another_table_of_the_same_database_may_be_the_target(copy: Copy) -> None:
    copy.here.execute("CREATE TABLE other (LIKE person INCLUDING ALL)")
    copy.configure('[entities.person]\ntarget_table = "other"\n', target=f'url = "{copy.source}"\n')
    copy("install", "--yes")
    with copy.worker():
        copy.here.execute("INSERT INTO person VALUES (1, 'a')")
        copy.until("SELECT count(*) FROM other", is_=1)


def test_a_key_that_is_not_the_primary_key_of_the_target_is_the_one_that_counts(copy: Copy) -> None:
    copy.there.execute(
        "ALTER TABLE person DROP CONSTRAINT person_boss_fkey; ALTER TABLE visit DROP CONSTRAINT visit_person_fkey"
    )
    copy.there.execute(
        "ALTER TABLE person DROP CONSTRAINT person_pkey, ADD UNIQUE (id), ADD row int GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    )
    copy.configure("person")
    copy("install", "--yes")
    with copy.worker():
        copy.here.execute(
            "INSERT INTO person VALUES (5, 'a'), (6, 'b'); DELETE FROM person WHERE id = 6; UPDATE person SET email = 'c'"
        )
        copy.drained()
        assert copy.there.execute("SELECT id, email FROM person").fetchall() == [(5, "c")]
    assert "changed since the installation" not in copy.log.read_text()


@pytest.mark.parametrize(
    ("target", "entities", "says"),
    [
        ('url = "cockroachdb://u@h/d"', "person", "CockroachDB cannot be a target"),
        ('url = "postgresql://u@h/d?pgbouncer=true"', "person", "written directly, without a pooler"),
        ('url = "postgresql://u@h"', "person", "no target database named"),
        ('url = "postgresql://u@h/d"\ndatabase = "e"', "person", "the URL of a PostgreSQL names the database"),
        ('url = "postgresql://u@h/d"\nname = "postgresql"', "person", "both called 'postgresql'"),
        ('url = "postgresql://u@h/d"\ncontrol_schema = "syncline"', "person", "somebody else's schema"),
        ('url = "mysql://u@h/d"', "person", "of a PostgreSQL, postgresql://"),
        ('url = "postgresql://u@h/d"', "[entities.person]\ncollection = 'x'", "name the place by `target_table`"),
        ('url = "mongodb://h/d"', "[entities.person]\ntarget_table = 'x'", "name the place by `collection`"),
        ('url = "postgresql://u@h/d"', "[entities.person]\ntarget_table = 'a.b.c'", "not a table"),
        ('url = "postgresql://u@h/d"', "[entities.person]\ntarget_table = 'syncline_target.x'", "Syncline's own"),
        ('url = "postgresql://u@h/d"', "[entities.person]\ndates = 'text'", "take `dates` out"),
        ('url = "postgresql://u@h/d"', "[entities.person]\ntypes = { id = 'text' }", "types of their own"),
        ('url = "postgresql://u@h/d"', "[entities.person]\nrename = { email = 'a.b' }", "to a name without a dot"),
        ('url = "postgresql://u@h/d"', "[[entities.person.indexes]]\nkeys = 'email'", "CREATE INDEX there"),
        ('url = "postgresql://u@h/d"', "[entities.person.embed.visits]\ntable = 'visit'\non = 'person'", "of its own"),
        ('url = "postgresql://u@h/d"', "[entities.person]\n[entities.p]\ntable = 'person'", "one entity owns the rows"),
    ],
)
def test_a_configuration_that_has_no_meaning_is_refused(copy: Copy, target: str, entities: str, says: str) -> None:
    copy.configure(entities, target=target + "\n")
    assert says in copy.refused("config", "check")


def test_a_mongodb_url_of_the_environment_does_not_replace_a_postgresql_target(copy: Copy, monkeypatch) -> None:
    monkeypatch.setenv("MONGODB_URL", "mongodb://elsewhere/db")
    copy.configure("person")
    assert copy.json("config", "show")["target"]["url"].startswith("postgresql://")
