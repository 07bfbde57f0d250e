"""A corpus of statements over a boundary: several of each form, each one found; users are primary's, carriers and zones data's."""

from __future__ import annotations

import pytest

from syncline.config.named import SplitSettings
from syncline.errors import AcrossDatabasesError, SecondDatabaseError, WrongDatabaseError
from syncline.split.findings import Kind
from syncline.split.guard import Guard
from syncline.split.ownership import Ownership, Rules
from syncline.split.placeholders import Placeholders
from syncline.split.routing import Ledger, Routing

ACROSS = {
    "join": [
        "SELECT * FROM users u JOIN carriers c ON c.owner = u.id",
        "SELECT * FROM users NATURAL LEFT JOIN (zones z CROSS JOIN roles)",
        "SELECT * FROM users, LATERAL (SELECT * FROM carriers WHERE owner = users.id LIMIT 1) c",
    ],
    "subquery": [
        "SELECT * FROM users WHERE id IN (SELECT owner FROM carriers)",
        "SELECT id, (SELECT count(*) FROM zones) FROM users",
        "SELECT ARRAY(SELECT id FROM users), EXISTS (TABLE carriers)",
    ],
    "set operation": [
        "SELECT id FROM users UNION ALL SELECT id FROM carriers",
        "(SELECT id FROM users INTERSECT SELECT id FROM roles) EXCEPT SELECT id FROM zones",
        "VALUES ((SELECT 1 FROM users)), ((SELECT 2 FROM carriers))",
    ],
    "insert, update, delete": [
        "INSERT INTO users (name) SELECT name FROM carriers",
        "UPDATE users SET name = c.name FROM carriers c WHERE c.owner = users.id",
        "DELETE FROM users USING zones WHERE zones.id = users.id",
        "INSERT INTO users VALUES (1) ON CONFLICT (id) DO UPDATE SET name = (SELECT name FROM carriers LIMIT 1)",
    ],
    "data-modifying CTE": [
        "WITH gone AS (DELETE FROM carriers RETURNING *) INSERT INTO users SELECT * FROM gone",
        "WITH made AS (INSERT INTO users DEFAULT VALUES RETURNING id) UPDATE carriers SET owner = made.id FROM made",
        "WITH a AS (UPDATE users SET id = 1 RETURNING 1), b AS (DELETE FROM zones RETURNING 1) SELECT * FROM a, b",
    ],
    "MERGE": [
        "MERGE INTO users u USING carriers c ON c.owner = u.id WHEN MATCHED THEN DELETE",
        "MERGE INTO zones USING (SELECT * FROM users) u ON u.id = zones.id WHEN NOT MATCHED THEN INSERT VALUES (1)",
        "MERGE INTO users u USING roles r ON true WHEN MATCHED THEN UPDATE SET name = (SELECT name FROM carriers LIMIT 1)",
        "WITH m AS (MERGE INTO users USING roles ON true WHEN MATCHED THEN DELETE RETURNING 1) SELECT * FROM m, zones",
    ],
    "COPY": [
        "COPY (SELECT * FROM users JOIN carriers ON true) TO STDOUT",
        "COPY (DELETE FROM users USING zones RETURNING 1) TO STDOUT (FORMAT csv)",
        "COPY (TABLE users UNION ALL TABLE carriers) TO STDOUT",
    ],
    "TABLE": [
        "TABLE users UNION TABLE carriers",
        "SELECT * FROM (TABLE users) u, (TABLE zones) z",
        "WITH z AS (TABLE zones) TABLE users INTERSECT TABLE z",
    ],
    "ONLY": [
        "SELECT * FROM ONLY users, ONLY (carriers)",
        "DELETE FROM ONLY users USING ONLY zones",
        "UPDATE ONLY carriers SET owner = 1 WHERE EXISTS (SELECT FROM ONLY users)",
    ],
    "EXPLAIN": [
        "EXPLAIN SELECT * FROM users, carriers",
        "EXPLAIN (ANALYZE, FORMAT json) DELETE FROM users USING carriers",
        "EXPLAIN VERBOSE CREATE TABLE roles AS SELECT * FROM users, zones",
    ],
    "DECLARE": [
        "DECLARE c CURSOR FOR SELECT * FROM users, carriers",
        "DECLARE c SCROLL CURSOR WITH HOLD FOR TABLE users UNION TABLE zones",
        "DECLARE c BINARY CURSOR FOR SELECT * FROM users WHERE id IN (SELECT owner FROM carriers)",
    ],
    "PREPARE": [
        "PREPARE p AS SELECT * FROM users, carriers",
        "PREPARE p (int) AS DELETE FROM users USING zones WHERE zones.id = $1",
        "PREPARE p AS INSERT INTO carriers SELECT * FROM users",
    ],
    "CALL": [
        "CALL p((SELECT id FROM users), (SELECT id FROM carriers))",
        "CALL s.p(ARRAY(SELECT u.id FROM users u JOIN zones z USING (id)))",
        "CALL p((SELECT count(*) FROM carriers WHERE EXISTS (SELECT FROM users)))",
    ],
    "DO": [
        "DO $$ BEGIN DELETE FROM users; DELETE FROM carriers; END $$",
        "DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM users LOOP INSERT INTO zones VALUES (r.id); END LOOP; END $$",
        "DO $$ BEGIN EXECUTE 'UPDATE users SET id = 1'; PERFORM 1 FROM carriers; END $$",
    ],
    "view": [
        "CREATE VIEW roles AS SELECT u.* FROM users u, carriers",
        "CREATE MATERIALIZED VIEW roles AS TABLE users UNION TABLE zones",
        "CREATE OR REPLACE VIEW carriers AS SELECT * FROM users",
    ],
    "foreign key": [
        "CREATE TABLE zones (u int REFERENCES users ON DELETE CASCADE)",
        "ALTER TABLE carriers ADD FOREIGN KEY (owner) REFERENCES users (id) NOT VALID",
        "ALTER TABLE users ADD COLUMN c int CONSTRAINT k REFERENCES carriers ON UPDATE CASCADE",
    ],
    "cascade": [
        "TRUNCATE users, carriers CASCADE",
        "DROP TABLE users, zones CASCADE",
        "TRUNCATE ONLY users, ONLY zones RESTART IDENTITY CASCADE",
    ],
    "lock": [
        "LOCK TABLE users, carriers IN SHARE MODE",
        "SELECT * FROM users u, zones z FOR UPDATE OF u",
        "SELECT * FROM users WHERE id = (SELECT owner FROM carriers LIMIT 1 FOR SHARE)",
    ],
    "function that runs SQL": [
        "SELECT query_to_xml('SELECT * FROM users', true, true, '') FROM carriers",
        "SELECT * FROM ts_stat('SELECT v FROM users'), zones",
        "SELECT table_to_xml('users', true, true, '') FROM carriers",
    ],
}
LOCKS = ("FOR UPDATE", "FOR NO KEY UPDATE", "FOR SHARE", "FOR KEY SHARE")
CHANGES = {
    "write": ["INSERT INTO carriers DEFAULT VALUES", "UPDATE zones SET id = 1", "DELETE FROM ONLY carriers"],
    "merge": [
        "MERGE INTO zones USING carriers ON true WHEN MATCHED THEN DELETE",
        "MERGE INTO carriers USING zones ON true WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
        "MERGE INTO ONLY carriers c USING (VALUES (1)) v ON true WHEN MATCHED THEN UPDATE SET id = 1",
    ],
    "CTE": [
        "WITH g AS (DELETE FROM zones RETURNING *) SELECT * FROM g",
        "WITH g AS (UPDATE carriers SET id = 1 RETURNING *) SELECT 1",
        "WITH g AS (INSERT INTO carriers DEFAULT VALUES RETURNING *) TABLE g",
    ],
    "copy": ["COPY carriers FROM STDIN", "COPY zones (id) FROM STDIN (FORMAT binary)", "COPY (DELETE FROM zones RETURNING 1) TO STDOUT"],
    "truncate": ["TRUNCATE carriers", "TRUNCATE TABLE ONLY zones", "TRUNCATE carriers, zones CASCADE"],
    "lock": ["LOCK zones", "LOCK TABLE carriers IN ACCESS SHARE MODE NOWAIT", "LOCK TABLE ONLY carriers, zones IN SHARE MODE"],
    "explain": ["EXPLAIN ANALYZE DELETE FROM zones", "EXPLAIN (ANALYZE) UPDATE carriers SET id = 1", "EXPLAIN (ANALYZE true) SELECT * FROM zones FOR UPDATE"],
    "cursor": [f"DECLARE c CURSOR FOR SELECT * FROM carriers {lock}" for lock in LOCKS],
    "block": ["DO $$ BEGIN UPDATE zones SET id = 1; END $$", "DO $$ BEGIN PERFORM 1 FROM carriers FOR SHARE; END $$", "DO $$ BEGIN EXECUTE 'DELETE FROM zones'; END $$"],
    **{
        lock: [f"SELECT * FROM carriers {lock}", f"SELECT * FROM carriers c JOIN zones z USING (id) {lock} OF z SKIP LOCKED", f"SELECT * FROM (SELECT * FROM zones) q {lock} NOWAIT"]
        for lock in LOCKS
    },
}  # fmt: skip
DARK = {
    "dynamic SQL": [
        "DO $$ BEGIN EXECUTE 'DELETE FROM ' || 'users'; END $$",
        "DO $$ BEGIN EXECUTE format('TRUNCATE %I', 'users'); END $$",
        "DO $$ DECLARE r record; BEGIN FOR r IN EXECUTE current_setting('a.b') LOOP NULL; END LOOP; END $$",
        "SELECT query_to_xml(current_setting('a.b'), true, true, '')",
    ],
    "another language": [
        "DO LANGUAGE plpython3u 'plpy.execute(1)'",
        "DO LANGUAGE plperl 'return 1;'",
        "DO 'elog(1);' LANGUAGE plperlu",
    ],
    "EXECUTE": ["EXECUTE p", "EXPLAIN ANALYZE EXECUTE p (1)", "CREATE TEMP TABLE t AS EXECUTE p"],
    "search_path": [
        "SET search_path = ref, public",
        "SET LOCAL search_path TO 'ref'",
        "SELECT set_config('search_path', 'ref, public', true)",
        "SELECT set_config('search_path', current_setting('a.b'), false)",
        "DO $$ BEGIN SET search_path = ref; END $$",
    ],
    "no SQL": ["SELEC 1", "SELECT * FROM users WHERE $$", "UPDATE users SET"],
}


