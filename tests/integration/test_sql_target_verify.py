"""Verification and repair of tables by tables: what is damaged is found, nothing else, whatever writers do meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from syncline.capture.postgres.install import install, plan
from syncline.engines.postgres.plans import compile_plans
from syncline.engines.postgres.target.inspection import SqlInspection
from syncline.engines.postgres.target.target import SqlTarget
from syncline.engines.postgres.verification.side import SqlSide
from syncline.model.entity import ROWS, Entity
from syncline.ports import Plan
from syncline.postgres.connection import Connection, connect
from syncline.postgres.loaders import register_loaders
from syncline.verify import digest_look
from syncline.verify.one_pass import Options, Pass, Sides
from syncline.verify.repair import repair
from syncline.verify.report import Mode, VerifyReport
from syncline.verify.second_look import SecondLook
from syncline.verify.verifier import verify
from tests import engines, relay
from tests.copies import Copy
from tests.pairs import kinds

QUICK = timedelta(seconds=2)
TYPES = {
    "i": ("int4", "42", "43"),
    "small": ("int2", "0", None),
    "empty": ("text", "''", None),
    "nothing": ("text", "NULL", "''"),
    "blank": ("text", "'a '", "'a'"),
    "quoted": ("text", "'a\",b'", "'a,b'"),
    "scale": ("numeric", "1.10", "1.1"),
    "digits": ("numeric", "12345678901234567890.12", "12345678901234567890.13"),
    "zero": ("float8", "0", "'-0'"),
    "nan": ("float8", "'NaN'", "'Infinity'"),
    "nearly": ("float8", "0.1", "0.10000000000000002"),
    "real": ("float4", "1.5", "1.50000012"),
    "yes": ("bool", "true", "false"),
    "day": ("date", "'2024-02-29'", "'2024-03-01'"),
    "forever": ("date", "'infinity'", "'-infinity'"),
    "at": ("timestamptz", "'2024-02-29 12:00:00.000001+00'", "'2024-02-29 12:00:00.000002+00'"),
    "local": ("timestamp", "'2024-02-29 12:00:00'", "'2024-02-29 13:00:00'"),
    "span": ("interval", "'1 day'", "'24 hours'"),
    "clock": ("timetz", "'12:00+00'", "'13:00+01'"),
    "bytes": ("bytea", "'\\x00ff'", "'\\x00fe'"),
    "doc": ("jsonb", """'{"a": [1.0, null]}'""", """'{"a": [1.00, null]}'"""),
    "source": ("json", """'{"a":1}'""", """'{"a": 1}'"""),
    "list": ("text[]", "ARRAY['a', NULL]", "ARRAY['a', 'NULL']"),
    "grid": ("int[]", "'{{1,2},{3,4}}'", "'{{1,2},{3,5}}'"),
    "span2": ("int4range", "'[1,5)'", "'[1,6)'"),
    "id": ("uuid", "'00000000-0000-4000-8000-000000000001'", "'00000000-0000-4000-8000-000000000002'"),
    "host": ("inet", "'10.0.0.1/8'", "'10.0.0.1/9'"),
    "mood": ("mood", "'glad'", "'sad'"),
    "pair": ("pair", "ROW(NULL, NULL)::pair", "NULL"),
    "fixed": ("char(5)", "'ab'", "'abc'"),
    "flags": ("bit(4)", "B'1010'", "B'1011'"),
    "price": ("money", "12.5", "12.51"),
}
"""Column to type, value, and another value that must be told from it."""
COLUMNS = ", ".join(f'"{name}" {type_}' for name, (type_, *_) in TYPES.items())
VALUES = ", ".join(value for _, value, _ in TYPES.values())
EVERY = f"""
    CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE TYPE pair AS (a int, b text);
    CREATE TABLE every (k bigint PRIMARY KEY, {COLUMNS});
    INSERT INTO every SELECT k, {VALUES} FROM generate_series(1, 60) AS k;
"""
MANY = """
    CREATE TABLE item (id int PRIMARY KEY, v text, n numeric(10, 2));
    INSERT INTO item SELECT k, 'v' || k, k FROM generate_series(1, 500) AS k;
    CREATE TABLE word (a text COLLATE "POSIX", b date, v text, PRIMARY KEY (a, b));
    INSERT INTO word SELECT chr(64 + k % 26) || 'é"' || k, date '2024-01-01' + k, k FROM generate_series(1, 500) AS k;
