"""Installing and uninstalling, one table at a time: nobody waits behind it for long, and it goes on from any point."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from syncline.capture.postgres import carry_out, migrate
from syncline.capture.postgres.install import uninstall
from syncline.capture.postgres.rendering import render
from syncline.cli.main import app
from syncline.engines.memory.target import MemoryTarget
from syncline.engines.postgres.plans import compile_plans
from syncline.errors import ConfigError, NotInstalledError, PartlyDoneError
from syncline.insight.status import read_status
from syncline.model.entity import Embed, TableName
from syncline.postgres.connection import connect
from syncline.relay import keeper
from tests import programs
from tests.integration.capture_case import Case, entity
from tests.relay import Relay, until

TABLES = """
CREATE TABLE a (id int PRIMARY KEY, n text);
CREATE TABLE b (id int PRIMARY KEY, n text);
CREATE TABLE c (id int PRIMARY KEY, n text);
CREATE TABLE line (id int PRIMARY KEY, b_id int);
CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (10) TO (20);
INSERT INTO a VALUES (1, 'x');
INSERT INTO b VALUES (1, 'x');
INSERT INTO c VALUES (1, 'x');
INSERT INTO line VALUES (1, 1);
INSERT INTO p VALUES (1), (11);
"""
LINES = Embed("lines", TableName("public", "line"), ("b_id",))
ENTITIES = [entity("a", "a"), entity("b", "b", embeds=(LINES,)), entity("c", "c"), entity("p", "p")]
AT_ONCE: dict[str, Any] = {"patience": timedelta(0)}


@pytest.fixture
def case(database: str) -> Iterator[Case]:
    with Case(database, ENTITIES, backfill=True) as made:
        made.sql(TABLES)
        yield made


def states(case: Case) -> dict[str, str]:
    return dict(case.sql("SELECT name, state FROM syncline.entity"))


def triggers(case: Case) -> set[str]:
    return {
        f"{table}.{name}"
        for table, name in case.sql(
            "SELECT tgrelid::regclass::text, tgname::text FROM pg_trigger WHERE tgname LIKE 'syncline%' AND tgparentid = 0"
        )
    }


def holding(case: Case, statement: str) -> psycopg.Connection[Any]:
    """Open a transaction that holds the locks of a statement."""
    holder = psycopg.connect(case.url, application_name="reporting")
    holder.execute(statement)  # type: ignore[arg-type]  # a test's own text
    return holder


def test_29_what_others_hold_waits_and_the_rest_is_installed_and_free_at_once(case: Case) -> None:
    with holding(case, "UPDATE c SET n = 'y'") as holder:
        with pytest.raises(PartlyDoneError, match=r"public\.c: pid \d+ \(reporting, idle in transaction since") as said:
            case.install(**AT_ONCE)
        case.sql("SET lock_timeout = '1ms'", "UPDATE a SET n = 'y'", "UPDATE b SET n = 'y'", "INSERT INTO c VALUES (2)")
        assert [(one.table, one.entities) for one in said.value.waiting] == [("public.c", ("c",))]
        assert [one.pid for one in said.value.waiting[0].holders] == [holder.info.backend_pid]
        assert states(case) == {"a": "armed", "b": "armed", "c": "pending", "p": "armed"}
        assert case.tasks() == [("backfill", "a"), ("backfill", "b"), ("backfill", "p")]
    case.install(**AT_ONCE)
    assert set(states(case).values()) == {"armed"}
    assert ("backfill", "c") in case.tasks()
    assert not case.plan().changes


HELD = {
    "an embed's table": ("UPDATE line SET b_id = 2", "public.line", "b"),
    "a partition": ("UPDATE p SET id = 12 WHERE id = 11", "public.p", "p"),
    "by a reader, exclusively": ("LOCK a IN ACCESS EXCLUSIVE MODE", "public.a", "a"),
    "by a vacuum's lock": ("LOCK a IN SHARE UPDATE EXCLUSIVE MODE", "public.a", "a"),
}


@pytest.mark.parametrize("held", HELD)
def test_an_entity_is_pending_while_one_of_its_tables_waits(case: Case, held: str) -> None:
    statement, table, name = HELD[held]
    with holding(case, statement):
        with pytest.raises(PartlyDoneError) as said:
            case.install(**AT_ONCE)
        assert (table, (name,)) in {(one.table, one.entities) for one in said.value.waiting}
        assert {one for one, state in states(case).items() if state == "pending"} == {name}
        assert name not in {entity for _, entity in case.tasks()}
    case.install(**AT_ONCE)
    assert set(states(case).values()) == {"armed"}


def test_a_failed_attempt_holds_nothing(case: Case) -> None:
    with holding(case, "LOCK p_2 IN ROW EXCLUSIVE MODE"):
        with pytest.raises(PartlyDoneError):
            case.install(**AT_ONCE)
        held = "SELECT count(*) FROM pg_locks WHERE relation IN ('p'::regclass, 'p_1'::regclass)"
        assert case.sql(held) == [(0,)]
        case.sql("SET lock_timeout = '1ms'", "INSERT INTO p VALUES (2)")


def test_whoever_finishes_in_time_is_not_reported(case: Case) -> None:
    with holding(case, "UPDATE c SET n = 'y'") as holder:
        attempts: list[str] = []

        async def pause(_: float) -> None:
            attempts.append("again")
            holder.rollback()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(carry_out, "asyncio", SimpleNamespace(sleep=pause))  # not everybody's in this process
            case.install()
        assert attempts == ["again"]
    assert set(states(case).values()) == {"armed"}


def test_each_table_is_one_message_with_limits_on_each_lock_and_on_the_whole(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever others hold: a writer waits for one attempt at most, and an attempt ends within 500 ms."""
    sent = _sent(monkeypatch)
    case.install()
    steps = [message for message in sent if "CREATE OR REPLACE TRIGGER" in message]
    assert len(steps) == 7, "a table, a partition each"
    for message in steps:
        limits, _, rest = message.partition("DO $$")
        assert rest.count("ALTER TABLE") == rest.count("CREATE OR REPLACE TRIGGER")
        assert _milliseconds(limits, "lock_timeout") == 150
        assert _milliseconds(limits, "statement_timeout") <= 400
        assert message.count("DO $$") == 1, "the limit of a statement is that of all of them"
        assert "BEGIN;" not in message, "the message is the transaction"