@pytest.fixture
def routing() -> Routing:
    rules = {"primary": Rules(tables=("users", "roles")), "data": Rules(tables=("carriers", "zones"))}
    made = Routing(Ownership(rules), split=False)
    Guard(made, SplitSettings())
    return made


def each(corpus: dict[str, list[str]]) -> list[object]:
    assert all(len(statements) >= 3 for statements in corpus.values())
    return [pytest.param(sql, id=f"{form}: {sql[:50]}") for form, statements in corpus.items() for sql in statements]


@pytest.mark.parametrize("sql", each(ACROSS))
def test_a_statement_over_the_boundary_is_refused(routing: Routing, sql: str):
    with pytest.raises(AcrossDatabasesError):
        routing.look(sql, Placeholders.NONE, ledger=Ledger())


@pytest.mark.parametrize("sql", each(CHANGES))
def test_a_transaction_that_writes_or_locks_on_both_sides_is_refused(routing: Routing, sql: str):
    ledger = Ledger()
    routing.look("UPDATE users SET id = 1", Placeholders.NONE, ledger=ledger)
    with pytest.raises(SecondDatabaseError):
        routing.look(sql, Placeholders.NONE, ledger=ledger)


@pytest.mark.parametrize("sql", each(CHANGES))
def test_the_same_alone_is_its_own_sides_business(routing: Routing, sql: str):
    routing.look(sql, Placeholders.NONE, ledger=Ledger(), database="data")
    with pytest.raises(WrongDatabaseError):
        routing.look(sql, Placeholders.NONE, database="primary")


@pytest.mark.parametrize("sql", each(DARK))
def test_what_cannot_be_seen_into_is_a_finding(routing: Routing, sql: str):
    guard = Guard(routing, SplitSettings(crossings="warn"))
    routing.look(sql, Placeholders.NONE, ledger=Ledger())
    assert [one.kind for one in guard.findings] == [Kind.UNSEEN]


@pytest.mark.parametrize(
    "sql",
    [
        "SET search_path = public",
        'SET search_path = "$user", public',
        "SET search_path = ''",
        "SET search_path TO DEFAULT",
        "RESET search_path",
        "SET lock_timeout = '1s'",
        "SELECT set_config('search_path', '', false), set_config('lock_timeout', '1s', true)",
    ],
)
def test_a_search_path_that_the_rules_know_is_no_finding(routing: Routing, sql: str):
    guard = Guard(routing, SplitSettings(crossings="warn"))
    routing.look(sql, Placeholders.NONE, ledger=Ledger())
    assert guard.findings == {}
