"""Random statements in random transactions against the oracle: no change is ever without its mark."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from syncline.embedded.postgres import PrivatePostgres
from syncline.model.entity import Embed, TableName
from tests import engines
from tests.integration.capture_case import Case, changed, entity

TABLES = """
CREATE TABLE flat (id int PRIMARY KEY, v int);
CREATE TABLE kid (a int REFERENCES flat ON DELETE CASCADE ON UPDATE CASCADE, b int, v int, PRIMARY KEY (a, b) DEFERRABLE);
CREATE TABLE loose (id int PRIMARY KEY, parent int REFERENCES flat ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE split (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
CREATE TABLE split_low PARTITION OF split FOR VALUES FROM (MINVALUE) TO (4);
CREATE TABLE split_high PARTITION OF split FOR VALUES FROM (4) TO (MAXVALUE) PARTITION BY HASH (id);
CREATE TABLE split_high_0 PARTITION OF split_high FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE split_high_1 PARTITION OF split_high FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE top (id int PRIMARY KEY, v int);
CREATE TABLE sub (PRIMARY KEY (id)) INHERITS (top);
"""
ENTITIES = [
    entity("flat", "flat", embeds=(Embed("kids", TableName.parse("kid"), ("a",)), Embed("l", TableName.parse("loose"), ("parent",)))),
    entity("kid", "kid"),
    entity("loose", "loose"),
    entity("split", "split"),
    entity("top", "top"),
]  # fmt: skip
SMALL = st.integers(0, 7)
FLAT = st.sampled_from(["flat", "split", "split_low", "split_high", "split_high_0", "top", "sub"])
ROOTS = st.sampled_from(["flat", "split", "split_high", "top", "ONLY top", "sub"])


class Writes(RuleBasedStateMachine):
    """Statements that fail are part of it: they undo their transaction or go back to a savepoint."""

    case: Case

    def __init__(self) -> None:
        super().__init__()
        self.open = False
        self.case.sql("DELETE FROM loose; DELETE FROM kid; DELETE FROM flat; DELETE FROM split; DELETE FROM top")
        self.case.sql(
            "INSERT INTO flat SELECT g, g FROM generate_series(0, 3) AS g; INSERT INTO kid SELECT g, g FROM generate_series(0, 3) AS g"
        )
        self.case.sql(
            "INSERT INTO split SELECT g, g FROM generate_series(1, 6) AS g; INSERT INTO top VALUES (1); INSERT INTO sub VALUES (2)"
        )
        self.settle()

    def settle(self) -> None:
        self.case.forget()
        self.before = self.case.contents()

    def run(self, statement: str) -> None:
        try:
            if self.open:
                self.case.sql("SAVEPOINT here")
            self.case.sql(statement)
        except psycopg.Error:
            if self.open:
                self.case.sql("ROLLBACK TO here")

    @precondition(lambda self: not self.open)
    @rule(level=st.sampled_from(["READ COMMITTED", "REPEATABLE READ"]))
    def begin(self, level: str) -> None:
        self.marked = self.case.marks(), self.case.tasks()
        self.case.sql(f"BEGIN ISOLATION LEVEL {level}")
        self.open = True

    @precondition(lambda self: self.open)
    @rule(keep=st.booleans())
    def end(self, keep: bool) -> None:
        self.open = False
        try:
            self.case.sql("COMMIT" if keep else "ROLLBACK")
        except psycopg.Error:
            self.case.sql("ROLLBACK")
        if not keep:
            assert (self.case.marks(), self.case.tasks()) == self.marked

    @rule(
        table=FLAT,
        first=SMALL,
        many=st.integers(1, 4),
        mode=st.sampled_from(["", "DO NOTHING", "DO UPDATE SET v = 9", "DO UPDATE SET id = 7 - excluded.id"]),
    )
    def insert(self, table: str, first: int, many: int, mode: str) -> None:
        conflict = f" ON CONFLICT (id) {mode}" if mode else ""
        self.run(f"INSERT INTO {table} SELECT g, g FROM generate_series({first}, {first + many}) AS g{conflict}")

    @rule(
        table=ROOTS,
        low=SMALL,
        high=SMALL,
        change=st.sampled_from(["v = v + 1", "id = id + 8", "id = 7 - id", "id = id, v = v"]),
    )
    def update(self, table: str, low: int, high: int, change: str) -> None:
        self.run(f"UPDATE {table} SET {change} WHERE id BETWEEN {low} AND {high}")

    @rule(table=ROOTS, low=SMALL, high=SMALL)
    def delete(self, table: str, low: int, high: int) -> None:
        self.run(f"DELETE FROM {table} WHERE id BETWEEN {low} AND {high}")

    @rule(a=SMALL, b=SMALL)
    def children(self, a: int, b: int) -> None:
        self.run(f"INSERT INTO kid VALUES ({a}, {b})")
        self.run(f"INSERT INTO loose VALUES ({b}, {a}) ON CONFLICT (id) DO UPDATE SET parent = excluded.parent")

    @rule(a=SMALL, to=SMALL)
    def move_children(self, a: int, to: int) -> None:
        self.run(f"UPDATE kid SET a = {to}, b = b + 10 WHERE a = {a}")
        self.run(f"UPDATE loose SET parent = NULLIF({to}, 0) WHERE parent = {a}")

    @precondition(lambda self: self.case.conn.info.server_version >= 150000)
    @rule(table=st.sampled_from(["flat", "split", "top"]), low=SMALL)
    def merge(self, table: str, low: int) -> None:
        self.run(
            f"MERGE INTO {table} AS t USING generate_series({low}, {low + 3}) AS i ON t.id = i WHEN MATCHED AND i % 3 = 0 THEN DELETE "
            "WHEN MATCHED THEN UPDATE SET v = t.v + 1 WHEN NOT MATCHED THEN INSERT VALUES (i, i)"
        )

    @rule(low=SMALL, to=st.sampled_from(["split", "top", "flat"]))
    def cte(self, low: int, to: str) -> None:
        self.run(
            f"WITH d AS (DELETE FROM flat WHERE id >= {low} RETURNING *) INSERT INTO {to} SELECT id + 1, v FROM d ON CONFLICT (id) DO NOTHING"
        )

    @rule(table=st.sampled_from(["loose", "split", "split_low", "split_high", "top", "sub", "kid", "flat CASCADE"]))
    def truncate(self, table: str) -> None:
        self.run(f"TRUNCATE {table}")

    @rule(role=st.sampled_from(["replica", "origin"]))
    def role(self, role: str) -> None:
        self.run(f"SET session_replication_role = {role}")

    @precondition(lambda self: not self.open)
    @rule()
    def compare(self) -> None:
        after = self.case.contents()
        marked = {(name, key) for name, key, _ in self.case.marks()}
        lost = {key for key in changed(self.before, after) - marked if key[0] not in self.case.swept()}
        assert not lost, f"not captured: {lost}"
        present = {key for key in changed(self.before, after) & after.keys() if key[0] not in {"flat", "top"}}
        assert present <= marked, "a sweep only finds what is gone"
        self.settle()

    def teardown(self) -> None:
        if self.open:
            self.end(True)
        self.case.sql("RESET session_replication_role")
        self.compare()


@pytest.fixture(scope="module")
def world(postgres: PrivatePostgres) -> Iterator[Case]:
    with engines.fresh_database(postgres.url) as url, Case(url, ENTITIES) as case:
        case.sql(TABLES, "SET synchronous_commit = off")
        case.install()
        yield case


def test_random_writes_are_captured(world: Case) -> None:
    run_state_machine_as_test(
        type("WritesHere", (Writes,), {"case": world}),
        settings=settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
