"""What a statement touches, as PostgreSQL's own grammar reads it."""

from __future__ import annotations

import pytest

from syncline.split import statements
from syncline.split.statements import Name, Placeholders, Script, parse, parse_function


def touched(script: Script) -> dict[str, set[str]]:
    """Say what is read, written, locked and defined; what is empty is left out."""
    found = {use: {str(name) for name in getattr(script, use)} for use in ("read", "written", "locked", "defined")}
    return {use: names for use, names in found.items() if names}


CASES = [
    ("SELECT * FROM a JOIN s.b USING (id) LEFT JOIN c ON true", {"read": {"a", "s.b", "c"}}),
    ("SELECT (SELECT max(x) FROM b) FROM a WHERE id IN (SELECT id FROM c)", {"read": {"a", "b", "c"}}),
    ('SELECT * FROM "Odd Name", s."b""c"', {"read": {'"Odd Name"', 's."b""c"'}}),
    ("TABLE t", {"read": {"t"}}),
    ("SELECT * FROM ONLY t", {"read": {"t"}}),
    ("VALUES ((SELECT 1 FROM u))", {"read": {"u"}}),
    ("SELECT 1 FROM a UNION ALL SELECT 2 FROM b EXCEPT SELECT 3 FROM c", {"read": {"a", "b", "c"}}),
    ("SELECT * FROM a TABLESAMPLE system (1), LATERAL (SELECT * FROM b WHERE b.x = a.x) l", {"read": {"a", "b"}}),
    ("SELECT * FROM pg_class, pg_catalog.pg_am, information_schema.tables, pg_temp.mine", {}),
    # names of WITH
    ("WITH t AS (SELECT * FROM t) SELECT * FROM t", {"read": {"t"}}),
    ("WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r JOIN edge ON true) TABLE r", {"read": {"edge"}}),
    ("WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b, public.a", {"read": {"public.a"}}),
    ("SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a) x, a", {"read": {"a"}}),
    ("WITH gone AS (DELETE FROM a USING b RETURNING *) INSERT INTO log SELECT * FROM gone",
     {"read": {"b"}, "written": {"a", "log"}}),
    ("WITH a AS (SELECT 1) DELETE FROM a", {"written": {"a"}}),
    # writes
    ("INSERT INTO a VALUES (1) ON CONFLICT (id) DO UPDATE SET x = (SELECT 1 FROM b)", {"written": {"a"}, "read": {"b"}}),
    ("UPDATE ONLY a SET x = 1 FROM b WHERE a.id IN (SELECT id FROM c)", {"written": {"a"}, "read": {"b", "c"}}),
    ("DELETE FROM a USING b RETURNING (SELECT 1 FROM c)", {"written": {"a"}, "read": {"b", "c"}}),
    ("MERGE INTO a USING b ON a.id = b.id WHEN NOT MATCHED THEN INSERT VALUES ((SELECT 1 FROM c))",
     {"written": {"a"}, "read": {"b", "c"}}),
    ("COPY a FROM STDIN", {"written": {"a"}}),
    ("COPY a (x) TO STDOUT (FORMAT binary)", {"read": {"a"}}),
    ("COPY (DELETE FROM a RETURNING *) TO STDOUT", {"written": {"a"}}),
    ("TRUNCATE a, ONLY s.b CASCADE", {"written": {"a", "s.b"}}),
    ("REFRESH MATERIALIZED VIEW CONCURRENTLY mv", {"written": {"mv"}}),
    # locks
    ("SELECT * FROM a, b FOR UPDATE", {"read": {"a", "b"}, "locked": {"a", "b"}}),
    ("SELECT * FROM a x JOIN b ON true FOR NO KEY UPDATE OF x", {"read": {"a", "b"}, "locked": {"a"}}),
    ("SELECT * FROM a JOIN (SELECT * FROM b) y ON true FOR KEY SHARE OF y", {"read": {"a", "b"}, "locked": {"b"}}),
    ("WITH c AS (SELECT * FROM a) SELECT * FROM c, b FOR SHARE SKIP LOCKED", {"read": {"a", "b"}, "locked": {"b"}}),
    ("LOCK TABLE a, ONLY s.b IN SHARE MODE NOWAIT", {"locked": {"a", "s.b"}}),
    # around other statements
    ("EXPLAIN DELETE FROM a", {"read": {"a"}}),
    ("EXPLAIN (ANALYZE false) DELETE FROM a", {"read": {"a"}}),
    ("EXPLAIN (ANALYZE, BUFFERS) DELETE FROM a", {"written": {"a"}}),
    ("EXPLAIN ANALYZE SELECT * FROM a FOR UPDATE", {"read": {"a"}, "locked": {"a"}}),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT * FROM a FOR UPDATE", {"read": {"a"}, "locked": {"a"}}),
    ("PREPARE p (int) AS DELETE FROM a WHERE id = $1", {"written": {"a"}}),
    ("EXECUTE p ((SELECT 1))", {}),
    ("CALL s.p((SELECT 1 FROM a))", {"read": {"a"}}),
    ("SELECT 1; DELETE FROM b; COMMIT", {"written": {"b"}}),
    ("", {}),
    ("BEGIN ISOLATION LEVEL SERIALIZABLE", {}),
    # definitions
    ("CREATE TABLE x (a int REFERENCES s.y, CHECK (a > 0), LIKE z)", {"defined": {"x"}, "read": {"s.y", "z"}}),
    ("CREATE TABLE n AS SELECT * FROM a", {"defined": {"n"}, "read": {"a"}}),
    ("SELECT * INTO n FROM a", {"defined": {"n"}, "read": {"a"}}),
    ("CREATE TEMP TABLE n AS SELECT * FROM a", {"read": {"a"}}),
    ("CREATE VIEW v AS SELECT * FROM a", {"defined": {"v"}, "read": {"a"}}),
    ("ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES s.c", {"defined": {"a"}, "read": {"s.c"}}),
    ("ALTER TABLE p ATTACH PARTITION c DEFAULT", {"defined": {"p", "c"}}),
    ("ALTER TABLE s.a RENAME TO b", {"defined": {"s.a", "s.b"}}),
    ("ALTER TABLE a RENAME COLUMN x TO y", {"defined": {"a"}}),
    ("ALTER VIEW a SET SCHEMA s", {"defined": {"a", "s.a"}}),
    # SQL that functions are given
    ("SELECT * FROM ts_stat('SELECT v FROM a')", {"read": {"a"}}),
    ("SELECT ts_rewrite(q, 'SELECT t, s FROM a'::text) FROM b", {"read": {"a", "b"}}),
    ("SELECT query_to_xml('DELETE FROM a RETURNING *', true, false, '')", {"written": {"a"}}),
    ("SELECT table_to_xml('s.a', true, false, '')", {"read": {"s.a"}}),
    ("SELECT ts_rewrite(q, 'a'::tsquery, 'b'::tsquery) FROM b", {"read": {"b"}}),
    # a user's table may begin with pg_
    ("SELECT * FROM pg_lsn_values, pg_stat_statements, pg_locks", {"read": {"pg_lsn_values"}}),
    ("ALTER INDEX i RENAME TO j", {}),
    ("ALTER SEQUENCE q RESTART", {}),
    ("DROP TABLE IF EXISTS s.a, b CASCADE", {"defined": {"s.a", "b"}}),
    ("DROP TRIGGER t ON s.a", {"defined": {"s.a"}}),
    ("DROP INDEX i", {}),
    ("DROP FUNCTION f(int)", {}),
    ("COMMENT ON COLUMN s.a.c IS 'x'", {"defined": {"s.a"}}),
    ("CREATE INDEX i ON a (x)", {"defined": {"a"}}),
    ("CREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION f()", {"defined": {"a"}}),
    ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM z'", {}),
    ("GRANT SELECT ON a TO somebody", {"defined": {"a"}}),
    ("VACUUM ANALYZE a", {"defined": {"a"}}),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), CASES, ids=[sql[:60] or "nothing" for sql, _ in CASES])
