"""Whatever another tool drops, retypes or forbids of what our triggers use: users' writes go on, and what is not marked is said."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from syncline.journal.parts import parts
from syncline.journal.tables import odd_outbox
from syncline.model.entity import Embed, TableName
from syncline.postgres.dialect import Dialect
from tests import engines
from tests.cases.test_our_schema import drop
from tests.integration.capture_case import Case, entity
from tests.integration.test_migrations import catalog

TABLES = """
CREATE TABLE plain (id bigint PRIMARY KEY, note text);
CREATE TABLE parted (id bigint PRIMARY KEY, note text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE child (cid bigint PRIMARY KEY, pid bigint, note text);
INSERT INTO plain VALUES (1, 'a'), (2, 'b');
INSERT INTO parted VALUES (1, 'a'), (2, 'b');
INSERT INTO child VALUES (1, 1, 'a'), (2, 2, 'b');
"""
ENTITIES = [
    entity("plain", "plain", embeds=(Embed("children", TableName("public", "child"), ("pid",)),)),
    entity("parted", "parted"),
]
WRITES: dict[str, tuple[str, set[str]]] = {
    "INSERT INTO plain VALUES (11, 'x')": ("plain", {"11"}),
    "INSERT INTO plain SELECT g FROM generate_series(12, 14) AS g": ("plain", {"12", "13", "14"}),
    "UPDATE plain SET note = 'z' WHERE id = 11": ("plain", {"11"}),
    "UPDATE plain SET id = 20 WHERE id = 12": ("plain", {"12", "20"}),
    "UPDATE plain SET note = 'y'": ("plain", {"1", "2", "11", "13", "14", "20"}),
    "DELETE FROM plain WHERE id = 11": ("plain", {"11"}),
    "DELETE FROM plain WHERE id > 12": ("plain", {"13", "14", "20"}),
    "INSERT INTO child VALUES (3, 2, 'c')": ("plain", {"2"}),
    "UPDATE child SET pid = 2 WHERE cid = 1": ("plain", {"1", "2"}),
    "DELETE FROM child": ("plain", {"2"}),
    "INSERT INTO parted VALUES (3, 'c')": ("parted", {"3"}),
    "UPDATE parted SET id = id + 10": ("parted", {"1", "2", "3", "11", "12", "13"}),
    "DELETE FROM parted_1 WHERE id = 11": ("parted", {"11"}),
}
USED = {
    "outbox": ("tx", "seq", "at", "entity", "lane", "hint", "durable", "key", "event_type", "payload"),
    "task": ("tx", "id", "kind", "entity", "reason", "options", "progress", "created_at"),
    "notice": ("id", "at", "name", "severity", "message", "resolved_at", "entity"),
    "entity": ("id", "name"),
}
"""What the triggers write or read of our tables."""


def _drops() -> Iterator[tuple[str, str]]:
    for part in parts(Dialect.POSTGRESQL):
        if part.name != "history.processed_at":  # of the partition key: PostgreSQL refuses it
            yield f"no {part}", drop(part)
    yield "no schema", "DROP SCHEMA syncline CASCADE"
    yield "schema renamed", "ALTER SCHEMA syncline RENAME TO elsewhere"
    for table in USED:
        yield f"{table} renamed", f"ALTER TABLE syncline.{table} RENAME TO {table}_old"
        yield f"{table} moved", f"ALTER TABLE syncline.{table} SET SCHEMA public"
        yield (
            f"{table} a view",
            f"ALTER TABLE syncline.{table} RENAME TO old; CREATE VIEW syncline.{table} AS SELECT 1 AS n",
        )
    for function in ("lane_of(smallint, text)", "wake()", "markable()", "odd_outbox()"):
        yield f"{function} renamed", f"ALTER FUNCTION syncline.{function} RENAME TO another"


def _alterations() -> Iterator[tuple[str, str]]:
    views = "DROP VIEW syncline.changes, syncline.waiting CASCADE; TRUNCATE syncline.outbox, syncline.block, syncline.task, syncline.notice; "
    for table, columns in USED.items():
        alter = f"ALTER TABLE syncline.{table} "
        for column in columns:
            yield f"{table}.{column} renamed", f"{alter} RENAME {column} TO another"
            for type_ in ("point", "varchar(1)", "bigint GENERATED ALWAYS AS (1) STORED", "int2 NOT NULL"):
                made = f"{type_} DEFAULT 1" if table == "entity" and "NOT" in type_ else type_
                yield f"{table}.{column} {type_}", f"{views} {alter} DROP {column} CASCADE; {alter} ADD {column} {made}"
    for column in USED["outbox"]:
        alter = f"ALTER TABLE syncline.outbox ALTER {column}"
        yield f"{column} without default", f"{alter} DROP IDENTITY IF EXISTS; {alter} DROP DEFAULT"


ADDITIONS = {
    "CHECK": "ALTER TABLE syncline.outbox ADD CHECK (key = 'a')",
    "unique index": "CREATE UNIQUE INDEX ON syncline.outbox (entity)",
    "failing index": "CREATE INDEX ON syncline.outbox ((1 / (length(key) - 1)))",
    "key": "ALTER TABLE syncline.outbox DROP CONSTRAINT outbox_pkey, ADD PRIMARY KEY (tx)",
    "column": "ALTER TABLE syncline.outbox ADD must text NOT NULL DEFAULT NULL",
    "foreign key": "ALTER TABLE syncline.outbox ADD FOREIGN KEY (entity) REFERENCES syncline.observed",
    "rule": "CREATE RULE no AS ON INSERT TO syncline.outbox DO INSTEAD SELECT 1 / 0",
    "sequence": "ALTER SEQUENCE syncline.outbox_seq_seq MAXVALUE 1024 RESTART",
    "sequence with a cache": "ALTER SEQUENCE syncline.outbox_seq_seq CACHE 20",
    "trigger": "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;"
    "CREATE TRIGGER no BEFORE INSERT ON syncline.outbox FOR EACH ROW EXECUTE FUNCTION no()",
    "task's CHECK": "DROP TABLE syncline.outbox CASCADE; ALTER TABLE syncline.task ADD CHECK (kind = 'a')",
}


@pytest.fixture(scope="module")
def case(postgres: Any) -> Iterator[Case]:
    with engines.fresh_database(postgres.url) as url, Case(url, ENTITIES) as made:
        made.sql(TABLES)
        made.install()
        made.forget()
        made.sql(*(write for write in WRITES if "child" in write))  # plans are kept
        made.sql("DELETE FROM child", "INSERT INTO child VALUES (1, 1, 'a'), (2, 2, 'b')")
        made.forget()
        yield made


def _works(case: Case, statement: str) -> list[Any] | None:
    try:
        with case.conn.transaction():
            return case.sql(statement)
    except psycopg.Error:
        return None


def _best(case: Case) -> str:
    """Tell what can be had at best, by trying it as the triggers do not."""
    with case.conn.transaction(force_rollback=True):
        marks = (
            f"INSERT INTO syncline.outbox (entity, lane, hint, key) VALUES ({n % 2 + 1}, 63, 'U', 'b{n}')"
            for n in range(3)
        )
        if all(_works(case, mark) is not None for mark in marks):
            return "marked"
        task = "INSERT INTO syncline.task (kind, entity, reason) VALUES ('backfill', 1, 'capture gap')"
        return "noted" if _works(case, task) is not None else "unnoted"


def _write(case: Case) -> set[tuple[str, str]]:
    expected: set[tuple[str, str]] = set()
    for write, (name, keys) in WRITES.items():
        case.sql(write)
        expected |= {(name, key) for key in keys}
    case.sql("TRUNCATE parted", "TRUNCATE plain")
    return expected


def _became(case: Case, expected: set[tuple[str, str]]) -> str:
    """Tell what became of changes."""
    ids = {"1": "plain", "2": "parted"}
    marks = _works(case, "SELECT entity::text, key FROM syncline.outbox") or []
    gaps = _works(case, "SELECT entity::text, kind FROM syncline.task WHERE reason = 'capture gap'") or []
    marked = {(ids[id_], key) for id_, key in marks}
    noted = {ids[id_] for id_, _ in gaps if {(id_, "backfill"), (id_, "sweep")} <= {*gaps}}
    lost = {key for key in expected - marked if key[0] not in noted}
    return "unnoted" if lost else "noted" if noted else "marked"


DAMAGES: Sequence[tuple[str, str]] = [*_drops(), *_alterations(), *ADDITIONS.items()]


@pytest.mark.parametrize("damage", [pytest.param(statements, id=name) for name, statements in DAMAGES])
def test_users_writes_go_on_and_each_change_is_marked_or_noted(case: Case, damage: str) -> None:
    with case.conn.transaction(force_rollback=True):
        case.sql(damage)
        best = _best(case)
        assert _became(case, _write(case)) in {best, "noted"}


OTHERS = {
    "outbox closed": "REVOKE INSERT ON syncline.outbox FROM {owner}",
    "task closed too": "REVOKE ALL ON syncline.outbox, syncline.task FROM {owner}",
    "all closed": "REVOKE ALL ON ALL TABLES IN SCHEMA syncline FROM {owner}",
    "outbox another's": "ALTER TABLE syncline.outbox OWNER TO postgres",
    "schema another's": "ALTER SCHEMA syncline OWNER TO postgres; REVOKE ALL ON SCHEMA syncline FROM {owner}",
    "no wake": "REVOKE ALL ON FUNCTION syncline.wake() FROM PUBLIC, {owner}",
    "no lane_of": "REVOKE ALL ON FUNCTION syncline.lane_of FROM PUBLIC, {owner}",
    "no markable": "REVOKE ALL ON FUNCTION syncline.markable FROM PUBLIC, {owner}",
    "no pg_notify": "REVOKE ALL ON FUNCTION pg_catalog.pg_notify FROM PUBLIC",
    "row-level security": "ALTER TABLE syncline.outbox ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    "functions another's": "ALTER FUNCTION syncline.capture_1_statement OWNER TO {writer};"
    "ALTER FUNCTION syncline.capture_1_update OWNER TO {writer}; ALTER FUNCTION syncline.capture_2_row OWNER TO {writer}",
    "functions of whoever calls": "ALTER FUNCTION syncline.capture_1_statement SECURITY INVOKER;"
    "ALTER FUNCTION syncline.capture_1_update SECURITY INVOKER; ALTER FUNCTION syncline.capture_2_row SECURITY INVOKER;"
    "ALTER FUNCTION syncline.capture_1_truncate SECURITY INVOKER; ALTER FUNCTION syncline.capture_2_truncate SECURITY INVOKER",
    "functions without settings": "ALTER FUNCTION syncline.capture_1_statement RESET ALL; ALTER FUNCTION syncline.capture_2_row RESET ALL",
}


HARMLESS = {"no wake", "no lane_of", "no markable", "no pg_notify", "functions without settings"}
NOTED = {"outbox closed", "outbox another's", "row-level security"}


Owned = tuple[Case, dict[str, str]]


@contextlib.contextmanager
def _owned(postgres: Any) -> Iterator[Owned]:
    roles = {name: f"{name}_{uuid4().hex[:8]}" for name in ("owner", "writer")}
    with engines.fresh_database(postgres.url) as url, Case(url, ENTITIES) as made:
        made.sql(*(f"CREATE ROLE {role} LOGIN" for role in roles.values()))
        made.sql(f"ALTER DATABASE {urlsplit(url).path[1:]} OWNER TO {roles['owner']}")
        with Case(url.replace("postgres@", f"{roles['owner']}@"), ENTITIES) as installer:
            installer.sql(TABLES, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {roles['writer']}")
            installer.install()
        made.forget()
        yield made, roles
        made.sql(*(f"DROP OWNED BY {role} CASCADE" for role in roles.values()))
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for role in roles.values():
            connection.execute(f"DROP ROLE {role}")


@pytest.fixture(scope="module")
def owned(postgres: Any) -> Iterator[Owned]:
    """Installed by an ordinary role; another one writes."""
    with _owned(postgres) as found:
        yield found


@pytest.fixture
def owned_anew(postgres: Any) -> Iterator[Owned]:
    """The same, for one test."""
    with _owned(postgres) as found:
        yield found


@pytest.mark.parametrize("kept", [True, False], ids=["plans kept", "plans new"])
@pytest.mark.parametrize("damage", OTHERS)
def test_users_writes_go_on_whatever_is_forbidden(owned: Owned, damage: str, kept: bool) -> None:
    case, roles = owned
    if not kept:
        case.sql("DISCARD PLANS")
    with case.conn.transaction(force_rollback=True):
        case.sql(OTHERS[damage].format(**roles), f"SET LOCAL ROLE {roles['writer']}")
        expected = _write(case)
        case.sql("RESET ROLE")
        became = _became(case, expected)
        assert became in ({"marked"} if damage in HARMLESS else {"noted"} if damage in NOTED else {"noted", "unnoted"})


@pytest.fixture
def fresh(database: str) -> Iterator[Case]:
    with Case(database, ENTITIES, backfill=True) as made:
        made.sql(TABLES)
        made.install()
        made.forget()
        yield made


def _assert_put_back(case: Case) -> None:
    done = case.install()

    assert {*done.backfill} == {"plain", "parted"}
    assert {*case.tasks()} >= {(kind, name) for kind in ("backfill", "sweep") for name in ("plain", "parted")}
    assert not case.plan().changes
    case.forget()
    case.sql("INSERT INTO plain VALUES (7, 'x')", "INSERT INTO parted VALUES (7, 'x')")
    assert case.marks() == [("plain", "7", "I"), ("parted", "7", "I")]
    assert case.sql("SELECT DISTINCT xmin = pg_current_xact_id()::xid FROM syncline.outbox") == [(False,)]


@pytest.mark.parametrize("type_", ["point", "varchar(1)", "bigint GENERATED ALWAYS AS (1) STORED", "int2"])
def test_columns_that_another_tool_altered_are_put_back_and_all_is_marked(fresh: Case, type_: str) -> None:
    before = catalog(fresh.url)
    altered = [(table, column) for table in ("outbox", "task", "notice") for column in USED[table]]
    fresh.sql("DROP VIEW syncline.changes CASCADE")
    for table, column in altered:
        alter = f"ALTER TABLE syncline.{table} "
        fresh.sql(f"{alter} DROP {column} CASCADE", f"{alter} ADD {column} {type_}")

    _assert_put_back(fresh)

    assert {*catalog(fresh.url)} == {*before}


def test_values_that_fit_are_kept(fresh: Case) -> None:
    fresh.sql("INSERT INTO plain VALUES (7, 'x')", "SELECT syncline.mark(1::smallint, '{a}', 'E', 'note', '{}')")
    before = fresh.marks()
    fresh.sql(
        "DROP VIEW syncline.changes CASCADE",
        "DROP VIEW syncline.waiting; ALTER TABLE syncline.outbox ALTER hint TYPE text, ALTER entity TYPE integer, ALTER key TYPE varchar(99),"
        " ALTER payload TYPE text, ALTER at DROP DEFAULT, ALTER tx DROP NOT NULL, ALTER event_type SET DEFAULT 'a'",
    )

    assert {*fresh.install().backfill} == {"plain", "parted"}
    assert fresh.marks() == before


@pytest.mark.parametrize(
    "damage", ["outbox closed", "schema another's", "functions another's", "functions of whoever calls"]
)
def test_what_was_forbidden_is_allowed_again(owned_anew: Owned, damage: str) -> None:
    case, roles = owned_anew
    case.sql(OTHERS[damage].format(**roles))
    case.options["backfill"] = True

    _assert_put_back(case)


LATE = {
    "made anew": "ALTER TABLE syncline.outbox RENAME TO old; CREATE TABLE syncline.outbox (LIKE syncline.old INCLUDING ALL);"
    " ALTER TABLE syncline.outbox ADD CHECK (key = 'a')",
    **{name: ADDITIONS[name] for name in ("CHECK", "rule", "trigger", "column")},
}


@pytest.mark.parametrize("change", [*LATE, "unique index"])
def test_a_statement_that_began_before_a_change_of_the_outbox_goes_on_and_so_do_later_ones(
    fresh: Case, change: str
) -> None:
    """It waits for a row, and its trigger's plan is made again under a snapshot that does not see the change."""
    late = "UPDATE plain SET note = 'late' WHERE id = 1"
    with psycopg.connect(fresh.url, autocommit=True) as writer, psycopg.connect(fresh.url) as holder:
        writer.execute(late)  # the plan is kept
        holder.execute("SELECT FROM plain WHERE id = 1 FOR UPDATE")
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(writer.execute, late)
            while not fresh.sql(f"SELECT 1 FROM pg_locks WHERE pid = {writer.info.backend_pid} AND NOT granted"):
                time.sleep(0.01)
            fresh.sql("TRUNCATE syncline.outbox, syncline.block", {**LATE, **ADDITIONS}[change])
            holder.rollback()
            writing.result()
        writer.execute("UPDATE plain SET note = 'later'")
        writer.execute("INSERT INTO plain VALUES (3)")


AGAIN = {
    name: f"{ADDITIONS[name]}; DROP {name} no ON syncline.outbox{'; DROP FUNCTION no()' if name == 'trigger' else ''}"
    for name in ("trigger", "rule")
}
"""One was there before: then a new one changes nothing of the outbox's own row in the catalog."""


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("change", [*LATE, "unique index", "failing index", *(f"{name} again" for name in AGAIN)])
def test_a_transaction_that_began_before_a_change_of_the_outbox_goes_on(fresh: Case, change: str, level: str) -> None:
    change, again, _ = change.partition(" again")
    with psycopg.connect(fresh.url, autocommit=True) as writer:
        if again:
            fresh.sql(AGAIN[change])
        writer.execute("UPDATE plain SET note = 'planned'")
        fresh.forget()
        writer.execute(f"BEGIN ISOLATION LEVEL {level}; SELECT FROM plain".encode())
        fresh.sql({**LATE, **ADDITIONS}[change])
        writer.execute("UPDATE plain SET note = 'late'; INSERT INTO plain VALUES (3); COMMIT")
        writer.execute("UPDATE plain SET note = 'later'")


@pytest.mark.parametrize("level", ["READ UNCOMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_marks_are_made_as_always_in_transactions_of_every_level(fresh: Case, level: str) -> None:
    fresh.sql("INSERT INTO plain SELECT generate_series(100, 3000)")
    with psycopg.connect(fresh.url, autocommit=True) as writer:
        writer.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
        assert writer.execute("SELECT syncline.markable()").fetchone() == (True,)


@pytest.mark.parametrize("tables", ["ALL TABLES IN SCHEMA syncline", "TABLE syncline.task"])
def test_that_the_triggers_owner_is_shut_out_is_said_by_whoever_looks(owned_anew: Owned, tables: str) -> None:
    """Users' writes go on, and not even a gap may be noted; a worker of another role still sees it."""
    case, roles = owned_anew

    async def seen() -> str | None:
        async with await psycopg.AsyncConnection.connect(case.url, autocommit=True) as connection:
            return await odd_outbox(connection)

    assert asyncio.run(seen()) is None
    case.sql(f"REVOKE ALL ON {tables} FROM {roles['owner']}", "UPDATE plain SET note = 'goes on'")

    said = asyncio.run(seen())

    assert said is not None
    assert f"{roles['owner']}, as whom triggers mark, may not write into" in said
    assert "task" in said


def test_what_somebody_added_to_the_outbox_is_named(fresh: Case) -> None:
    fresh.sql("ALTER TABLE syncline.outbox ADD CHECK (key <> 'a')")

    assert any("syncline.outbox has a CHECK" in warning for warning in fresh.install().warnings)


def test_a_cache_of_the_outboxs_sequence_is_named(fresh: Case) -> None:
    fresh.sql(ADDITIONS["sequence with a cache"])

    assert any("outbox has another sequence" in warning for warning in fresh.install().warnings)


@pytest.mark.parametrize("number", [1, 11])
def test_gaps_of_several_entities_in_one_transaction_are_all_noted(fresh: Case, number: int) -> None:
    """Of two entities one may have a number that ends as the other's."""
    fresh.sql("UPDATE syncline.meta SET last_entity = 10")
    fresh.entities.append(entity("late", "late"))
    fresh.sql("CREATE TABLE late (id bigint PRIMARY KEY)")
    fresh.install()
    assert fresh.ids()["late"] == 11
    fresh.forget()
    fresh.sql("DROP TABLE syncline.outbox CASCADE")
    writes = ["INSERT INTO plain VALUES (7, 'x')", "INSERT INTO late VALUES (7)"]
    with fresh.conn.transaction():
        fresh.sql(*(writes if number == 1 else reversed(writes)))
    assert {name for _, name in fresh.tasks()} == {"plain", "late"}


def test_an_installation_that_breaks_off_after_putting_back_has_all_marked_by_the_next(fresh: Case) -> None:
    fresh.sql("DROP TABLE syncline.outbox CASCADE")
    for step in fresh.plan().migrations:
        fresh.sql(step.as_string(None))

    _assert_put_back(fresh)