def _sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sent: list[str] = []
    send = carry_out._Run._send

    async def noting(self: Any, statements: Any) -> None:
        sent.append(";\n".join(carry_out.texts(statements)))
        await send(self, statements)

    monkeypatch.setattr(carry_out._Run, "_send", noting)
    return sent


def _milliseconds(text: str, name: str) -> int:
    return int(text.partition(f'SET LOCAL "{name}" = \'')[2].partition("ms")[0])


class Killed(BaseException):
    """The process ends here."""


def _dying(patch: pytest.MonkeyPatch, after: int) -> None:
    """End an installation before its message number so and so."""
    left = [after]
    send = carry_out._Run._send

    async def dying(self: Any, statements: Any) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        await send(self, statements)

    patch.setattr(carry_out._Run, "_send", dying)


def _killed_everywhere(case: Case, act: Any) -> Iterator[int]:
    """Act again and again, ended at each of its messages in turn; the caller looks, and brings the start back."""
    for after in range(100):
        try:
            with pytest.MonkeyPatch.context() as patch:
                _dying(patch, after)
                act()
        except Killed:
            yield after
        else:
            return
    raise AssertionError("it has more messages than that")


def _armed_without_triggers(case: Case, complete: set[str]) -> set[str]:
    ids = {id_: name for name, id_ in case.ids().items()}
    missing = complete - triggers(case)
    lacking = {ids.get(int(name.partition(".syncline_")[2].split("_")[0])) for name in missing}
    return {name for name, state in states(case).items() if state != "pending"} & lacking


