"""Every way in which rows change leaves its marks; an oracle compares the tables before and after."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from syncline.embedded.postgres import PrivatePostgres
from syncline.model.entity import Embed, TableName
from tests import engines, programs
from tests.integration.capture_case import Case, assert_captured, entity

TABLES = """
CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE, points int DEFAULT 0);
CREATE TABLE todo (id bigint PRIMARY KEY, user_id bigint REFERENCES users ON DELETE CASCADE ON UPDATE CASCADE,
                   title text, done boolean DEFAULT false, size int GENERATED ALWAYS AS (length(title)) STORED);
CREATE TABLE note (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id bigint REFERENCES users ON DELETE SET NULL ON UPDATE CASCADE, body text);
CREATE TABLE item (todo_id bigint REFERENCES todo ON DELETE CASCADE ON UPDATE CASCADE, pos int, body text, PRIMARY KEY (todo_id, pos));
CREATE TABLE tag (id int PRIMARY KEY, todo_id int, label text);
CREATE TABLE reading (sensor int, at date, value numeric(10,2), PRIMARY KEY (sensor, at)) PARTITION BY RANGE (at);
CREATE TABLE reading_2020 PARTITION OF reading FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE reading_2021 PARTITION OF reading FOR VALUES FROM ('2021-01-01') TO ('2022-01-01') PARTITION BY LIST (sensor);
CREATE TABLE reading_2021_1 PARTITION OF reading_2021 FOR VALUES IN (1);
CREATE TABLE reading_2021_x PARTITION OF reading_2021 DEFAULT;
CREATE TABLE animal (id int PRIMARY KEY, name text);
CREATE TABLE dog (breed text, PRIMARY KEY (id)) INHERITS (animal);
CREATE TABLE puppy (PRIMARY KEY (id)) INHERITS (dog);
CREATE TABLE seat (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, guest text);
CREATE TABLE ledger (id int PRIMARY KEY, amount int, audit int DEFAULT 0);
CREATE FUNCTION ledger_before() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    NEW.amount := NEW.amount * 2;
    IF NEW.amount = 14 THEN NEW.id := NEW.id + 1000; END IF;
    IF NEW.amount = 666 THEN RETURN NULL; END IF;
    RETURN NEW; END $$;
CREATE FUNCTION ledger_after() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF pg_trigger_depth() < 3 THEN
        UPDATE ledger SET audit = audit + 1 WHERE id = NEW.id;
        INSERT INTO note (body) VALUES ('by trigger');
    END IF;
    RETURN NULL; END $$;
CREATE FUNCTION ledger_deferred() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.amount = 20 THEN DELETE FROM ledger WHERE id = NEW.id; INSERT INTO ledger VALUES (9999, 1) ON CONFLICT DO NOTHING; END IF;
    RETURN NULL; END $$;
