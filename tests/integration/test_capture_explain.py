"""Plans of the hot statements on a large outbox, also while an old snapshot keeps dead rows in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from syncline.embedded.postgres import PrivatePostgres
from syncline.engines.postgres.plans import compile_plans
from syncline.engines.postgres.states import marks_wanted
from syncline.journal.acknowledge import numbers, statement
from syncline.model.mark import Mark, most_blocks
from syncline.postgres.connection import connect
from syncline.postgres.dialect import Dialect
from syncline.postgres.sql import blocks
from tests import engines
from tests.integration.capture_case import Case, entity

ROWS = 40_000
QUERIES = blocks("queries.sql")
EVERY_LANE = -1
SINGLE_MARKS = (
    "CREATE OR REPLACE FUNCTION syncline.in_blocks() RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false'"
)


@pytest.fixture(scope="module")
def large(postgres: PrivatePostgres) -> Iterator[Case]:
    with engines.fresh_database(postgres.url) as url, Case(url, [entity("todo", "todo")]) as case:
        case.sql(
            "CREATE TABLE todo (id bigint PRIMARY KEY, title text)",
            "ALTER DATABASE " + case.conn.info.dbname + " SET synchronous_commit = off",
        )
        case.install()
        case.sql(
            SINGLE_MARKS,
            f"INSERT INTO todo SELECT g, 'x' FROM generate_series(1, {ROWS}) AS g",
            f"INSERT INTO syncline.deferred (due, entity, lane, key) SELECT now() + g * interval '1 s', 1, 1, g::text FROM generate_series(0, {ROWS}) AS g",
            f"INSERT INTO syncline.history (seq, created_at, processed_at, entity, hint, key) SELECT g, now(), now(), 1, 'U', g::text FROM generate_series(1, {ROWS}) AS g",
            "VACUUM ANALYZE",
        )
        yield case


def explain(conn: psycopg.Connection[Any], query: str, values: dict[str, Any]) -> dict[str, Any]:
    """Run a statement within a transaction that is undone; return its plan with what it touched."""
    with conn.transaction(force_rollback=True):
        row = conn.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query, values).fetchone()
    assert row is not None
    return row[0][0]["Plan"]


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """List the nodes of a plan, but for the looks at tables that are small: those that are being copied, blocks where there are none."""
    below = [child for child in plan.get("Plans", ()) if not _looks_at_few(child)]
    return [plan, *(node for child in below for node in nodes(child))]


def _looks_at_few(plan: dict[str, Any]) -> bool:
    """Tell whether all that is read below is the copies, or an empty table of blocks."""
    read = {one.get("Relation Name") for one in _all(plan)} - {None}
    return read == {"copy"} or ("block" in read and read <= {"copy", "block"} and not plan["Actual Rows"])


def _all(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _all(child)


def scans(plan: dict[str, Any]) -> set[tuple[str, str]]:
    return {(node["Node Type"], node["Relation Name"]) for node in nodes(plan) if "Relation Name" in node}


def buffers(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def test_marks_are_read_in_the_order_of_the_index(large: Case) -> None:
    values = marks_wanted(after=0, lanes=EVERY_LANE, limit=1000, without=[])
    plan = explain(large.conn, QUERIES["read_marks"], values)

    assert scans(plan) == {("Index Scan", "outbox")}
    assert not {"Sort"} & {node["Node Type"] for node in nodes(plan)}
    assert buffers(plan) < 60


async def test_marks_and_states_together_are_two_index_scans(large: Case) -> None:
    async with await connect(large.url) as conn:
        plan = (await compile_plans(conn, large.entities)).by_id[1]
    values = marks_wanted(after=0, lanes=EVERY_LANE, limit=100, without=[])
    for setting in ("force_custom_plan", "force_generic_plan"):
        large.sql(f"SET plan_cache_mode = {setting}")
        found = explain(large.conn, plan.statements.together, values)
        assert scans(found) == {("Index Scan", "outbox"), ("Index Scan", "todo")}, setting
        assert buffers(found) < 450, setting
    large.sql("RESET plan_cache_mode")


def test_a_lane_out_of_many_needs_no_sort(large: Case) -> None:
    plan = explain(large.conn, QUERIES["read_marks"], marks_wanted(after=ROWS // 2, lanes=3, limit=100, without=[7]))

    assert not {"Sort", "Seq Scan"} & {node["Node Type"] for node in nodes(plan)}


def test_due_deletes_are_found_without_looking_at_the_others(large: Case) -> None:
    plan = explain(large.conn, QUERIES["promote_deferred"], {"limit": 100})

    (found,) = (node for node in nodes(plan) if node.get("Index Name") == "deferred_due")
    assert "due" in found["Index Cond"]
    assert ("Seq Scan", "deferred") not in scans(plan)


def test_whether_a_delete_is_due_is_one_look_at_the_index(large: Case) -> None:
    plan = explain(large.conn, QUERIES["deferred_due"], {})

    assert buffers(plan) < 10


def test_a_token_is_looked_up_from_the_newest_mark_on(large: Case) -> None:
    large.sql("BEGIN; INSERT INTO todo VALUES (-1)")
    tx = large.sql("SELECT pg_current_xact_id()::text")[0][0]
    large.sql("COMMIT")
    query = blocks("freshness.sql", "syncline.tokens")["freshness"]
    plan = explain(large.conn, query, {"txs": [tx], "depth": 1000})

    assert ("Index Scan", "outbox") in scans(plan)
    assert buffers(plan) < 100
    large.sql("DELETE FROM syncline.outbox WHERE key = '-1'", "DELETE FROM todo WHERE id = -1")


def test_the_lag_is_one_row(large: Case) -> None:
    plan = explain(large.conn, blocks("queries.sql", "syncline.insight")["measures"], {})

    (oldest,) = [node for node in nodes(plan) if node["Node Type"] == "Limit"]
    assert ("Index Scan", "outbox") in scans(oldest)
    assert buffers(oldest) < 20


def test_an_acknowledgement_touches_only_its_marks(large: Case) -> None:
    large.sql("UPDATE syncline.lane SET owner = '00000000-0000-0000-0000-000000000001', epoch = 5")
    seqs = [seq for (seq,) in large.sql("SELECT seq FROM syncline.waiting ORDER BY seq LIMIT 500")]
    query = statement(Dialect.POSTGRESQL, history=False, absent=False, rejected=False, unpark=False, documents=False)
    values = {
        "lanes": list(range(64)), "epochs": [5] * 64, "worker": "00000000-0000-0000-0000-000000000001",
        "seqs": "{" + ",".join(map(str, seqs)) + "}",
    }  # fmt: skip
    plan = explain(large.conn, query, values)

    assert ("Seq Scan", "outbox") not in scans(plan)
    removed = [node["Actual Rows"] for node in nodes(plan) if node["Node Type"] == "ModifyTable"]
    assert removed == [500]


def test_the_history_of_one_record_is_found_by_its_index(large: Case) -> None:
    query = "SELECT * FROM syncline.changes WHERE aggregate_type = 'todo' AND aggregate_id = '77' AND processed ORDER BY created_at DESC LIMIT 1"
    plan = explain(large.conn, query, {})

    assert not {relation for kind, relation in scans(plan) if kind == "Seq Scan" and relation.startswith("history")}


def test_a_statement_that_marks_is_no_join(large: Case) -> None:
    """Plans on transition tables are made once a session, for the size of the first statement."""
    with psycopg.connect(large.url) as writer:
        writer.execute("UPDATE todo SET title = 'one' WHERE id = 1")
        writer.execute("SET LOCAL statement_timeout = '20s'")
        writer.execute("UPDATE todo SET title = 'all'")
        writer.rollback()


def test_dead_marks_under_an_old_snapshot_are_passed_by_going_on_after_the_last(large: Case) -> None:
    first, middle = large.sql("SELECT min(seq), (min(seq) + max(seq)) / 2 FROM syncline.waiting")[0]
    with psycopg.connect(large.url) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT count(*) FROM syncline.meta")
        large.sql(f"DELETE FROM syncline.outbox WHERE seq < {middle}", "VACUUM syncline.outbox")
        values = marks_wanted(after=0, lanes=EVERY_LANE, limit=1000, without=[])

        from_the_start = explain(large.conn, QUERIES["read_marks"], values | {"after": first - 1})
        from_the_floor = explain(large.conn, QUERIES["read_marks"], values | {"after": middle - 1})

        assert scans(from_the_floor) == {("Index Scan", "outbox")}
        assert buffers(from_the_floor) < 60 < buffers(from_the_start)
    large.sql("VACUUM syncline.outbox")
    after = explain(large.conn, QUERIES["read_marks"], values | {"after": 0})
    assert buffers(after) < 200


@pytest.fixture(scope="module")
def in_blocks(postgres: PrivatePostgres) -> Iterator[Case]:
    with engines.fresh_database(postgres.url) as url, Case(url, [entity("todo", "todo")]) as case:
        case.sql("CREATE TABLE todo (id bigint PRIMARY KEY, title text)")
        case.install()
        case.sql(
            f"INSERT INTO todo SELECT g, 'x' FROM generate_series(1, {5 * ROWS}) AS g",
            "INSERT INTO syncline.block SELECT tx, n * 1e9 + seq, n * 1e9 + first, at, entity, lane, hint, durable, seqs, keys, size"
            " FROM syncline.block CROSS JOIN generate_series(1, 20) AS n",
            "VACUUM ANALYZE",
        )
        yield case


def test_of_blocks_few_are_read_for_a_batch(in_blocks: Case) -> None:
    (middle,) = in_blocks.sql("SELECT seq FROM syncline.block ORDER BY seq OFFSET 200 LIMIT 1")[0]
    values = marks_wanted(after=middle, lanes=EVERY_LANE, limit=1000, without=[])
    plan = explain(in_blocks.conn, QUERIES["read_marks"], values)

    assert ("Index Scan", "block") in scans(plan)
    assert ("Seq Scan", "block") not in scans(plan)
    (walked,) = [node for node in nodes(plan) if node["Node Type"] == "WindowAgg"]
    assert walked["Actual Rows"] <= most_blocks(1000)


@pytest.mark.parametrize("whole", [True, False])
def test_an_acknowledgement_touches_only_its_blocks(in_blocks: Case, whole: bool) -> None:
    in_blocks.sql("UPDATE syncline.lane SET owner = '00000000-0000-0000-0000-000000000001', epoch = 5")
    found = in_blocks.sql(
        "SELECT seq, lane, entity, '', hint::text, durable, keys FROM syncline.block ORDER BY seq LIMIT 3"
    )
    marks = [Mark._make((*row, whole)) for row in found]
    query = statement(
        Dialect.POSTGRESQL,
        history=False,
        absent=False,
        rejected=False,
        unpark=False,
        documents=False,
        whole=whole,
        parts=not whole,
    )
    values = {"lanes": list(range(64)), "epochs": [5] * 64, "worker": "00000000-0000-0000-0000-000000000001"}
    plan = explain(in_blocks.conn, query, values | numbers(marks))

    assert ("Seq Scan", "block") not in scans(plan)
    assert buffers(plan) < 200