def test_a_killed_installation_leaves_nothing_wrong_and_is_finished_by_the_next(case: Case) -> None:
    case.install()
    complete = triggers(case)
    case.sql("DROP SCHEMA syncline CASCADE")
    places = []
    for after in _killed_everywhere(case, case.install):
        places.append(after)
        if case.sql("SELECT to_regclass('syncline.entity') IS NOT NULL") == [(True,)]:
            assert not _armed_without_triggers(case, complete)
            pending = {name for name, state in states(case).items() if state == "pending"}
            assert not pending & {name for _, name in case.tasks()}, "marked before it is captured"
            assert {name for _, name in case.tasks()} == states(case).keys() - pending
        case.install()
        assert triggers(case) == complete
        assert set(states(case).values()) == {"armed"}
        assert case.tasks() == [("backfill", one.name) for one in ENTITIES]
        assert not case.plan().changes
        case.sql("DROP SCHEMA syncline CASCADE")
    assert len(places) > 8


def test_a_killed_repair_is_not_forgotten_what_was_missed_is_marked(case: Case) -> None:
    case.install()
    complete = triggers(case)

    def damage() -> None:
        case.forget()
        case.sql("DROP TRIGGER syncline_1_update ON a", "ALTER TABLE line DISABLE TRIGGER syncline_2_embed_1_insert")

    damage()
    for after in _killed_everywhere(case, case.install):
        case.install()
        assert triggers(case) == complete
        assert case.tasks() == [(kind, name) for name in ("a", "b") for kind in ("backfill", "sweep")], after
        assert set(states(case).values()) == {"armed"}
        damage()


def test_an_entity_whose_triggers_are_put_back_is_served_meanwhile(case: Case) -> None:
    case.install()
    case.forget()
    case.sql("DROP TRIGGER syncline_3_update ON c")
    with holding(case, "UPDATE c SET n = 'z'"):
        with pytest.raises(PartlyDoneError):
            case.install(**AT_ONCE)
        assert states(case)["c"] == "rearming"
        assert case.tasks() == []
        assert _served(case) == {"a", "b", "c", "p"}
    case.install(**AT_ONCE)
    assert (states(case)["c"], case.tasks()) == ("armed", [("backfill", "c"), ("sweep", "c")])


def test_a_killed_uninstallation_is_finished_by_the_next(case: Case) -> None:
    case.install()
    for _ in _killed_everywhere(case, case.uninstall):
        case.uninstall()
        assert triggers(case) == set()
        case.install()
    assert triggers(case) == set()
    with pytest.raises(NotInstalledError):
        case.uninstall()


def test_an_installation_after_half_an_uninstallation_marks_everything_again(case: Case) -> None:
    case.install()
    case.forget()
    with holding(case, "SELECT FROM c"), pytest.raises(PartlyDoneError, match="`syncline uninstall`"):
        asyncio.run(_uninstalled(case.url))
    assert {name.partition(".")[0] for name in triggers(case)} == {"c"}
    case.install()
    assert {name for _, name in case.tasks()} >= {"a", "b", "p"}