CREATE TRIGGER a_before BEFORE INSERT OR UPDATE OF amount ON ledger FOR EACH ROW EXECUTE FUNCTION ledger_before();
CREATE TRIGGER a_after AFTER INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION ledger_after();
CREATE TRIGGER zz_after AFTER UPDATE OF amount ON ledger FOR EACH ROW EXECUTE FUNCTION ledger_after();
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT OR UPDATE ON ledger DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION ledger_deferred();
CREATE VIEW todo_view AS SELECT id, title FROM todo;
CREATE TABLE incoming (id bigint, title text);
INSERT INTO incoming VALUES (1, 'changed'), (2, NULL), (100, 'new');
"""
SEEDS = """
INSERT INTO users SELECT g, 'u' || g FROM generate_series(1, 4) AS g;
INSERT INTO todo SELECT g, 1 + g % 4, 'todo ' || g FROM generate_series(1, 12) AS g;
INSERT INTO note (user_id, body) SELECT g, 'note' FROM generate_series(1, 4) AS g;
INSERT INTO item SELECT g % 6 + 1, g, 'item' FROM generate_series(1, 12) AS g;
INSERT INTO tag SELECT g, g % 5, 'tag' FROM generate_series(1, 8) AS g;
INSERT INTO reading SELECT g % 3 + 1, '2020-06-01'::date + g * 50, g FROM generate_series(1, 10) AS g;
INSERT INTO animal VALUES (1, 'cat'), (2, 'cow'); INSERT INTO dog VALUES (3, 'rex', 'x'); INSERT INTO puppy VALUES (4, 'pup', 'y');
INSERT INTO seat VALUES (1, 'a'), (2, 'b'), (3, 'c');
INSERT INTO ledger VALUES (1, 1), (2, 2), (3, 3);
"""
NAMES = "users, todo, note, item, tag, reading, animal, seat, ledger"
ENTITIES = [
    entity("user", "users"),
    entity(
        "todo",
        "todo",
        embeds=(
            Embed("items", TableName.parse("item"), ("todo_id",)),
            Embed("tags", TableName.parse("tag"), ("todo_id",)),
        ),
    ),
    entity("note", "note"),
    entity("item", "item"),
    entity("reading", "reading"),
    entity("animal", "animal"),
    entity("seat", "seat"),
    entity("ledger", "ledger"),
]

WRITES = {
    "insert": "INSERT INTO todo VALUES (50, 1, 'x')",
    "insert_many": "INSERT INTO todo VALUES (50, 1, 'x'), (51, 2, 'y'), (52, NULL, 'z')",
    "insert_select": "INSERT INTO todo SELECT g, 1, 'bulk' FROM generate_series(100, 300) AS g",
    "insert_returning": "INSERT INTO note (user_id) VALUES (1) RETURNING id",
    "update": "UPDATE todo SET done = true WHERE id < 5",
    "update_nothing": "UPDATE todo SET done = true WHERE id < 0",
    "update_same_value": "UPDATE todo SET title = title WHERE id = 3",
    "update_from": "UPDATE todo SET title = u.email FROM users AS u WHERE u.id = todo.user_id AND u.id < 3",
    "delete": "DELETE FROM todo WHERE id IN (2, 3)",
    "delete_using": "DELETE FROM note USING users AS u WHERE u.id = note.user_id AND u.points = 0",
    "through_a_view": "UPDATE todo_view SET title = 'seen' WHERE id = 4",
    "key_changed": "UPDATE todo SET id = 900 WHERE id = 7",
    "all_keys_changed": "UPDATE todo SET id = id + 100",
    "key_changed_in_composite": "UPDATE item SET pos = pos + 50 WHERE todo_id = 3",
    "keys_swapped": "UPDATE seat SET id = CASE id WHEN 1 THEN 2 WHEN 2 THEN 1 END WHERE id < 3",
    "keys_shifted": "UPDATE seat SET id = id + 1",
    "on_conflict_update": "INSERT INTO todo VALUES (1, 1, 'again'), (77, 1, 'new') ON CONFLICT (id) DO UPDATE SET title = excluded.title",
    "on_conflict_update_key": "INSERT INTO todo VALUES (1, 1, 'again') ON CONFLICT (id) DO UPDATE SET id = 500",
    "on_conflict_nothing": "INSERT INTO todo VALUES (1, 1, 'again'), (77, 1, 'new') ON CONFLICT DO NOTHING",
    "merge": """MERGE INTO todo AS t USING incoming AS i ON t.id = i.id
        WHEN MATCHED AND i.title IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET title = i.title
        WHEN NOT MATCHED THEN INSERT (id, title) VALUES (i.id, i.title)""",
    "merge_nothing": "MERGE INTO todo AS t USING incoming AS i ON t.id = i.id WHEN MATCHED THEN DO NOTHING",
    "merge_partitioned": """MERGE INTO reading AS r USING (VALUES (1, '2020-12-18'::date), (2, '2021-03-03')) AS i (s, d)
        ON r.sensor = i.s AND r.at = i.d WHEN MATCHED THEN UPDATE SET at = r.at + 300
        WHEN NOT MATCHED THEN INSERT VALUES (i.s, i.d, 1)""",
    "cascade_delete": "DELETE FROM users WHERE id = 2",
    "cascade_update": "UPDATE users SET id = 40 WHERE id = 1",
    "cascade_twice_nested": "DELETE FROM users",
    "same_key_often": "BEGIN; UPDATE todo SET title = 'a' WHERE id = 1; UPDATE todo SET title = 'b' WHERE id = 1; COMMIT",
    "cte_delete_insert": "WITH d AS (DELETE FROM todo WHERE id = 5 RETURNING *) INSERT INTO todo (id, title) SELECT id + 500, 'moved' FROM d",
    "cte_several": """WITH a AS (UPDATE todo SET done = true WHERE id = 1 RETURNING user_id), b AS (INSERT INTO users VALUES (60, 'b'))
        UPDATE users SET points = points + 1 WHERE id IN (SELECT user_id FROM a)""",
    "cte_move_between_tables": "WITH d AS (DELETE FROM note RETURNING *) INSERT INTO seat SELECT 70 + row_number() OVER (), body FROM d",
    "users_triggers_insert": "INSERT INTO ledger VALUES (10, 1), (11, 2)",
    "users_trigger_changes_the_key": "INSERT INTO ledger VALUES (10, 7)",
    "users_trigger_changes_the_key_of_an_update": "UPDATE ledger SET amount = 7 WHERE id = 2",
    "users_trigger_suppresses": "INSERT INTO ledger VALUES (10, 333), (11, 1)",
    "users_triggers_update": "UPDATE ledger SET amount = 5",
    "deferred_trigger_writes_at_commit": "INSERT INTO ledger VALUES (10, 10)",
    "generated_column": "UPDATE todo SET title = 'longer title' WHERE id = 1",
    "savepoint_kept": "BEGIN; INSERT INTO seat VALUES (30); SAVEPOINT s; INSERT INTO seat VALUES (31); RELEASE s; COMMIT",
    "savepoint_undone": "BEGIN; INSERT INTO seat VALUES (30); SAVEPOINT s; INSERT INTO seat VALUES (31); UPDATE todo SET done = true; ROLLBACK TO s; COMMIT",
    "rolled_back": "BEGIN; DELETE FROM users; ROLLBACK",
    "exception_caught": "DO $$ BEGIN INSERT INTO seat VALUES (30); BEGIN INSERT INTO seat VALUES (31); RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END; END $$",
    "procedure": "DO $$ BEGIN FOR i IN 30..40 LOOP INSERT INTO seat VALUES (i); UPDATE seat SET guest = 'x' WHERE id = i; END LOOP; END $$",
    "partitioned_insert": "INSERT INTO reading VALUES (1, '2020-02-02', 1), (2, '2021-02-02', 1), (1, '2021-02-02', 1)",
    "partition_insert": "INSERT INTO reading_2021_x VALUES (8, '2021-05-05', 1)",
    "partition_update": "UPDATE reading_2020 SET value = 3.5",
    "partition_key_moves_the_row": "UPDATE reading SET at = at + 200 WHERE at < '2021-01-01'",
    "partition_sub_move": "UPDATE reading_2021 SET sensor = sensor % 3 + 1",
    "partition_delete": "DELETE FROM reading_2021",
    "partitioned_conflict": "INSERT INTO reading SELECT sensor, at, 0 FROM reading ON CONFLICT (sensor, at) DO UPDATE SET value = 9",
    "inheritance_parent": "UPDATE animal SET name = name || '!'",
    "inheritance_only": "UPDATE ONLY animal SET name = name || '!'",
    "inheritance_child": "INSERT INTO dog VALUES (9, 'x', 'y')",
    "inheritance_grandchild": "UPDATE puppy SET id = 12",
    "inheritance_delete": "DELETE FROM animal WHERE id > 1",
    "embedded_insert": "INSERT INTO tag VALUES (30, 1, 'x'), (31, 1, 'y'), (32, 2, 'z')",
    "embedded_without_parent": "INSERT INTO tag VALUES (30, NULL, 'x')",
    "embedded_moves": "UPDATE tag SET todo_id = 9 WHERE todo_id = 1",
    "embedded_leaves": "UPDATE tag SET todo_id = NULL WHERE todo_id = 1",
    "embedded_delete": "DELETE FROM tag WHERE id < 4",
    "embedded_entity": "UPDATE item SET todo_id = 9, body = 'moved' WHERE todo_id = 2",
    "replica_role": "SET session_replication_role = replica; UPDATE todo SET done = true; INSERT INTO reading VALUES (9, '2020-05-05', 1); RESET session_replication_role",
    "serializable": "BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE todo SET done = true WHERE id = 1; COMMIT",
    "truncate": "TRUNCATE note",
    "truncate_cascade": "TRUNCATE users CASCADE",
    "truncate_many": "TRUNCATE seat, ledger",
    "truncate_partitioned": "TRUNCATE reading",
    "truncate_partition": "TRUNCATE reading_2020",
    "truncate_leaf": "TRUNCATE reading_2021_x",
    "truncate_parent": "TRUNCATE animal",
    "truncate_child": "TRUNCATE puppy",
    "truncate_embedded": "TRUNCATE tag",
    "truncate_and_write": "BEGIN; TRUNCATE seat; INSERT INTO seat VALUES (1), (8); COMMIT",
    "truncate_undone": "BEGIN; TRUNCATE seat; ROLLBACK",
}  # fmt: skip
GONE_AGAIN = {
    "deferred_trigger_writes_at_commit": {("ledger", "10")},
    "cascade_twice_nested": {("todo", "0")},
    "truncate_and_write": set(),
}
"""Keys that were written and deleted in one transaction: marked, though nothing is to be seen."""
NEEDS = {name: (15, "MERGE") for name in WRITES if name.startswith("merge")}


@pytest.fixture(scope="module")
def world(postgres: PrivatePostgres) -> Iterator[Case]:
    with engines.fresh_database(postgres.url) as url:
        case = Case(url, ENTITIES)
        case.sql(TABLES)
        case.install()
        yield case
        case.conn.close()


@pytest.fixture
def seeded(world: Case) -> Case:
    world.sql("ROLLBACK") if world.conn.info.transaction_status else None
    world.sql(f"TRUNCATE {NAMES} CASCADE", SEEDS)
    world.forget()
    return world


@pytest.mark.parametrize("write", programs.since(WRITES, NEEDS))
def test_every_write_is_captured(seeded: Case, write: str) -> None:
    before = seeded.contents()

    seeded.sql(WRITES[write])

    assert_captured(seeded, before, also=GONE_AGAIN.get(write, ()))


@pytest.mark.parametrize("table", ["seat", "reading", "dog", "item"])
def test_copy_is_captured(seeded: Case, table: str) -> None:
    rows = {
        "seat": "30\tx\n31\ty",
        "reading": "7\t2020-04-04\t1\n7\t2021-04-04\t1",
        "dog": "30\tx\ty",
        "item": "1\t77\tx",
    }
    before = seeded.contents()

    with seeded.conn.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        copy.write(rows[table] + "\n")

    assert assert_captured(seeded, before)


def test_hints_say_what_happened(seeded: Case) -> None:
    seeded.sql(
        "INSERT INTO seat VALUES (30)", "UPDATE seat SET guest = 'x' WHERE id = 30", "DELETE FROM seat WHERE id = 30"
    )

    assert [hint for _, _, hint in seeded.marks()] == ["I", "U", "D"]


def test_an_unchanged_key_is_marked_once_a_statement(seeded: Case) -> None:
    seeded.sql("UPDATE todo SET done = true")

    assert len(seeded.marks()) == 12


def test_children_mark_each_parent_once_a_statement(seeded: Case) -> None:
    seeded.sql("INSERT INTO tag SELECT g, 1, 'x' FROM generate_series(100, 200) AS g")

    assert seeded.marks() == [("todo", "1", "U")]


def test_a_rolled_back_transaction_leaves_no_mark(seeded: Case) -> None:
    seeded.sql("BEGIN; DELETE FROM users; TRUNCATE seat; ROLLBACK")

    assert (seeded.marks(), seeded.tasks()) == ([], [])


def test_truncate_requests_one_task_a_transaction(seeded: Case) -> None:
    seeded.sql("BEGIN; TRUNCATE reading; TRUNCATE reading_2020; COMMIT")

    assert seeded.tasks() == [("sweep", "reading")]


def test_truncating_children_requests_a_backfill_of_their_parents(seeded: Case) -> None:
    seeded.sql("TRUNCATE tag")

    assert seeded.tasks() == [("backfill", "todo")]


def test_the_lane_and_the_key_are_those_of_our_functions(seeded: Case) -> None:
    seeded.sql("UPDATE todo SET done = true", "UPDATE reading SET value = 1", "UPDATE item SET body = 'x'")

    assert not seeded.sql("SELECT * FROM syncline.waiting WHERE lane <> syncline.lane_of(entity, key)")


def test_marks_are_not_durable_when_the_writer_does_not_wait(seeded: Case) -> None:
    seeded.sql(
        "SET synchronous_commit = off; INSERT INTO seat VALUES (30); UPDATE reading SET value = 1; RESET synchronous_commit"
    )

    assert seeded.sql("SELECT DISTINCT durable FROM syncline.waiting") == [(False,)]


def test_a_partition_made_later_is_captured(seeded: Case) -> None:
    seeded.sql("CREATE TABLE reading_2023 PARTITION OF reading FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')")
    before = seeded.contents()
    try:
        seeded.sql(
            "INSERT INTO reading_2023 VALUES (1, '2023-03-03', 1)",
            "UPDATE reading SET at = '2020-03-03' WHERE at > '2023-01-01'",
        )

        assert ("reading", '["1", "2020-03-03"]') in assert_captured(
            seeded, before, also=[("reading", '["1", "2023-03-03"]')]
        )
    finally:
        seeded.sql("DROP TABLE reading_2023")


def test_an_attached_partition_is_captured_from_then_on(seeded: Case) -> None:
    seeded.sql(
        "CREATE TABLE old_reading (LIKE reading INCLUDING ALL)", "INSERT INTO old_reading VALUES (1, '2019-03-03', 1)"
    )
    seeded.sql("ALTER TABLE reading ATTACH PARTITION old_reading FOR VALUES FROM ('2019-01-01') TO ('2020-01-01')")
    before = seeded.contents()
    try:
        seeded.sql("UPDATE old_reading SET value = 5")

        assert assert_captured(seeded, before) == {("reading", '["1", "2019-03-03"]')}
    finally:
        seeded.sql("DROP TABLE old_reading")


def test_an_idle_relay_is_woken_and_a_busy_one_is_not(seeded: Case) -> None:
    with psycopg.connect(seeded.url, autocommit=True) as relay:
        relay.execute("LISTEN syncline")
        seeded.sql("INSERT INTO seat VALUES (30)")
        assert not list(relay.notifies(timeout=0.05))
        relay.execute("SELECT pg_advisory_lock(1398361667, 1)")
        seeded.sql("INSERT INTO seat VALUES (31)")
        assert list(relay.notifies(timeout=60, stop_after=1))


def test_a_statement_without_rows_wakes_nobody_and_takes_no_transaction_id(seeded: Case) -> None:
    rows = seeded.sql("BEGIN; UPDATE seat SET guest = 'x' WHERE id < 0", "SELECT pg_current_xact_id_if_assigned()")
    locks = seeded.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
    seeded.sql("ROLLBACK")

    assert (rows, locks) == ([(None,)], [(0,)])


def test_concurrent_writers_do_not_wait_for_each_other(seeded: Case) -> None:
    done = threading.Event()
    with psycopg.connect(seeded.url) as slow:
        slow.execute("UPDATE todo SET done = true WHERE id = 1")

        def write() -> None:
            with psycopg.connect(seeded.url, autocommit=True) as quick:
                quick.execute("SET lock_timeout = '2s'")
                quick.execute("UPDATE todo SET done = true WHERE id = 2")
                done.set()

        thread = threading.Thread(target=write)
        thread.start()
        thread.join(5)
        assert done.is_set()
        slow.rollback()
