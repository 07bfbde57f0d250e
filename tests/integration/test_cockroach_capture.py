"""Capture in the CockroachDB-like database: no path of writing rows is forgotten; the installation repairs itself."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from syncline.errors import MappingError, NotInstalledError, SourceError
from syncline.model.entity import Embed, TableName
from tests.cockroach.server import Simulator
from tests.integration.capture_case import Case, entity

TABLES = (
    "CREATE TABLE parent (id bigint PRIMARY KEY DEFAULT unique_rowid(), v int)",
    """CREATE TABLE child (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
       parent_id bigint REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE, v text)""",
    "CREATE TABLE pair (a int, b text, v int, PRIMARY KEY (a, b))",
)
ENTITIES = (
    entity("parent", "parent", embeds=(Embed("children", TableName.parse("child"), ("parent_id",)),)),
    entity("pair", "pair"),
)
WRITES = {
    "insert": ("INSERT INTO parent VALUES (10, 1), (11, 1)", {"10:I", "11:I"}),
    "update": ("UPDATE parent SET v = v + 1 WHERE id < 3", {"1:U", "2:U"}),
    "delete": ("DELETE FROM parent WHERE id = 3", {"3:D"}),
    "changed key": ("UPDATE parent SET id = 12 WHERE id = 3", {"3:D", "12:U"}),
    "upsert": ("INSERT INTO parent VALUES (1, 9), (13, 9) ON CONFLICT (id) DO UPDATE SET v = 9", {"1:U", "13:I"}),
    "cte": (
        "WITH d AS (DELETE FROM parent WHERE id = 3 RETURNING id, v) INSERT INTO pair SELECT id, 'w', v FROM d",
        {"3:D", '["3", "w"]:I'},
    ),
    "child inserted": ("INSERT INTO child (parent_id) VALUES (2)", {"2:U"}),
    "child moved": ("UPDATE child SET parent_id = 2 WHERE parent_id = 1", {"1:U", "2:U"}),
    "child left alone": ("UPDATE child SET parent_id = NULL WHERE parent_id = 1", {"1:U"}),
    "child without a parent": ("INSERT INTO child (parent_id) VALUES (NULL)", set()),
    "cascading delete": ("DELETE FROM parent WHERE id = 1", {"1:D", "1:U"}),
    "cascading update": ("UPDATE parent SET id = 15 WHERE id = 1", {"1:D", "15:U", "1:U"}),
    "composite key": ("INSERT INTO pair VALUES (1, 'é\"\\ \n', 1)", {'["1", "é\\"\\\\ \\n"]:I'}),
    "composite key changed": ("UPDATE pair SET b = 'z' WHERE a = 7", {'["7", "y"]:D', '["7", "z"]:U'}),
    "touched twice": (
        "BEGIN; UPDATE parent SET v = 5 WHERE id = 2; UPDATE parent SET v = 6 WHERE id = 2; COMMIT",
        {"2:U"},
    ),
    "rolled back": ("BEGIN; UPDATE parent SET v = 5; ROLLBACK", set()),
    "savepoint rolled back": (
        (
            "BEGIN; UPDATE parent SET v = 5 WHERE id = 1; SAVEPOINT s; UPDATE parent SET v = 5 WHERE id = 2; "
            "ROLLBACK TO s; COMMIT"
        ),
        {"1:U"},
    ),
}


ROWS = (
    "DELETE FROM parent",
    "DELETE FROM child",
    "DELETE FROM pair",
    "INSERT INTO parent VALUES (1, 0), (2, 0), (3, 0)",
    "INSERT INTO child (parent_id) VALUES (1)",
    "INSERT INTO pair VALUES (7, 'y', 0)",
)


@pytest.fixture
def case(cockroach: Simulator) -> Iterator[Case]:
    with Case(cockroach.url, ENTITIES) as made:
        made.sql(*TABLES)
        made.install()
        made.sql(*ROWS)
        made.forget()
        yield made


def marks(case: Case) -> set[str]:
    return {f"{key}:{hint}" for _, key, hint in case.marks()}


def test_every_way_of_writing_rows_is_captured(case: Case) -> None:
    found = {}
    for way, (statement, _) in WRITES.items():
        case.sql(*ROWS)
        case.forget()
        case.sql(statement)
        found[way] = marks(case)
    assert found == {way: expected for way, (_, expected) in WRITES.items()}


def test_copy_is_captured(case: Case) -> None:
    with case.conn.cursor() as cursor, cursor.copy("COPY parent FROM STDIN") as copy:
        copy.write("20\t1\n21\t1\n")
    assert marks(case) == {"20:I", "21:I"}


def test_truncate_is_not_captured_and_said_so(case: Case) -> None:
    case.sql("TRUNCATE parent CASCADE")
    assert marks(case) == set()
    case.entities = [*ENTITIES, entity("other", "child")]
    assert any("TRUNCATE" in warning for warning in case.plan().warnings)


def test_lanes_are_those_of_the_function(case: Case) -> None:
    case.sql("INSERT INTO parent (v) SELECT generate_series(1, 200)")
    assert case.sql("SELECT count(*) FROM syncline.waiting WHERE lane <> syncline.lane_of(entity, key)") == [(0,)]
    assert case.sql("SELECT count(DISTINCT lane) > 40, min(lane) >= 0, max(lane) <= 63 FROM syncline.waiting") == [
        (True, True, True)
    ]


def test_a_second_installation_does_nothing(case: Case) -> None:
    assert case.plan().statements == []


def test_a_missing_trigger_is_made_again_and_the_gap_is_told(case: Case) -> None:
    (name,) = (n for n, _ in case.sql("SHOW TRIGGERS FROM pair"))
    case.sql(f"DROP TRIGGER {name} ON pair")
    plan = case.install()
    assert plan.backfill == ["pair"]
    assert "missing" in "".join(plan.warnings)
    case.sql("UPDATE pair SET v = 1")
    assert marks(case) == {'["7", "y"]:U'}


def test_an_installation_that_broke_off_goes_on(cockroach: Simulator) -> None:
    with Case(cockroach.url, ENTITIES, backfill=True) as case:
        case.sql(*TABLES)
        for part in (0.1, 0.4, 0.7, 0.9, 0.99):
            statements = case.plan().statements
            for statement in statements[: round(len(statements) * part)]:
                case.conn.execute(statement)
        case.install()
        assert case.plan().statements == []
        assert {("backfill", "pair"), ("backfill", "parent")} <= set(case.tasks())
        case.sql("INSERT INTO parent VALUES (1, 1)")
        assert marks(case) == {"1:I"}


def test_a_repair_that_broke_off_still_tells_the_gap(case: Case) -> None:
    case.options = {"backfill": True}
    (name,) = (n for n, _ in case.sql("SHOW TRIGGERS FROM pair"))
    case.sql(f"DROP TRIGGER {name} ON pair")
    for statement in case.plan().statements[:-1]:
        case.conn.execute(statement)
    case.forget()
    plan = case.install()
    assert plan.backfill == ["pair"]
    assert ("backfill", "pair") in case.tasks()
    assert case.plan().statements == []


def test_an_installation_survives_retries(cockroach: Simulator) -> None:
    cockroach.retry(0.5)
    with Case(cockroach.url, ENTITIES) as case:
        case.sql(*TABLES)
        case.install()
        assert case.plan().statements == []


def test_an_entity_that_goes_takes_its_triggers_along(case: Case) -> None:
    case.entities = list(ENTITIES[1:])
    case.install()
    case.sql("INSERT INTO parent VALUES (30, 1)", "INSERT INTO pair VALUES (8, 'x', 0)")
    assert marks(case) == {'["8", "x"]:I'}
    assert case.sql("SHOW TRIGGERS FROM parent") == case.sql("SHOW TRIGGERS FROM child") == []


def test_uninstall_leaves_nothing(case: Case, cockroach: Simulator) -> None:
    case.uninstall()
    with psycopg.connect(cockroach.postgres_url) as behind:
        left = behind.execute(
            "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'syncline%' "
            "UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'syncline' "
            "UNION ALL SELECT viewname FROM pg_views WHERE viewname = 'Outbox'"
        ).fetchall()
    assert left == []
    with pytest.raises(NotInstalledError):
        case.uninstall()


def test_keys_whose_text_follows_settings_are_refused(cockroach: Simulator) -> None:
    with Case(cockroach.url, [entity("day", "day")]) as case:
        case.sql("CREATE TABLE day (day date PRIMARY KEY)")
        with pytest.raises(MappingError, match="no key on CockroachDB"):
            case.install()


def test_the_hidden_rowid_is_no_key(cockroach: Simulator) -> None:
    with Case(cockroach.url, [entity("heap", "heap")]) as case:
        case.sql("CREATE TABLE heap (v int, rowid bigint PRIMARY KEY DEFAULT unique_rowid())")
        with pytest.raises(MappingError):
            case.install()


def test_a_pooler_that_hides_the_cluster_is_refused(cockroach: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from syncline.postgres import connection, dialect

    monkeypatch.setattr(connection, "on_cockroach", lambda _: False)
    monkeypatch.setattr(connection, "dialect_of", lambda _: dialect.Dialect.POSTGRESQL)
    with pytest.raises(SourceError, match="pooler"):
        asyncio.run(connection.connect(cockroach.url))


def test_a_writer_needs_the_grant_and_gets_it(case: Case, cockroach: Simulator) -> None:
    with psycopg.connect(cockroach.postgres_url, autocommit=True) as behind:
        behind.execute("DROP ROLE IF EXISTS writer")
        behind.execute("CREATE ROLE writer")
        behind.execute("GRANT writer TO crdb")
        behind.execute("GRANT INSERT ON pair TO writer")
        behind.execute("GRANT USAGE ON SCHEMA crdb_sim TO writer")
        try:
            case.sql("SET ROLE writer")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                case.sql("INSERT INTO pair VALUES (9, 'x', 0)")
            case.sql("RESET ROLE")
            case.options = {"writer_role": "writer"}
            case.install()
            case.sql("SET ROLE writer", "INSERT INTO pair VALUES (9, 'x', 0)", "RESET ROLE")
            assert marks(case) == {'["9", "x"]:I'}
        finally:
            behind.execute("DROP OWNED BY writer")
            behind.execute("DROP ROLE writer")