async def _uninstalled(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        await uninstall(conn, patience=timedelta(0))


def test_a_changed_entity_is_served_as_before_until_its_new_table_is_captured(case: Case) -> None:
    case.entities = [ENTITIES[0], entity("b", "b"), *ENTITIES[2:]]
    case.install()
    case.forget()
    case.entities = list(ENTITIES)
    known = "SELECT definition -> 'embeds' FROM syncline.entity WHERE name = 'b'"
    with holding(case, "UPDATE line SET b_id = 2"):
        with pytest.raises(PartlyDoneError):
            case.install(**AT_ONCE)
        assert (case.sql(known), case.tasks()) == ([([],)], [])
    case.install(**AT_ONCE)
    assert len(case.sql(known)[0][0]) == 1
    assert case.tasks() == [("backfill", "b"), ("sweep", "b")]


def test_a_removed_entity_stays_until_its_triggers_are_gone(case: Case) -> None:
    case.install()
    case.entities = ENTITIES[:2]
    with holding(case, "SELECT FROM c"):
        with pytest.raises(PartlyDoneError):
            case.install(**AT_ONCE)
        assert states(case).keys() == {"a", "b", "c"}
    case.install(**AT_ONCE)
    assert states(case).keys() == {"a", "b"}
    assert not case.plan().changes


def _served(case: Case) -> set[str]:
    async def compiled() -> set[str]:
        connection = await connect(case.url)
        try:
            plans = await compile_plans(connection, case.entities)
            for name in plans.pending.values():
                with pytest.raises(ConfigError, match="not installed to its end"):
                    plans.named(name)
            return {plan.name for plan in plans.by_id.values()}
        finally:
            await connection.close()

    return asyncio.run(compiled())


def test_only_armed_entities_are_served(case: Case) -> None:
    with holding(case, "UPDATE c SET n = 'y'"), pytest.raises(PartlyDoneError):
        case.install(**AT_ONCE)
    assert _served(case) == {"a", "b", "p"}


@pytest.mark.parametrize("known", [2, 1], ids=["its file has it", "its file is older"])
async def test_a_running_worker_takes_up_what_is_armed_and_leaves_its_marks_till_then(
    database: str, monkeypatch: pytest.MonkeyPatch, known: int
) -> None:
    monkeypatch.setattr(keeper, "TABLES_SECONDS", 0.0)
    with Case(database, ENTITIES[:2], backfill=True) as case:
        case.sql(TABLES)
        holder = await asyncio.to_thread(holding, case, "UPDATE line SET b_id = 2")
        with pytest.raises(PartlyDoneError):
            await asyncio.to_thread(lambda: case.install(**AT_ONCE))
        target = MemoryTarget()
        relay = Relay(database, ENTITIES[:known], target)
        async with relay.worker():
            relay.entities = list(ENTITIES[:2])
            case.sql("INSERT INTO a VALUES (2)", "INSERT INTO b VALUES (2)")
            await until(lambda: _ids(target, relay, "a") >= {1, 2}, what="the armed one is served")
            assert [key for name, key, _ in case.marks() if name == "b"] == ["2"], "it waits"
            assert "EntityStopped" not in relay.notices()
            holder.close()
            await asyncio.to_thread(lambda: case.install(**AT_ONCE))
            await until(lambda: _ids(target, relay, "b") >= {1, 2}, what="the other one is served too")
        relay.conn.close()


def _ids(target: MemoryTarget, relay: Relay, name: str) -> set[int]:
    one = next(entity for entity in relay.entities if entity.name == name)
    return {document["_id"] for document in target.documents(one)}


def test_the_script_stops_at_a_table_that_is_held_and_arms_nothing(case: Case) -> None:
    script = render(case.plan())
    with holding(case, "UPDATE c SET n = 'y'"):
        done = programs.psql(case.url, script)
        assert done.returncode == 3
        assert "lock timeout" in done.stderr
        assert set(states(case).values()) == {"pending"}
        assert case.tasks() == []
    assert programs.psql(case.url, render(case.plan())).returncode == 0
    assert set(states(case).values()) == {"armed"}
    assert not case.plan().changes


def test_the_commands_end_with_4_and_say_who_holds_what_and_how_to_go_on(
    case: Case, mongo_url: str, mongo_db: str, tmp_path: Path
) -> None:
    file = tmp_path / "syncline.toml"
    names = "".join(f'[entities.{name}]\ntable = "{name}"\n' for name in "ac")
    target = f'[target]\nurl = "{mongo_url}"\ndatabase = "{mongo_db}"'
    file.write_text(f'[source]\nurl = "{case.url}"\n{target}\n{names}')

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [*arguments, "--yes", "--wait", "0", "--config", str(file)])
        return done.exit_code, done.stdout

    for command in ("install", "uninstall"):
        with holding(case, "UPDATE c SET n = 'y'") as holder:
            status, told = run(command)
            assert status == 4
            for text in ("public.c", f"pid {holder.info.backend_pid}", "reporting", "since", f"`syncline {command}`"):
                assert text in told
            status, told = run(command, "--json")
            report = json.loads(told)
            assert (status, report[f"{command}ed"]) == (4, False)
            assert [one["pid"] for one in report["waiting"][0]["holders"]] == [holder.info.backend_pid]
        assert run(command)[0] == 0


def test_without_triggers_there_is_nothing_to_wait_for(case: Case) -> None:
    case.options = {"capture": "session", "backfill": True}
    with holding(case, "UPDATE a SET n = 'y'"):
        case.install(**AT_ONCE)
    assert set(states(case).values()) == {"armed"}