def test_tables_are_found_by_what_is_done_with_them(sql, expected):
    found = parse(sql)
    assert found.error is None
    assert touched(found) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "DO $$ BEGIN DELETE FROM a; PERFORM 1 FROM b; EXECUTE 'UPDATE c SET x = 1'; END $$",
        "DO LANGUAGE plpgsql 'DECLARE n int := (SELECT count(*) FROM b); BEGIN DELETE FROM a; UPDATE c SET x = n; END'",
    ],
)
def test_a_block_is_looked_into(sql):
    assert touched(parse(sql)) == {"read": {"b"}, "written": {"a", "c"}}
    assert not parse(sql).unseen


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("DO $$ BEGIN EXECUTE 'DELETE FROM ' || t; END $$", "dynamic SQL: EXECUTE 'DELETE FROM ' || t"),
        ("DO LANGUAGE plpython3u 'x'", "a DO block in plpython3u"),
        ("EXECUTE p(1)", "EXECUTE p: prepared elsewhere"),
        ("EXPLAIN ANALYZE EXECUTE p(1)", "EXECUTE p: prepared elsewhere"),
        ("CREATE TABLE a AS EXECUTE p", "EXECUTE p: prepared elsewhere"),
        ("SELECT * FROM ts_stat(q)", "dynamic SQL: ts_stat(…)"),
        ("SELECT query_to_xml('SELECT ' || x, true, false, '') FROM a", "dynamic SQL: query_to_xml(…)"),
        ("DO $$ BEGIN DO 'nonsense'; END $$", "the body cannot be parsed"),
    ],
)
def test_what_cannot_be_seen_into_is_said(sql, why):
    assert parse(sql).error is None
    assert parse(sql).unseen[0].startswith(why)


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT $$", "SELECT 1; nonsense", "SELECT '\ud800'", "SELECT 1 \0 FROM a"])
def test_what_cannot_be_parsed_is_an_error_and_no_exception(sql):
    assert parse(sql).error
    assert not parse(sql).tables


