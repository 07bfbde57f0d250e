"""A moving table that is altered while it moves: the other side is altered likewise, or its move stops and says why."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import psycopg
import pytest

from syncline.split.names import Name
from syncline.split.schema.changes import Change, changed, is_widening
from syncline.split.schema.comparing import compare
from syncline.split.schema.definitions import Definition, read_definitions
from tests import engines

BEGIN = """
DROP SCHEMA IF EXISTS ref CASCADE;
CREATE SCHEMA ref;
CREATE TABLE ref.parent (id int PRIMARY KEY);
CREATE TABLE ref.stays (id int PRIMARY KEY);
CREATE TABLE ref.t (id int PRIMARY KEY, a int DEFAULT 3, note varchar(10) NOT NULL, "Odd "" col%" int, n numeric(5, 2), kept text,
    moment timestamp(3), g int GENERATED ALWAYS AS (a * 2) STORED,
    CONSTRAINT positive CHECK (a > 0), CONSTRAINT unproved CHECK (a < 100) NOT VALID, UNIQUE (note));
CREATE INDEX t_a ON ref.t (a);
COMMENT ON COLUMN ref.t.a IS 'a number';
COMMENT ON INDEX ref.t_a IS 'by number';
GRANT SELECT ON ref.t TO PUBLIC;
INSERT INTO ref.t SELECT i, i, 'n' || i, i, i FROM generate_series(1, 5) AS i;
"""
FOLLOWED = (
    "ADD COLUMN b int",
    "ADD COLUMN b int DEFAULT 5",
    "ADD COLUMN b text NOT NULL DEFAULT 'it''s \\ 100%'",
    "ADD COLUMN b timestamptz DEFAULT now()",
    "ADD COLUMN b int[] DEFAULT '{1,2}', ADD COLUMN c jsonb DEFAULT '{\"a\": \"b\\\\c\"}'",
    "ADD COLUMN b int; ALTER TABLE ref.t ALTER b SET DEFAULT 5",
    "ADD COLUMN b int DEFAULT 5; ALTER TABLE ref.t ALTER b DROP DEFAULT",
    "ADD COLUMN b int; UPDATE ref.t SET b = id; ALTER TABLE ref.t ALTER b SET NOT NULL",
    "ADD COLUMN b int GENERATED ALWAYS AS (a + 1) STORED",
    "ADD COLUMN b text COLLATE \"C\"; ALTER TABLE ref.t ALTER b SET STORAGE EXTERNAL, ALTER b SET STATISTICS 9; COMMENT ON COLUMN ref.t.b IS 'new'",
    "ADD COLUMN b int UNIQUE",
    "ADD COLUMN b int CHECK (b > 0)",
    "DROP COLUMN kept",
    "DROP COLUMN a CASCADE",
    'DROP COLUMN "Odd "" col%"',
    "ALTER a SET DEFAULT 9",
    "ALTER a DROP DEFAULT",
    "ALTER a SET NOT NULL",
    "ALTER note DROP NOT NULL",
    "ALTER note TYPE varchar(20)",
    "ALTER note TYPE text",
    'ALTER "Odd "" col%" TYPE bigint',
    "ALTER n TYPE numeric(9, 2)",
    "ALTER moment TYPE timestamp",
    "ALTER g DROP EXPRESSION",
    "ALTER kept SET STORAGE EXTERNAL, ALTER kept SET COMPRESSION pglz, ALTER kept SET STATISTICS 50, ALTER a SET (n_distinct = 7)",
    "ADD CONSTRAINT more CHECK (a < 1000)",
    "ADD CONSTRAINT more CHECK (a < 1000) NOT VALID",
    "VALIDATE CONSTRAINT unproved",
    "DROP CONSTRAINT positive",
    "DROP CONSTRAINT positive, ADD CONSTRAINT positive CHECK (a > -1)",
    "RENAME CONSTRAINT positive TO above_zero",
    "ADD CONSTRAINT one UNIQUE (a, note)",
    "DROP CONSTRAINT t_note_key",
    "ADD CONSTRAINT up FOREIGN KEY (a) REFERENCES ref.parent NOT VALID",
    "SET (fillfactor = 50, autovacuum_enabled = false); ALTER TABLE ref.t RESET (autovacuum_enabled)",
    "REPLICA IDENTITY FULL",
    "ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON ref.t USING (a > 0)",
    "SET UNLOGGED",
    "CLUSTER ON t_a; CREATE INDEX t_more ON ref.t (lower(note)) WHERE a > 2; DROP INDEX ref.t_a",
    "SET LOGGED; COMMENT ON TABLE ref.t IS 'it''s'; COMMENT ON COLUMN ref.t.a IS NULL; COMMENT ON INDEX ref.t_a IS 'other'",
    "SET LOGGED; REVOKE SELECT ON ref.t FROM PUBLIC; GRANT UPDATE (note) ON ref.t TO PUBLIC",
    "SET LOGGED; CREATE STATISTICS ref.s ON a, note FROM ref.t",
)  # fmt: skip
STOPPED = {
    "RENAME TO u": "the table ref.t was renamed to ref.u",
    "RENAME COLUMN a TO b": "the column a of ref.t was renamed to b",
    "ADD COLUMN b uuid DEFAULT gen_random_uuid()": "the column b came with the default gen_random_uuid(), which gave each row of ref.t a value of its own",
    "ADD COLUMN b bigint GENERATED ALWAYS AS IDENTITY": "the column b came with the identity, which gave each row of ref.t a value of its own",
    "ALTER note TYPE varchar(5)": "the column note of ref.t was changed from character varying(10) to character varying(5)",
    "ALTER kept TYPE int USING 1": "the column kept of ref.t was changed from text to integer",
    "ALTER n TYPE numeric(9, 4)": "the column n of ref.t was changed from numeric(5,2) to numeric(9,4)",
    'ALTER note TYPE varchar(10) COLLATE "C"': "the column note of ref.t was changed in its collation",
    "DROP COLUMN kept; ALTER TABLE ref.t ADD COLUMN kept text": "the column kept of ref.t was dropped and added anew",
    "DROP CONSTRAINT t_pkey": "the primary key of ref.t was dropped",
    "ADD CONSTRAINT across FOREIGN KEY (id) REFERENCES ref.stays NOT VALID": "ref.t was given a foreign key to a table that stays: across FOREIGN KEY (id) REFERENCES ref.stays(id) NOT VALID",
}  # fmt: skip
UNALTERED = (
    "INSERT INTO ref.t VALUES (9, 9, 'nine')",
    "VACUUM FULL ref.t",
    "TRUNCATE ref.t",
    "ANALYZE ref.t",
    "REINDEX TABLE ref.t",
)


class Both:
    """The same table in two databases."""

    def __init__(self, source: psycopg.Connection, target: psycopg.Connection) -> None:
        self.source, self.target = source, target
        for side in (source, target):
            side.execute(BEGIN)
        (self.oid, parent) = source.execute(
            "SELECT 'ref.t'::regclass::oid::bigint, 'ref.parent'::regclass::oid::bigint"
        ).fetchone()
        self.moving = frozenset({self.oid, parent})
        self.known = self.read()

    def read(self) -> Definition | None:
        return read_definitions(self.source, [self.oid]).get(self.oid)

    def change(self) -> Change:
        return changed(self.known, self.read(), moving=self.moving, major=self.target.info.server_version // 10_000)

    def follow(self, change: Change, rows: str = "SELECT") -> None:
        for statement in (*change.before, rows, *change.after):
            self.target.execute(statement.encode())

    def differences(self) -> list[str]:
        return [str(one) for one in compare(self.source, self.target, [Name("ref", "t")])]

    def rows(self, side: psycopg.Connection) -> list:
        return side.execute("SELECT to_jsonb(t) FROM ref.t ORDER BY id").fetchall()


@pytest.fixture(scope="module")
def sides(postgres) -> Iterator[tuple[psycopg.Connection, psycopg.Connection]]:
    with (
        engines.fresh_database(postgres.url) as one,
        engines.fresh_database(postgres.url) as other,
        psycopg.connect(one, autocommit=True) as source,
        psycopg.connect(other, autocommit=True) as target,
    ):
        yield source, target


@pytest.fixture
def both(sides) -> Both:
    return Both(*sides)


@pytest.mark.parametrize("alter", FOLLOWED)
def test_an_alteration_is_followed(both, alter):
    both.source.execute(f"ALTER TABLE ref.t {alter}".encode())
    change = both.change()
    assert change.stop == []
    rows = [statement for statement in alter.split(";") if "UPDATE ref" in statement]  # by the link
    both.follow(change, *rows)
    assert both.differences() == []
    assert both.rows(both.target) == both.rows(both.source)
    both.known = Definition.from_json(both.read().as_json())
    assert (both.change().before, both.change().after, both.change().stop) == ([], [], [])


@pytest.mark.parametrize(("alter", "reason"), STOPPED.items(), ids=STOPPED.keys())
def test_what_cannot_be_followed_stops_the_table_and_is_named(both, alter, reason):
    both.source.execute(f"ALTER TABLE ref.t {alter}".encode())
    change = both.change()
    assert change.stop == [reason]
    assert not change.followed


def test_a_dropped_table_is_named(both):
    both.source.execute("DROP TABLE ref.t")
    assert both.change().stop == ["the table ref.t was dropped"]


@pytest.mark.parametrize("statement", UNALTERED)
def test_what_alters_nothing_changes_no_fingerprint(both, statement):
    both.source.execute(statement)
    assert both.read().fingerprint == both.known.fingerprint
    assert (both.change().before, both.change().after, both.change().stop) == ([], [], [])


def test_an_alteration_changes_the_fingerprint(both):
    both.source.execute("COMMENT ON INDEX ref.t_a IS 'other'")
    assert both.read().fingerprint != both.known.fingerprint


def test_a_rule_comes_after_the_rows_and_goes_before_them(both):
    both.source.execute(
        "ALTER TABLE ref.t ALTER a SET NOT NULL, ADD CHECK (id > 0), ALTER note DROP NOT NULL, DROP CONSTRAINT positive"
    )
    change = both.change()
    assert change.before == [
        "ALTER TABLE ref.t DROP CONSTRAINT IF EXISTS positive",
        "ALTER TABLE ref.t ALTER COLUMN note DROP NOT NULL",
    ]
    assert len(change.after) == 2


def test_a_changed_type_asks_for_a_verification(both):
    both.source.execute("ALTER TABLE ref.t ALTER n TYPE numeric USING n * 2")
    assert both.change().rewritten
    assert both.change().followed


@pytest.mark.parametrize(
    ("old", "new", "wide"),
    [
        ("smallint", "numeric", True),
        ("bigint", "integer", False),
        ("integer", "double precision", False),
        ("character varying(5)", "character varying(6)", True),
        ("character varying(5)", "character varying", True),
        ("character varying", "character varying(500)", False),
        ("text", "character varying", True),
        ("character(5)", "character(6)", False),
        ("bit varying(5)", "bit varying", True),
        ("numeric(5,2)", "numeric(6,2)", True),
        ("numeric(5,2)", "numeric(6,3)", False),
        ("numeric", "numeric(6,3)", False),
        ("timestamp(0) with time zone", "timestamp with time zone", True),
        ("timestamp without time zone", "timestamp with time zone", False),
        ("time(6) without time zone", "time(3) without time zone", False),
        ("public.citext", "text", False),
    ],
)
def test_which_types_are_wider(old, new, wide):
    assert is_widening(old, new) is wide


def test_a_storm_of_alterations_is_followed_and_never_refused(both):
    """One alters and writes, one follows: each alteration succeeds, and both sides are alike in the end.

    An alteration waits for the look at the one before: of a new column and a rewrite between two looks nobody can
    tell which of them gave the rows their values, and the table would stop.
    """
    rng = random.Random(7)
    refused: list[Exception] = []
    tables = [
        alter
        for alter in FOLLOWED
        if ";" not in alter and not alter.startswith(("RENAME", "DROP", "SET", "ALTER note"))
    ]

    altered, looked = threading.Event(), threading.Event()

    def storm() -> None:
        with psycopg.connect(both.source.info.dsn, autocommit=True) as writer:
            for number in range(60):
                alter = (
                    rng.choice(tables)
                    .replace(" b ", f" b{number} ")
                    .replace(" c ", f" c{number} ")
                    .replace("(b ", f"(b{number} ")
                )
                alter = (
                    alter.replace("more", f"more{number}")
                    .replace(" one ", f" one{number} ")
                    .replace(" up ", f" up{number} ")
                )
                try:
                    writer.execute(f"ALTER TABLE ref.t {alter}".encode())
                except psycopg.errors.FeatureNotSupported:  # the column is not generated any more
                    pass
                except psycopg.Error as error:
                    refused.append(error)
                looked.clear()
                altered.set()
                while not looked.is_set() and watched:
                    writer.execute("UPDATE ref.t SET kept = %s", [str(number)])

    watched = [True]
    thread = threading.Thread(target=storm)
    thread.start()
    followed = 0
    try:
        while True:
            last, whole = not thread.is_alive(), altered.is_set()
            now = both.read()
            if whole:
                altered.clear()
                looked.set()
            if now.fingerprint != both.known.fingerprint:
                change = changed(both.known, now, moving=both.moving, major=both.target.info.server_version // 10_000)
                assert change.stop == []
                both.follow(change)
                both.known, followed = now, followed + 1
            if last:
                break
    finally:
        watched.clear()
        thread.join()
    assert [str(one) for one in refused] == []
    assert followed > 1
    assert both.differences() == []