def test_an_installation_of_before_is_armed(case: Case) -> None:
    case.install()
    case.sql("ALTER TABLE syncline.entity DROP COLUMN state", "DELETE FROM syncline.migration WHERE number = 7")
    case.install()
    assert set(states(case).values()) == {"armed"}


# -- what writers feel


def write_on(url: str, table: str, ended: threading.Event, done: list[int], failed: list[str]) -> None:
    """Insert row after row; whatever waits for a lock longer than any part of an installation may is counted."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SET lock_timeout = '3s'")
        while not ended.is_set():
            done.append(1)
            try:
                conn.execute(f"INSERT INTO {table} VALUES ({1000 + len(done)})")
            except psycopg.errors.LockNotAvailable as error:
                failed.append(f"{table}: {error}")


def test_no_write_waits_behind_an_installation_that_waits_for_others(case: Case) -> None:
    """Three hold the tables until all is over: a report, an open transaction, and what VACUUM or ANALYZE takes."""
    ended = threading.Event()
    done: dict[str, list[int]] = {table: [] for table in ("a", "b", "c")}
    failed: list[str] = []
    holders = [
        holding(case, "SELECT FROM a"),
        holding(case, "UPDATE b SET n = 'y'"),
        holding(case, "LOCK TABLE c IN SHARE UPDATE EXCLUSIVE MODE"),
    ]
    writers = [threading.Thread(target=write_on, args=(case.url, one, ended, done[one], failed)) for one in done]
    for writer in writers:
        writer.start()
    for holder in holders:  # should an installation wait for them without end, then they end first
        holder.execute("SET LOCAL idle_in_transaction_session_timeout = '60s'")
    try:
        with pytest.raises(PartlyDoneError):
            case.install(patience=timedelta(seconds=4))
        during = {table: len(writes) for table, writes in done.items()}
    finally:
        ended.set()
        for holder in holders:
            holder.close()
        for writer in writers:
            writer.join()
    assert failed == []
    assert all(count > 1 for count in during.values()), during


def test_a_migration_that_takes_too_long_lets_go_and_gets_more_time(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is for the whole hold, not only for the wait."""
    monkeypatch.setattr(migrate, "HOLDS", 0.5)
    monkeypatch.setattr(migrate, "PAUSE_SECONDS", 0.0)
    times: list[float] = []

    def noted(timeout: timedelta, holds: float) -> Any:
        times.append(holds)
        return carry_out.prologue(timeout, holds=holds)

    async def long() -> None:
        async with await connect(case.url) as conn:
            await migrate.migrate(conn, [sql.SQL("SELECT pg_sleep(0.3)").format()], noted)

    asyncio.run(long())
    assert len(times) > 1
    assert times == [0.5 * 2**number for number in range(len(times))]


def test_status_names_what_is_pending(case: Case) -> None:
    async def status() -> Any:
        return await read_status(case.url, None)

    with holding(case, "UPDATE c SET n = 'y'"), pytest.raises(PartlyDoneError):
        case.install(**AT_ONCE)
    found = asyncio.run(status()).as_dict()
    assert found["pending"] == ["c"]
    assert "EntityPending" in {alert["name"] for alert in found["alerts"]}
    case.install()
    found = asyncio.run(status()).as_dict()
    assert found["pending"] == []
    assert "EntityPending" not in {alert["name"] for alert in found["alerts"]}


@pytest.mark.parametrize(
    "statement",
    ["LOCK TABLE a IN ACCESS EXCLUSIVE MODE", "ALTER TABLE a RENAME TO z", "ALTER TABLE a ADD COLUMN x int DEFAULT 1"],
)
def test_a_table_that_cannot_be_looked_at_is_locked_never_missing(case: Case, statement: str) -> None:
    """Whoever alters it holds it; what it is like is in the catalog all the same."""
    with holding(case, statement) as holder:
        with pytest.raises(PartlyDoneError, match=r"public\.a: pid \d+ \(reporting"):
            case.install(**AT_ONCE)
        holder.rollback()
    assert states(case) == {"a": "pending", "b": "armed", "c": "armed", "p": "armed"}
    case.install()
    assert set(states(case).values()) == {"armed"}