def test_a_text_nested_as_deeply_as_programs_write_them_is_read():
    assert touched(parse("SELECT " + " || ".join(["x"] * 400) + " FROM a")) == {"read": {"a"}}
    assert touched(parse(" UNION ALL ".join(["SELECT 1 FROM a"] * 400))) == {"read": {"a"}}
    assert parse("SELECT " + " || ".join(["x"] * 5000) + " FROM a").error


def test_functions_sequences_and_prepared_statements_are_named():
    found = parse("SELECT nextval('s.\"Q\"'::regclass), pg_catalog.now(), s.f(g(1))").statements[0]
    assert found.functions == {Name(None, "nextval"), Name("s", "f"), Name(None, "g")}
    assert found.sequences == {Name("s", "Q")}
    assert parse("CALL s.p()").functions == {Name("s", "p")}
    assert parse("PREPARE p AS SELECT 1").statements[0].prepares == "p"
    assert parse("EXECUTE p").statements[0].executes == "p"


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT 1", "SELECT"),
        ("START TRANSACTION", "START"),
        ("ALTER TABLE a ADD b int", "ALTER TABLE"),
        ("CREATE TABLE a ()", "CREATE TABLE"),
        ("ROLLBACK TO SAVEPOINT x", "ROLLBACK TO"),
        ("SET x.y = 1", "VARIABLE SET"),
    ],
)
def test_statements_have_a_kind(sql, kind):
    assert parse(sql).statements[0].kind == kind


@pytest.mark.parametrize(
    ("style", "sql"),
    [
        (Placeholders.PERCENT, "SELECT * FROM a WHERE x LIKE 'a%%' AND b = %s AND c = %(q)s AND d %% 2 = ANY(%b)"),
        (Placeholders.PERCENT, "SELECT * FROM a WHERE d > now() - interval %s"),
        (
            Placeholders.COLON,
            r"SELECT x::int FROM a WHERE x = :x AND y = '12:30' AND z = :z::text AND a[1:n] AND t = '\:w'",
        ),
        (Placeholders.NONE, "SELECT 5 % x FROM a WHERE id = $1"),
    ],
)
def test_placeholders_of_each_style_are_read(style, sql):
    assert touched(parse(sql, style)) == {"read": {"a"}}


TRIGGER = """
CREATE FUNCTION s.f() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE r record; c CURSOR FOR SELECT * FROM in_cursor; v int := (SELECT max(a) FROM in_default);
BEGIN
  FOR r IN SELECT * FROM in_loop LOOP INSERT INTO inserted VALUES (r.a); END LOOP;
  FOR r IN EXECUTE 'SELECT * FROM in_constant' LOOP NULL; END LOOP;
  v := (SELECT count(*) FROM assigned); SELECT a INTO v FROM into_from;
  IF EXISTS (SELECT 1 FROM in_condition) THEN RAISE NOTICE 'x %', (SELECT 1 FROM in_message); END IF;
  PERFORM g(1); CALL p();
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN DELETE FROM in_handler;
END $$
"""


def test_a_trigger_function_is_looked_into():
    found = parse_function(TRIGGER)
    reads = ("cursor", "default", "loop", "constant", "condition", "message")
    assert touched(found) == {
        "read": {*(f"in_{place}" for place in reads), "assigned", "into_from"},
        "written": {"inserted", "in_handler"},
    }
    assert {Name(None, "g"), Name(None, "p")} <= found.functions
    assert not found.unseen


@pytest.mark.parametrize(
    "definition",
    [
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ DELETE FROM w; SELECT 1 FROM r $$",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC DELETE FROM w; SELECT 1 FROM r; END",
    ],
)
def test_functions_in_sql_are_looked_into(definition):
    assert touched(parse_function(definition)) == {"read": {"r"}, "written": {"w"}}


def test_a_function_that_returns_an_expression_is_looked_into():
    assert touched(parse_function("CREATE FUNCTION f() RETURNS int RETURN (SELECT 1 FROM r)")) == {"read": {"r"}}


def test_a_function_in_another_language_is_unseen():
    found = parse_function("CREATE FUNCTION s.f() RETURNS int LANGUAGE plperl AS 'x'")
    assert found.unseen == ("s.f is written in plperl",)


def test_a_text_seen_before_is_not_parsed_again(monkeypatch):
    sql = "SELECT * FROM seen_before"
    first = parse(sql)
    monkeypatch.setattr(statements, "_parse", None)
    assert parse(sql) is first


def test_names_are_read_as_sql_writes_them():
    assert Name.read('Public."My.Table"') == Name("public", "My.Table")
    assert Name.read("todo") == Name(None, "todo")
    assert str(Name("a", 'b"C')) == 'a."b""C"'
