"""Schema changes under a running worker are noticed within seconds and marked again, or said (cases 1 to 6 and 15)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from syncline.config.settings import Settings, SourceSettings
from syncline.insight.status import read_status
from syncline.model.entity import Embed, Entity, Fields, TableName
from syncline.model.thresholds import Health
from syncline.relay import keeper
from tests import programs
from tests.relay import Relay, entity, relayed, until

BRISK = {"grace": timedelta(seconds=0.2), "renew": timedelta(seconds=0.1)}
T, COMPOSED = entity("t"), entity("t", fields=Fields(types={"pair": "json"}))
TYPES = "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN state AS mood; "
PLAIN = "CREATE TABLE t (id bigint PRIMARY KEY, name text, other text)"
ROWS = "INSERT INTO t SELECT n, 'abc', 'o' FROM generate_series(1, 3) AS n"
PARTED = """
CREATE TABLE t (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id);
CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (100);
CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (100) TO (200);
CREATE TABLE t_3 (id bigint PRIMARY KEY, name text); INSERT INTO t_3 VALUES (201, 'came'), (202, 'came');
"""
PARTED_ROWS = "INSERT INTO t VALUES (1, 'a'), (101, 'b')"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(keeper, "LOOK_SHARE", 0)
    monkeypatch.setattr(keeper, "TABLES_SECONDS", 0.2)
    monkeypatch.setattr("syncline.wiring.worker.TASK_SECONDS", 0.05)


@contextlib.asynccontextmanager
async def synced(url: str, ddl: str, rows: str, entities: tuple[Entity, ...] = (T,)) -> AsyncIterator[Relay]:
    composed = (COMPOSED,) if "pair pair" in ddl else entities
    async with relayed(url, ddl=ddl, entities=composed, **BRISK) as relay:
        relay.sql(rows)
        async with relay.worker():
            await relay.drained(tasks=True)
            yield relay


async def health(relay: Relay) -> Health:
    return (await read_status(relay.url, None)).health


def told_open(relay: Relay) -> list[str]:
    return [*open_notices(relay, "CaptureBroken"), *open_notices(relay, "EntityStopped")]


def critical(relay: Relay) -> list[str]:
    query = "SELECT message FROM syncline.notice WHERE severity = 'critical' AND resolved_at IS NULL"
    return [message for (message,) in relay.sql(query)]


def open_notices(relay: Relay, name: str) -> list[str]:
    found = relay.sql("SELECT message FROM syncline.notice WHERE name = %s AND resolved_at IS NULL", name)
    return [message for (message,) in found]


MARKED = {
    "1: a column dropped and added": (PLAIN, ROWS, "ALTER TABLE t DROP name, ADD name text"),
    "dropped and added in two steps": (PLAIN, ROWS, "ALTER TABLE t DROP name; ALTER TABLE t ADD name text DEFAULT 'new'"),
    "two columns exchange names": (PLAIN, ROWS, "ALTER TABLE t RENAME name TO x; ALTER TABLE t RENAME other TO name; ALTER TABLE t RENAME x TO other"),
    "2: a column rewritten": (PLAIN, ROWS, "ALTER TABLE t ALTER name TYPE text USING upper(name)"),
    "a partitioned table's column rewritten": (PARTED, PARTED_ROWS, "ALTER TABLE t ALTER name TYPE text USING upper(name)"),
    "a stored expression": (
        "CREATE TABLE t (id bigint PRIMARY KEY, n int, g int GENERATED ALWAYS AS (n * 2) STORED)",
        "INSERT INTO t VALUES (1, 5)", "ALTER TABLE t ALTER g SET EXPRESSION AS (n * 3)",
    ),
    "a virtual expression": (
        "CREATE TABLE t (id bigint PRIMARY KEY, n int, g int GENERATED ALWAYS AS (n * 2) VIRTUAL)",
        "INSERT INTO t VALUES (1, 5)", "ALTER TABLE t ALTER g SET EXPRESSION AS (n * 3)",
    ),
    "3: a label renamed": (TYPES + "CREATE TABLE t (id int PRIMARY KEY, m mood)", "INSERT INTO t VALUES (1, 'sad')", "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'"),
    "a label within an array": (TYPES + "CREATE TABLE t (id int PRIMARY KEY, m mood[])", "INSERT INTO t VALUES (1, '{sad}')", "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'"),
    "a label behind a domain": (TYPES + "CREATE TABLE t (id int PRIMARY KEY, m state)", "INSERT INTO t VALUES (1, 'sad')", "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'"),
    "an attribute renamed": (TYPES + "CREATE TABLE t (id int PRIMARY KEY, pair pair)", "INSERT INTO t VALUES (1, '(1,x)')", "ALTER TYPE pair RENAME ATTRIBUTE b TO bb"),
    "an attribute added": (TYPES + "CREATE TABLE t (id int PRIMARY KEY, pair pair)", "INSERT INTO t VALUES (1, '(1,x)')", "ALTER TYPE pair ADD ATTRIBUTE c int"),
    "a key's label renamed": (TYPES + "CREATE TABLE t (m mood PRIMARY KEY, n int)", "INSERT INTO t VALUES ('sad', 1)", "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'"),
    "the key's values rewritten": (PLAIN, ROWS, "ALTER TABLE t ALTER id TYPE bigint USING id + 100"),
    "an integer key grows": ("CREATE TABLE t (id int PRIMARY KEY, name text)", "INSERT INTO t VALUES (1, 'a')", "ALTER TABLE t ALTER id TYPE bigint; INSERT INTO t VALUES (8000000000, 'b')"),
    "15: a partition dropped": (PARTED, PARTED_ROWS, "DROP TABLE t_2"),
    "a partition detached": (PARTED, PARTED_ROWS, "ALTER TABLE t DETACH PARTITION t_2"),
    "a partition attached with rows": (PARTED, PARTED_ROWS, "ALTER TABLE t ATTACH PARTITION t_3 FOR VALUES FROM (200) TO (300)"),
    "made, filled and attached at once": (
        PARTED, PARTED_ROWS,
        ("BEGIN; CREATE TABLE t_4 (id bigint PRIMARY KEY, name text); INSERT INTO t_4 VALUES (301, 'x'); "
         "ALTER TABLE t ATTACH PARTITION t_4 FOR VALUES FROM (300) TO (400); COMMIT"),
    ),
    "detached, changed, attached": (
        PARTED, PARTED_ROWS,
        ("BEGIN; ALTER TABLE t DETACH PARTITION t_2; UPDATE t_2 SET name = 'z'; "
         "ALTER TABLE t ATTACH PARTITION t_2 FOR VALUES FROM (100) TO (200); COMMIT"),
    ),
    "off and always on again": (
        PLAIN, ROWS,
        "BEGIN; ALTER TABLE t DISABLE TRIGGER USER; UPDATE t SET name = 'unseen'; INSERT INTO t VALUES (9, 'unseen'); "
        + "; ".join(f"ALTER TABLE t ENABLE ALWAYS TRIGGER syncline_1_{e}" for e in ("insert", "update", "delete", "truncate")) + "; COMMIT",
    ),
}  # fmt: skip

NEEDS = {
    "a stored expression": (17, "SET EXPRESSION"),
    "a virtual expression": (18, "VIRTUAL columns"),
}


def documents(relay: Relay) -> list[object]:
    """What the target has, but for what every write changes."""
    return [{k: v for k, v in one.items() if k not in ("_v", "_syncedAt")} for one in relay.raw(T)]


@pytest.mark.parametrize("change", programs.since(MARKED, NEEDS))
async def test_what_a_document_should_say_is_marked_again_by_itself(database: str, change: str) -> None:
    ddl, rows, statement = MARKED[change]
    async with synced(database, ddl, rows) as relay:
        before = documents(relay)
        relay.sql(statement)
        await until(lambda: {"TableChanged", "MappingChanged"} & set(relay.notices()), what="noticed")
        await relay.drained(tasks=True, deferred=True)
        after = documents(relay)
        assert after != before
        assert await health(relay) is Health.HEALTHY
        relay.sql(
            "INSERT INTO syncline.task (kind, entity, reason) SELECT k, 1, 'proof' FROM unnest(ARRAY['backfill', 'sweep']) AS k"
        )
        await relay.drained(tasks=True, deferred=True)
        assert documents(relay) == after, "marking everything once more finds nothing"
        assert relay.parked() == {}


UNMARKED = {
    "another file": (PLAIN, ROWS, "VACUUM FULL t; CLUSTER t USING t_pkey; REINDEX TABLE t"),
    "a plain table": (
        PLAIN, ROWS,
        ("ALTER TABLE t ALTER name SET STATISTICS 500; ANALYZE t; "
        "CREATE INDEX ON t (name); CREATE UNIQUE INDEX ON t (id, name); "
        "ALTER TABLE t ALTER name SET DEFAULT 'x', ADD CHECK (id > 0); COMMENT ON TABLE t IS 'x'; "
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW ;END'; "
        "CREATE TRIGGER u BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); "
        "CREATE TABLE u (id int); ALTER TABLE u ADD x int; DROP TABLE u"),
    ),
    "a new label": (TYPES + "CREATE TABLE t (id int PRIMARY KEY, m mood)", "INSERT INTO t VALUES (1, 'sad')", "ALTER TYPE mood ADD VALUE 'new'"),
    "an empty partition": (PARTED, PARTED_ROWS, "CREATE TABLE t_9 PARTITION OF t FOR VALUES FROM (900) TO (1000)"),
}  # fmt: skip


@pytest.mark.parametrize("change", UNMARKED)
async def test_what_changes_no_document_marks_nothing(database: str, change: str) -> None:
    ddl, rows, statements = UNMARKED[change]
    async with synced(database, ddl, rows) as relay:
        before = relay.value("SELECT last_value FROM syncline.outbox_seq_seq")
        tasks = "SELECT last_value FROM syncline.task_id_seq"
        asked = relay.value(tasks)
        for one in statements.split("; "):
            relay.sql(one)
        async with relay.worker():  # whoever starts now looks before anything else
            assert relay.value(tasks) == asked
        assert relay.value("SELECT last_value FROM syncline.outbox_seq_seq") == before
        assert await health(relay) is Health.HEALTHY


async def test_a_change_that_nobody_was_there_to_see_is_noticed_at_the_start(database: str) -> None:
    async with relayed(database, ddl=PLAIN, entities=[T], **BRISK) as relay:
        relay.sql(ROWS)
        async with relay.worker():
            await relay.equal()
        relay.sql("ALTER TABLE t DROP other, ADD other text")
        async with relay.worker():
            await relay.equal(tasks=True)
            assert relay.document(1, T)["other"] is None


async def test_of_two_workers_one_asks_for_the_marking(database: str) -> None:
    async with synced(database, PLAIN, ROWS) as relay, relay.worker():
        relay.sql("ALTER TABLE t ALTER name TYPE text USING upper(name)")
        await until(lambda: "TableChanged" in relay.notices())
        await relay.equal(tasks=True)
        assert relay.value("SELECT last_value FROM syncline.task_id_seq") == 2


ENDED = {
    "4: the table swapped": "BEGIN; CREATE TABLE t2 (LIKE t INCLUDING ALL); INSERT INTO t2 SELECT * FROM t; INSERT INTO t2 VALUES (7, 'x'); "
    "ALTER TABLE t RENAME TO t1; ALTER TABLE t2 RENAME TO t; COMMIT",
    "5: the table made again": f"DROP TABLE t CASCADE; {PLAIN}; INSERT INTO t VALUES (8, 'x')",
    "5: triggers off and on again": "ALTER TABLE t DISABLE TRIGGER USER; INSERT INTO t VALUES (9, 'x'); ALTER TABLE t ENABLE TRIGGER USER",
    "a trigger dropped": "DROP TRIGGER syncline_1_update ON t; UPDATE t SET name = 'unseen'",
    "a trigger under a condition": "DROP TRIGGER syncline_1_update ON t; CREATE TRIGGER syncline_1_update AFTER UPDATE ON t "
    "FOR EACH ROW WHEN (NEW.id > 1) EXECUTE FUNCTION syncline.capture_1_update()",
    "our function dropped": "DROP FUNCTION syncline.capture_1_statement() CASCADE; INSERT INTO t VALUES (9, 'x')",
    "a child by inheritance": "CREATE TABLE kid (PRIMARY KEY (id)) INHERITS (t); INSERT INTO kid VALUES (9, 'x')",
    "6: another primary key": "ALTER TABLE t ADD new_id bigint; UPDATE t SET new_id = 100 + id; ALTER TABLE t DROP CONSTRAINT t_pkey, "
    "ADD PRIMARY KEY (new_id); UPDATE t SET name = 'y' WHERE id = 1; DELETE FROM t WHERE id = 2",
    "6: overlapping": "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (new_id); UPDATE t SET name = 'y' WHERE new_id = 101; "
    "DELETE FROM t WHERE new_id = 102",
    "7: the key renamed": "ALTER TABLE t RENAME id TO t_id; INSERT INTO t VALUES (9, 'x')",
    "the key's type changed": "ALTER TABLE t ALTER id TYPE text; INSERT INTO t VALUES ('nine', 'x')",
    "the key's type changed to one whose numbers are equal": "ALTER TABLE t ALTER id TYPE numeric(20, 0); DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (9, 'x')",
    "a key of two columns": "ALTER TABLE t ALTER name SET NOT NULL, DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id, name); DELETE FROM t WHERE id = 2",
    "the table in another schema": "CREATE SCHEMA old; ALTER TABLE t SET SCHEMA old",
}  # fmt: skip
TABLES = {
    "6: overlapping": (
        "CREATE TABLE t (id bigint PRIMARY KEY, new_id bigint NOT NULL UNIQUE, name text)",
        "INSERT INTO t VALUES (1, 101, 'a'), (2, 102, 'b'), (101, 7, 'c')",
    )
}
"""Where another table than ``PLAIN`` is needed: here one key's values are the other one's, of other rows."""


@pytest.mark.parametrize("change", ENDED)
async def test_what_ends_capture_is_said_and_healed_by_an_installation(database: str, change: str) -> None:
    async with synced(database, *TABLES.get(change, (PLAIN, ROWS))) as relay:
        relay.sql(ENDED[change])
        await until(lambda: open_notices(relay, "CaptureBroken") or open_notices(relay, "EntityStopped"), seconds=20)
        assert await health(relay) is Health.UNHEALTHY
        await until(lambda: len(critical(relay)) == 1, what=lambda: f"one notice for one cause: {critical(relay)}")
        assert any("syncline install" in message or "there is no table" in message for message in critical(relay))
        if "schema" in change:
            relay.sql("ALTER TABLE old.t SET SCHEMA public")
        else:
            await relay.install()
        await until(lambda: not told_open(relay), seconds=20, what=lambda: f"{told_open(relay)}, {relay.seen.outages}")
        await until(lambda: relay.is_drained(tasks=True) and relay.rows(T) == relay.documents(T), seconds=30)
        assert await health(relay) is Health.HEALTHY
        assert len(relay.raw(T)) == len(relay.rows(T)), "nothing stays under the old key"
        if "two columns" not in change:
            relay.sql("UPDATE t SET name = 'captured again'")
        await relay.equal()


@pytest.mark.parametrize("change", [name for name in ENDED if "schema" not in name])
async def test_workers_that_may_put_capture_back_by_themselves(
    database: str, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Relay, "settings", property(_mending))
    async with synced(database, *TABLES.get(change, (PLAIN, ROWS))) as relay:
        relay.sql(ENDED[change])
        await until(lambda: relay.value("SELECT count(*) FROM syncline.notice WHERE severity = 'critical'"), seconds=20)
        await until(lambda: not told_open(relay), seconds=20, what=lambda: f"{told_open(relay)}, {relay.seen.outages}")
        await until(lambda: relay.is_drained(tasks=True) and relay.rows(T) == relay.documents(T), seconds=30)
        relay.sql("UPDATE t SET name = 'captured again'")
        await relay.equal()
        assert await health(relay) is Health.HEALTHY


_settings = Relay.settings.fget


def _mending(relay: Relay) -> Settings:
    return replace(_settings(relay), source=SourceSettings(url=relay.url, reinstall=True))


async def test_a_role_that_may_not_put_it_back_says_so(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with relayed(database, ddl=PLAIN, entities=[T], **BRISK) as relay:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("DROP ROLE IF EXISTS plain_worker")
            connection.execute("CREATE ROLE plain_worker")
            connection.execute("GRANT USAGE ON SCHEMA syncline TO plain_worker")
            connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA syncline TO plain_worker")
            connection.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA syncline TO plain_worker")
            connection.execute("GRANT SELECT ON t TO plain_worker")
        role = (
            f"{database}&options=-crole%3Dplain_worker"
            if "?" in database
            else f"{database}?options=-crole%3Dplain_worker"
        )
        monkeypatch.setattr(
            Relay,
            "settings",
            property(lambda one: replace(_settings(one), source=SourceSettings(url=role, reinstall=True))),
        )
        try:
            async with relay.worker():
                relay.sql("DROP TRIGGER syncline_1_update ON t")
                await until(lambda: open_notices(relay, "ReinstallFailed"))
                assert open_notices(relay, "CaptureBroken")
                assert await health(relay) is Health.UNHEALTHY
        finally:
            relay.sql("DROP OWNED BY plain_worker")
            relay.sql("DROP ROLE plain_worker")


async def test_8_an_embedded_tables_column_renamed(database: str) -> None:
    ddl = "CREATE TABLE t (id bigint PRIMARY KEY, name text); CREATE TABLE line (id int PRIMARY KEY, order_id bigint, n int)"
    lines = Embed("lines", TableName("public", "line"), ("order_id",))
    async with synced(
        database,
        ddl,
        "INSERT INTO t VALUES (1, 'a'); INSERT INTO line VALUES (1, 1, 5)",
        (entity("t", embeds=(lines,)),),
    ) as relay:
        relay.sql("ALTER TABLE line RENAME order_id TO oid")
        relay.sql("UPDATE line SET n = 6")
        await until(lambda: open_notices(relay, "CaptureBroken") or open_notices(relay, "EntityStopped"), seconds=20)
        relay.sql("ALTER TABLE line RENAME oid TO order_id")
        await until(lambda: not told_open(relay), seconds=20, what=lambda: f"{told_open(relay)}, {relay.seen.outages}")
        await relay.drained(tasks=True)
        assert relay.document(1, relay.entities[0])["lines"][0]["n"] == 6
        assert await health(relay) is Health.HEALTHY


async def test_a_table_of_children_is_detached_and_its_parents_marked(database: str) -> None:
    ddl = (
        "CREATE TABLE t (id bigint PRIMARY KEY, name text); CREATE TABLE line (id int PRIMARY KEY, t_id bigint) PARTITION BY RANGE (id); "
        "CREATE TABLE line_1 PARTITION OF line FOR VALUES FROM (0) TO (10); CREATE TABLE line_2 PARTITION OF line FOR VALUES FROM (10) TO (20)"
    )
    lines = Embed("lines", TableName("public", "line"), ("t_id",))
    one = entity("t", embeds=(lines,))
    async with synced(
        database, ddl, "INSERT INTO t VALUES (1, 'a'); INSERT INTO line VALUES (1, 1), (11, 1)", (one,)
    ) as relay:
        assert len(relay.document(1, one)["lines"]) == 2
        relay.sql("DROP TABLE line_2")
        await until(lambda: len(relay.document(1, one)["lines"]) == 1)


async def test_capture_by_sessions_needs_no_triggers(database: str) -> None:
    async with relayed(database, ddl=PLAIN, entities=[T], **BRISK) as relay:
        relay.sql("UPDATE syncline.entity SET capture = 'session'")
        relay.sql("DROP TRIGGER syncline_1_update ON t")
        async with relay.worker():
            relay.sql("INSERT INTO t VALUES (1, 'a')")
            await relay.equal()
            assert open_notices(relay, "CaptureBroken") == []