"""


def entity(name: str, **options: Any) -> Entity:
    return relay.entity(name, form=ROWS, **options)


@dataclass
class Tables:
    """Two databases with the same rows, and short calls."""

    url: str
    target: SqlTarget
    here: psycopg.Connection[Any]
    there: psycopg.Connection[Any]
    pages: Connection
    looks: Connection
    plans: dict[str, Plan]

    @property
    def sides(self) -> Sides:
        return Sides(SqlSide(self.pages, self.looks), SqlInspection(self.target))

    async def verify(self, *names: str, **options: Any) -> VerifyReport:
        chosen = [self.plans[name] for name in names or self.plans]
        values = {"patience": QUICK, **options, "mode": Mode(options.get("mode", "full"))}
        return await verify(self.sides, chosen, Options(**values))

    def damage(self, *statements: str) -> None:
        for statement in statements:
            self.there.execute(statement)  # type: ignore[call-overload]

    def silently(self, *statements: str) -> None:
        """Change the source so that nobody notices."""
        with self.here.transaction():
            for statement in statements:
                self.here.execute(statement)  # type: ignore[call-overload]
            self.here.execute("DELETE FROM syncline.outbox; DELETE FROM syncline.block")


@contextlib.asynccontextmanager
async def tables(source: str, target: str, ddl: str, *entities: Entity) -> AsyncIterator[Tables]:
    async with contextlib.AsyncExitStack() as stack:
        here, there = (stack.enter_context(psycopg.connect(url, autocommit=True)) for url in (source, target))
        for side in (here, there):
            side.execute(ddl)  # type: ignore[call-overload]
            side.execute("ANALYZE")
        async with await psycopg.AsyncConnection.connect(source, autocommit=True) as installer:
            await install(installer, await plan(installer, list(entities)))
        here.execute("DELETE FROM syncline.task; DELETE FROM syncline.outbox; DELETE FROM syncline.block")
        to = SqlTarget(target, timeout_seconds=10)
        stack.push_async_callback(to.close)
        await to.prepare(list(entities))
        pair = [await stack.enter_async_context(await connect(source, keyed=True)) for _ in range(2)]
        for one in pair:
            register_loaders(one.adapters)
        plans = {one.name: one for one in (await compile_plans(pair[0], list(entities))).by_id.values()}
        yield Tables(source, to, here, there, *pair, plans)


@pytest.fixture
def other(postgres):
    with engines.fresh_database(postgres.url) as url:
        yield url


@pytest.fixture
async def many(database, other, monkeypatch):
    """Tables of several stretches: one whose keys both sides sort alike, one that is looked up key by key."""
    monkeypatch.setattr(digest_look, "RECORDS", 100)
    monkeypatch.setattr("syncline.verify.walking.RECORDS", 100)
    async with tables(database, other, MANY, entity("item"), entity("word")) as made:
        yield made


async def test_every_type_is_compared_exactly(database, other):
    async with tables(database, other, EVERY, entity("every")) as made:
        made.there.execute(
            "ALTER ROLE CURRENT_USER IN DATABASE " + made.there.info.dbname + " SET bytea_output = 'escape'"
        )
        made.damage("UPDATE every SET k = k")  # other versions of the same rows
        report = await made.verify()
        assert (report.exit_status, kinds(report)) == (0, {})
        assert (report.entities[0].records, report.entities[0].documents) == (60, 60)
        for key, (name, (_, _, value)) in enumerate(TYPES.items(), 1):
            made.damage(f'UPDATE every SET "{name}" = {value or "NULL"} WHERE k = {key}')
        made.damage("DELETE FROM every WHERE k = 50", "UPDATE every SET k = 1000 WHERE k = 51")
        report = await made.verify()
        found = {one.key: [field.field for field in one.differences] for one in report.entities[0].findings}
        assert found == {str(key): [name] for key, name in enumerate(TYPES, 1)} | {"50": [], "51": [], "1000": []}
        assert {key: kinds(report)[key] for key in ("50", "51", "1000")} == {
            "50": "missing",
            "51": "missing",
            "1000": "extra",
        }


KEYS = """
    CREATE TABLE item (c char(5), b bool, h inet, "50%d" text, PRIMARY KEY (c, b, h));
    INSERT INTO item SELECT 'k' || k, k % 2 = 0, '10.0.0.1', k FROM generate_series(1, 20) AS k;
"""


async def test_keys_whose_output_is_not_their_text(database, other):
    """``char(5)`` is filled up, ``true`` is ``t``, a host has no mask; and a percent sign in a name is one."""
    async with tables(database, other, KEYS, entity("item")) as made:
        for mode in ("full", "keys", "sample"):
            report = await made.verify(mode=mode, sample=40)
            assert (report.exit_status, kinds(report)) == (0 if mode == "full" else 2, {}), mode
        made.damage("UPDATE item SET \"50%d\" = 'x' WHERE c = 'k3'", "DELETE FROM item WHERE c = 'k4'")
        assert kinds(await made.verify()) == {
            '["k3", "false", "10.0.0.1/32"]': "different",
            '["k4", "true", "10.0.0.1/32"]': "missing",
        }


DAMAGE = (
    "UPDATE item SET v = 'x' WHERE id IN (1, 250)",
    "DELETE FROM item WHERE id IN (100, 101, 500)",
    "INSERT INTO item VALUES (-5, 'stray', 1), (9999, NULL, NULL)",
    "UPDATE word SET v = NULL WHERE v = '7'",
    "DELETE FROM word WHERE v = '8'",
    "INSERT INTO word VALUES ('zz', '2030-01-01', 'v')",
)
FOUND = {
    "1": "different",
    "250": "different",
    "100": "missing",
    "101": "missing",
    "500": "missing",
    "-5": "extra",
    "9999": "extra",
    '["Gé\\"7", "2024-01-08"]': "different",
    '["Hé\\"8", "2024-01-09"]': "missing",
    '["zz", "2030-01-01"]': "extra",
}


async def test_what_is_damaged_is_found_in_every_stretch_and_equal_after_a_repair(many):
    many.damage(*DAMAGE)
    report = await many.verify()
    assert kinds(report) == FOUND
    findings = [finding for one in report.entities for finding in one.findings]
    repaired = await repair(many.sides, many.plans, findings)
    assert (repaired.marked_by.total(), repaired.released) == (len(FOUND), 0)
    marked = many.here.execute("SELECT count(*) FROM syncline.waiting WHERE hint = 'R'").fetchone()
    assert marked == (len(FOUND),)
    assert (await many.verify()).exit_status == 2, "the marks wait"


async def test_keys_alone_ranges_samples_and_single_keys(many):
    many.damage(*DAMAGE)
    assert kinds(await many.verify(mode="keys")) == {k: what for k, what in FOUND.items() if what != "different"}
    assert kinds(await many.verify("item", first="100", end="251")) == {
        "100": "missing",
        "101": "missing",
        "250": "different",
    }
    assert kinds(await many.verify("item", keys=["1", "2", "101", "9999"])) == {
        "1": "different",
        "101": "missing",
        "9999": "extra",
    }
    assert kinds(await many.verify(mode="sample", sample=600)) == FOUND


async def test_equal_records_do_not_travel(many, monkeypatch):
    """Only stretches that differ are looked at key by key."""
    asked = []
    hashes = type(many.sides.inspection.digests).hashes

    async def noted(self, plan, stretch, **options):
        asked.append((stretch.first, stretch.end))
        return await hashes(self, plan, stretch, **options)

    monkeypatch.setattr(type(many.sides.inspection.digests), "hashes", noted)
    assert (await many.verify("item")).exit_status == 0
    assert asked == []
    many.damage("UPDATE item SET v = 'x' WHERE id = 250")
    assert kinds(await many.verify("item")) == {"250": "different"}
    (one,) = asked
    assert int(one[0]) <= 250 < int(one[1])


async def test_a_row_that_cannot_be_read_is_one_finding(database, other):
    ddl = "CREATE TABLE item (id int PRIMARY KEY, v int); INSERT INTO item SELECT k, k FROM generate_series(1, 50) AS k"
    async with tables(database, other, ddl, entity("item", where="100 / v > 0")) as made:
        made.silently("UPDATE item SET v = 0 WHERE id = 7")
        made.damage("DELETE FROM item WHERE id = 9")
        assert kinds(await made.verify()) == {"7": "unreadable", "9": "missing"}


# -- the second look: what stands for the ticket


def script(monkeypatch, act):
    """Suspect the key 3 for no reason, and do something after each step of the first second look."""
    source, steps = Pass._source, []

    async def suspicious(self):
        await source(self)
        self._suspects.add(["3"])

    monkeypatch.setattr(Pass, "_source", suspicious)
    for name in ("_view", "_stored"):
        original = getattr(SecondLook, name)

        async def wrapped(self, keys, original=original):
            result = await original(self, keys)
            steps.append(1)
            act(len(steps))
            return result

        monkeypatch.setattr(SecondLook, name, wrapped)


def there_and_back_and_there(many):
    """A change is applied, undone and applied again: after each step both rows agree, and no two looks do."""

    def act(step):
        if step < 4:
            value = "v3" if step == 2 else "new"
            many.silently(f"UPDATE item SET v = '{value}' WHERE id = 3")
            many.damage(f"UPDATE item SET v = '{value}' WHERE id = 3")

    return act


async def test_changes_between_two_looks_raise_no_alarm(many, monkeypatch):
    many.here.execute(
        "INSERT INTO syncline.worker (id, name, version, expires_at)"
        " VALUES (gen_random_uuid(), 'w', '1', now() + interval '1 h')"
    )
    script(monkeypatch, there_and_back_and_there(many))
    report = await many.verify("item")
    assert kinds(report) == {}
    monkeypatch.undo()
    assert (await many.verify("item")).exit_status == 0


async def test_without_the_version_of_a_row_there_is_a_false_alarm(many, monkeypatch):
    script(monkeypatch, there_and_back_and_there(many))
    confirmed = SqlInspection.confirmed

    async def blind(self, plan, ids):
        found = await confirmed(self, plan, ids)
        return [type(one)(one.id, repr(one.document).encode(), one.document) for one in found]

    monkeypatch.setattr(SqlInspection, "confirmed", blind)
    assert kinds(await many.verify("item")) == {"3": "different"}


async def test_what_waits_is_lag_and_no_damage(many):
    many.here.execute(
        "UPDATE item SET v = 'new' WHERE id <= 10; DELETE FROM item WHERE id = 20; INSERT INTO item VALUES (900)"
    )
    report = await many.verify("item")
    assert (report.exit_status, kinds(report), report.entities[0].lagging) == (2, {}, 12)
    assert "no worker is running" in report.entities[0].obstacles


async def test_beside_writers_and_a_worker_nothing_is_called_damaged(many):
    made = relay.Relay(many.url, [one.entity for one in many.plans.values()], many.target)
    over = asyncio.Event()

    async def write() -> None:
        async with await psycopg.AsyncConnection.connect(many.url, autocommit=True) as connection:
            number = 0
            while not over.is_set():
                number += 1
                key = 1 + number * 7 % 60
                await connection.execute("UPDATE item SET v = v || '.' WHERE id = %s", [key])
                await connection.execute("DELETE FROM item WHERE id = %s", [100 + key])
                await connection.execute("INSERT INTO item VALUES (%s, 'back')", [100 + key])
                await connection.execute("UPDATE word SET v = 'w' || %s WHERE a LIKE 'A%%'", [number])

    with contextlib.closing(made.conn):
        async with made.worker():
            writing = asyncio.create_task(write())
            try:
                for _ in range(3):
                    assert kinds(await many.verify(patience=timedelta(seconds=3))) == {}
            finally:
                over.set()
                await writing
            report = await many.verify(patience=timedelta(seconds=60))
            assert (report.exit_status, kinds(report)) == (0, {})


# -- the commands


def test_verify_repair_and_verify_again(database, other, tmp_path):
    copy = Copy(database, other, tmp_path)
    with contextlib.closing(copy):
        copy.both("CREATE TABLE item (id int PRIMARY KEY, v text, secret text)")
        copy.here.execute("INSERT INTO item SELECT k, 'v' || k, 's' FROM generate_series(1, 300) AS k")
        copy.configure("[entities.item]\nrename = { v = 'w' }\nexclude = ['secret']\n")
        copy.there.execute("ALTER TABLE item RENAME v TO w; ALTER TABLE item ADD own int DEFAULT 7")
        copy("install", "--yes")
        with copy.worker():
            copy.drained()
            assert copy.json("verify")["verdict"] == "equal"
            copy.there.execute("UPDATE item SET w = 'x' WHERE id = 3; DELETE FROM item WHERE id = 4")
            copy.there.execute("INSERT INTO item VALUES (999, 'stray')")
            found = copy.json("verify", status=1)["entities"][0]
            assert found["divergent"] == {"different": 1, "extra": 1, "missing": 1}
            shown = {one["key"]: one["differences"] for one in found["findings"]}
            assert shown == {"3": [{"field": "w", "source": "v3", "target": "x"}], "4": [], "999": []}
            assert copy.json("explain", "item", "3")["differences"] == shown["3"]
            assert copy.json("verify", "--keys-only", status=1)["entities"][0]["divergent"] == {
                "extra": 1,
                "missing": 1,
            }
            assert copy.json("repair")["repair"]["marked"] == 3
            copy.drained()
            assert copy.json("verify")["verdict"] == "equal"
        ours = "SELECT id, v FROM item ORDER BY id"
        assert copy.here.execute(ours).fetchall() == copy.there.execute(ours.replace(" v ", " w ")).fetchall()
