"""Capture that has ended and our own schema in halves: said by a running worker, and put back where it may."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from syncline.backfill import runner
from syncline.capture.postgres.put_back import put_back
from syncline.config.settings import SourceSettings
from syncline.engines import opening
from syncline.engines.postgres import our_schema
from syncline.engines.postgres.lookout import PostgresLookout
from syncline.engines.postgres.source import SqlSource
from syncline.errors import DamagedError, MappingError, SynclineError
from syncline.insight.status import read_status
from syncline.journal import tables
from syncline.model.thresholds import Health
from syncline.relay import keeper, reader
from syncline.relay import worker as worker_
from syncline.relay.worker import Worker
from tests.relay import Relay, entity, relayed, until

DDL = "".join(f"CREATE TABLE {name} (id bigint PRIMARY KEY, note text); " for name in "abc")
ENTITIES = [entity(name) for name in "abc"]
BRISK = {"grace": timedelta(seconds=0.2), "renew": timedelta(seconds=0.1)}
NOTICES = "SELECT entity, message FROM syncline.notice WHERE name = %s AND resolved_at IS NULL ORDER BY entity"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(keeper, "LOOK_SHARE", 0)
    monkeypatch.setattr(our_schema, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr("syncline.wiring.worker.TASK_SECONDS", 0.05)
    monkeypatch.setattr(runner, "STAND_BACK_SECONDS", 0.2)


@pytest.fixture
async def relay(database: str) -> AsyncIterator[Relay]:
    async with relayed(database, ddl=DDL, entities=ENTITIES, **BRISK) as found:
        yield found


@pytest.fixture
def mending(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: Any = Relay.settings
    source = lambda one: replace(settings.fget(one), source=SourceSettings(url=one.url, reinstall=True))  # noqa: E731
    monkeypatch.setattr(Relay, "settings", property(source))


async def _put_back(relay: Relay, *configured: str, **options: Any) -> Mapping[str, SynclineError]:
    entities = [one for one in ENTITIES if one.name in configured]
    async with await psycopg.AsyncConnection.connect(relay.url, autocommit=True) as connection:
        return await put_back(connection, entities, capture="triggers", wake=True, **options)


def _triggers(relay: Relay) -> set[str]:
    return {table for (table,) in relay.sql("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname ~ 'syncline'")}


async def test_one_entity_that_cannot_be_put_back_keeps_no_other_from_it(relay: Relay) -> None:
    relay.sql("DROP TABLE a; DROP FUNCTION syncline.capture_2_statement, syncline.capture_3_update CASCADE")

    failed = await _put_back(relay, "a", "b", "c")

    assert failed.keys() == {"a"}
    assert isinstance(failed["a"], MappingError)
    relay.sql("INSERT INTO b VALUES (1); INSERT INTO c VALUES (1); UPDATE c SET note = 'x'")
    assert relay.value("SELECT count(*) FROM syncline.waiting") == 3
    assert {*relay.sql("SELECT entity, kind FROM syncline.task")} == {
        (n, kind) for n in (2, 3) for kind in ("backfill", "sweep")
    }


async def test_each_that_cannot_be_put_back_is_named(relay: Relay, mending: None) -> None:
    async with relay.worker():
        relay.sql("ALTER TABLE a RENAME TO z; DROP TABLE b; DROP TRIGGER syncline_3_update ON c")
        await until(lambda: [name for name, _ in relay.sql(NOTICES, "ReinstallFailed")] == ["a", "b"])
        assert "there is no table public.b" in relay.sql(NOTICES, "ReinstallFailed")[1][1]
        await until(
            lambda: (
                ("c",)
                not in relay.sql(
                    "SELECT entity FROM syncline.notice WHERE name = 'CaptureBroken' AND resolved_at IS NULL"
                )
            )
        )
        relay.sql("ALTER TABLE z RENAME TO a")
        relay.sql("CREATE TABLE b (id bigint PRIMARY KEY, note text)")
        await until(lambda: not relay.sql(NOTICES, "ReinstallFailed"))
        relay.sql(
            "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); INSERT INTO c VALUES (1); UPDATE c SET note = 'x'"
        )
        await relay.equal(tasks=True)


async def test_a_look_ends_no_notice_that_was_left_after_it_began(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a trigger says meanwhile may be of something that this look has not seen; the next one has."""
    look_at = tables.look_at
    leave = (
        "INSERT INTO syncline.notice (name, severity, message, entity) VALUES ('CaptureBroken', 'critical', '{}', 'a')"
    )
    relay.sql(leave.format("before"))

    async def slowly(connection: Any, entities: Any) -> None:
        await look_at(connection, entities)
        relay.sql(leave.format("meanwhile"))
        monkeypatch.setattr(tables, "look_at", look_at)

    monkeypatch.setattr(tables, "look_at", slowly)
    source = await opening.open_source(relay.url, worker="00000000-0000-4000-8000-000000000001")
    lookout = PostgresLookout(source.control, source.journal.notices)
    await lookout.look()
    first = relay.sql(NOTICES, "CaptureBroken")
    changed = [await lookout.look(), await lookout.look()]
    await source.close()

    assert first == [("a", "meanwhile")]
    assert relay.sql(NOTICES, "CaptureBroken") == []
    assert changed == [True, False], "it is judged once"


async def test_what_still_holds_is_said_again_when_the_notices_were_put_back(relay: Relay) -> None:
    stopped = "SELECT entity FROM syncline.notice WHERE name = 'EntityStopped' AND resolved_at IS NULL"
    relay.sql("ALTER TABLE a DROP CONSTRAINT a_pkey; ALTER TABLE b ADD more text")
    async with relay.worker():
        await until(lambda: relay.sql(stopped) == [("a",)])
        relay.sql("BEGIN; DELETE FROM syncline.notice; ALTER FUNCTION syncline.mark COST 101; COMMIT")
        await until(lambda: relay.sql(stopped) == [("a",)])
        await until(lambda: [name for name, _ in relay.sql(NOTICES, "NewColumn")] == ["b"])


async def test_what_is_installed_is_put_back_not_what_a_file_says(relay: Relay) -> None:
    relay.sql("DROP TRIGGER syncline_1_update ON a; DROP TRIGGER syncline_2_update ON b")

    assert await _put_back(relay, "a") == {}

    assert _triggers(relay) == {"a", "b", "c"}
    assert relay.sql("SELECT name FROM syncline.entity ORDER BY 1") == [("a",), ("b",), ("c",)]


async def test_where_nobody_knows_what_was_installed_the_file_counts(relay: Relay) -> None:
    relay.sql("DROP TABLE syncline.entity CASCADE")

    assert await _put_back(relay, "a", "b") == {}

    assert relay.sql("SELECT name FROM syncline.entity ORDER BY 1") == [("a",), ("b",)]
    assert _triggers(relay) == {"a", "b"}


async def test_an_event_trigger_stays_and_comes_back_where_it_is_wanted_and_may_be(relay: Relay) -> None:
    count = "SELECT count(*) FROM pg_event_trigger WHERE evtname = 'syncline_ddl' AND evtenabled = 'A'"
    relay.sql("DROP TRIGGER syncline_1_update ON a")
    await _put_back(relay, event_triggers=True)
    assert relay.value(count) == 1
    relay.sql("DROP TRIGGER syncline_1_update ON a; DROP TABLE syncline.task")
    await _put_back(relay, event_triggers=False)
    assert relay.value(count) == 1, "it is nobody's to take away"
    relay.sql("DROP EVENT TRIGGER syncline_ddl; DROP TRIGGER syncline_1_update ON a")
    await _put_back(relay, event_triggers=False)
    assert relay.value(count) == 0


async def test_a_role_that_may_make_no_event_trigger_puts_the_rest_back(relay: Relay) -> None:
    relay.sql("CREATE ROLE mender LOGIN")
    try:
        relay.sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO mender', current_database()); END $$")
        relay.sql(
            "REASSIGN OWNED BY mender TO mender; ALTER TABLE a OWNER TO mender; ALTER TABLE b OWNER TO mender; ALTER TABLE c OWNER TO mender"
        )
        await relay.uninstall()
        superuser, relay.url = relay.url, relay.url.replace("postgres@", "mender@")
        await relay.install()
        relay.sql("DROP TRIGGER syncline_1_update ON a")
        assert await _put_back(relay, event_triggers=True) == {}
        assert "a" in _triggers(relay)
        relay.url = superuser
    finally:
        relay.sql("REASSIGN OWNED BY mender TO CURRENT_USER; DROP OWNED BY mender; DROP ROLE mender")


DAMAGES = {
    "function syncline.lane_of": "DROP FUNCTION syncline.lane_of",
    "function syncline.wake": "DROP FUNCTION syncline.wake",
    "column syncline.task.options": "ALTER TABLE syncline.task DROP COLUMN options",
    "view syncline.waiting": "DROP VIEW syncline.waiting; ALTER TABLE syncline.outbox ALTER lane TYPE integer",
    "the definition of syncline.deferred.lane": "ALTER TABLE syncline.deferred ALTER lane TYPE integer",
    "table syncline.certificate": "DROP TABLE syncline.certificate",
}


@pytest.mark.parametrize(
    "what", ["function syncline.lane_of", "view syncline.waiting", "the definition of syncline.deferred.lane"]
)
async def test_a_running_worker_says_what_of_ours_is_gone_until_it_is_put_back(relay: Relay, what: str) -> None:
    async with relay.worker():
        relay.sql(DAMAGES[what])
        await until(lambda: relay.sql(NOTICES, "SchemaDamaged"))
        ((about, message),) = relay.sql(NOTICES, "SchemaDamaged")
        assert (about, what in message, "run `syncline install`" in message) == (None, True, True)
        with pytest.raises(DamagedError, match=what):
            await read_status(relay.url, None)
        relay.sql("INSERT INTO a VALUES (1, 'x')")
        await relay.install(backfill=True)
        await until(lambda: not relay.sql(NOTICES, "SchemaDamaged"))
        await until(lambda: not relay.sql(NOTICES, "CaptureBroken"))
        await relay.equal(tasks=True)
        await _healthy(relay)


async def test_a_running_worker_says_what_somebody_added_to_the_outbox(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("CREATE INDEX mine ON syncline.outbox (key)")
        await until(lambda: relay.sql(NOTICES, "SchemaDamaged"))
        assert "syncline.outbox has another index" in relay.sql(NOTICES, "SchemaDamaged")[0][1]
        relay.sql("INSERT INTO a VALUES (1, 'x')")
        relay.sql("DROP INDEX syncline.mine")
        await until(lambda: not relay.sql(NOTICES, "SchemaDamaged"))
        await relay.equal(tasks=True)


LOST = {
    **DAMAGES,
    "table syncline.outbox": "DROP TABLE syncline.outbox CASCADE",
    "table syncline.block": "DROP TABLE syncline.block CASCADE",
    "table syncline.entity": "DROP TABLE syncline.entity CASCADE",
    "column syncline.outbox.hint": "ALTER TABLE syncline.outbox DROP COLUMN hint CASCADE",
    "the definition of syncline.outbox.key": "DROP VIEW syncline.changes, syncline.waiting CASCADE; ALTER TABLE syncline.outbox ALTER key TYPE varchar(1)",
    "table syncline.notice": "DROP TABLE syncline.notice",
}


@pytest.mark.parametrize("what", LOST)
async def test_a_worker_that_may_puts_our_schema_back_and_has_all_marked(
    relay: Relay, what: str, mending: None
) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO a SELECT n, 'x' FROM generate_series(1, 20) AS n")
        await relay.drained()
        with relay.conn.transaction():
            relay.sql(LOST[what])
            relay.sql("UPDATE a SET note = 'y'; DELETE FROM a WHERE id = 3; INSERT INTO a VALUES (100, 'z')")

        def whole() -> bool:
            with contextlib.suppress(psycopg.Error, IndexError):
                return bool(relay.is_drained(tasks=True) and relay.rows(ENTITIES[0]) == relay.documents(ENTITIES[0]))
            return False

        relay.sql(
            "SET lock_timeout = '200ms'"
        )  # a lock of the worker's goes only when this thread, its own, waits no more
        await until(whole)
        relay.sql("RESET lock_timeout")
        await _healthy(relay)
        relay.sql("UPDATE a SET note = 'captured again'")
        await relay.equal(tasks=True)


async def _healthy(relay: Relay) -> None:
    for _ in range(2000):
        with contextlib.suppress(DamagedError):
            if (await read_status(relay.url, None)).health is Health.HEALTHY:
                return
        await asyncio.sleep(0.05)
    assert (await read_status(relay.url, None)).health is Health.HEALTHY


async def test_a_worker_goes_on_while_it_mends(relay: Relay, mending: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever holds the tables: leases are renewed, others' changes applied, and a stop ends it."""
    begun = asyncio.Event()

    async def hangs(*_: Any, **__: Any) -> Mapping[str, SynclineError]:
        begun.set()
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr("syncline.wiring.worker.put_back", hangs)
    async with relay.worker():
        relay.sql("DROP TRIGGER syncline_1_update ON a")
        await asyncio.wait_for(begun.wait(), 100)
        await relay.renewed()
        relay.sql("INSERT INTO b VALUES (1, 'x')")
        await until(lambda: relay.rows(ENTITIES[1]) == relay.documents(ENTITIES[1]))


async def test_a_gap_that_somebody_s_constraint_made_is_over_when_it_is_gone(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("ALTER TABLE syncline.outbox ADD CONSTRAINT mine CHECK (key <> '7')")
        await until(lambda: relay.sql(NOTICES, "SchemaDamaged"))
        relay.sql("INSERT INTO a VALUES (7, 'x')")
        assert [name for name, _ in relay.sql(NOTICES, "CaptureBroken")] == ["a"]
        relay.sql("ALTER TABLE syncline.outbox DROP CONSTRAINT mine")
        await until(lambda: not relay.sql(NOTICES, "SchemaDamaged") and not relay.sql(NOTICES, "CaptureBroken"))
        await relay.equal(tasks=True)
        await _healthy(relay)


async def test_what_was_put_back_before_a_worker_could_look_ends_none(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    cause = Worker._cause

    async def by_then(self: Worker, error: BaseException) -> BaseException:
        relay.sql("ALTER TABLE IF EXISTS syncline.away RENAME TO outbox")
        return await cause(self, error)

    monkeypatch.setattr(Worker, "_cause", by_then)
    async with relay.worker():
        relay.sql("ALTER TABLE syncline.outbox RENAME TO away")
        await until(lambda: relay.value("SELECT to_regclass('syncline.outbox') IS NOT NULL"))
        relay.sql("INSERT INTO a VALUES (1)")
        await until(lambda: [*relay.documents(ENTITIES[0])] == ["1"])


async def test_a_rule_that_somebody_puts_on_the_outbox_stops_no_worker(relay: Relay) -> None:
    """Second deletes are marks of a worker's own: they wait, and that is said; all else goes on."""
    relay.sql("INSERT INTO a VALUES (1)")
    async with relay.worker():
        await until(lambda: [*relay.documents(ENTITIES[0])] == ["1"])
        relay.sql("ALTER TABLE syncline.outbox ADD CONSTRAINT never CHECK (hint <> 'G') NOT VALID; DELETE FROM a")
        await until(
            lambda: any("marks of workers are refused" in said for _, said in relay.sql(NOTICES, "SchemaDamaged"))
        )
        relay.sql("INSERT INTO b VALUES (3)")
        await until(lambda: [*relay.documents(ENTITIES[1])] == ["3"])
        relay.sql("ALTER TABLE syncline.outbox DROP CONSTRAINT never; INSERT INTO a VALUES (2)")
        await until(lambda: relay.value("SELECT count(*) FROM syncline.deferred") == 0)
        await until(lambda: [*relay.documents(ENTITIES[0])] == ["2"])
        await until(lambda: not relay.sql(NOTICES, "SchemaDamaged"))


async def test_a_mark_of_a_worker_that_is_refused_elsewhere_ends_it_no_more(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session ends, since the mark must not be forgotten; it says so, and begins again until it is taken."""
    monkeypatch.setattr(keeper.Keeper, "_promote_deferred", lambda one: one._source.marks.promote_deferred())
    relay.sql("INSERT INTO a VALUES (1)")
    async with relay.worker():
        await until(lambda: [*relay.documents(ENTITIES[0])] == ["1"])
        relay.sql("ALTER TABLE syncline.outbox ADD CONSTRAINT never CHECK (hint <> 'G') NOT VALID; DELETE FROM a")
        refused = "SELECT count(*) FROM syncline.notice WHERE severity = 'critical' AND message ~ 'workers are refused'"
        await until(lambda: relay.value(refused) > 0)
        relay.sql("ALTER TABLE syncline.outbox DROP CONSTRAINT never; INSERT INTO a VALUES (2)")
        await until(lambda: relay.value("SELECT count(*) FROM syncline.deferred") == 0)
        await until(lambda: [*relay.documents(ENTITIES[0])] == ["2"])


async def test_a_rule_on_notices_beside_one_on_marks_stops_no_worker_either(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to be said cannot be said; the worker goes on, and its sessions are closed."""
    monkeypatch.setattr(keeper.Keeper, "_promote_deferred", lambda one: one._source.marks.promote_deferred())
    relay.sql("INSERT INTO a VALUES (1)")
    async with relay.worker() as worker:
        await until(lambda: [*relay.documents(ENTITIES[0])] == ["1"])
        opened: list[Any] = []
        closed: list[Any] = []
        opens, closes = worker._opened, SqlSource.close

        async def opening(*arguments: Any, **options: Any) -> Any:
            opened.append(await opens(*arguments, **options))
            return opened[-1]

        async def closing(source: SqlSource) -> None:
            closed.append(source)
            await closes(source)

        monkeypatch.setattr(worker, "_opened", opening)
        monkeypatch.setattr(SqlSource, "close", closing)
        relay.sql("ALTER TABLE syncline.notice ADD CONSTRAINT none CHECK (name <> 'SchemaDamaged') NOT VALID")
        relay.sql("ALTER TABLE syncline.outbox ADD CONSTRAINT never CHECK (hint <> 'G') NOT VALID; DELETE FROM a")
        await until(lambda: len(closed) >= 3)
        relay.sql("ALTER TABLE syncline.outbox DROP CONSTRAINT never; ALTER TABLE syncline.notice DROP CONSTRAINT none")
        relay.sql("INSERT INTO a VALUES (2)")
        await until(lambda: [*relay.documents(ENTITIES[0])] == ["2"])
    assert {*map(id, opened)} <= {*map(id, closed)}


RAISES = """CREATE FUNCTION nope() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'not today, %', clock_timestamp() USING ERRCODE = '{}'; END $$"""
HINDRANCES = {
    "acknowledgements": ("P0001", ["DELETE ON syncline.outbox"]),
    "leases": ("42501", ["UPDATE ON syncline.lane", "UPDATE OR INSERT ON syncline.worker"]),
    "what is parked or deferred, and notices": ("42P01", ["INSERT ON syncline.deferred", "INSERT ON syncline.notice"]),
}


@pytest.mark.parametrize("what", HINDRANCES)
async def test_a_trigger_of_somebody_s_that_refuses_what_workers_write_ends_none(
    relay: Relay, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named once, whatever the error says; writers go on; all goes on by itself when it is taken away."""
    monkeypatch.setattr(worker_, "HINDERED_PAUSE", timedelta(seconds=0.1))
    state, events = HINDRANCES[what]
    names = [f"mine_{number}" for number in range(len(events))]
    relay.sql("INSERT INTO a VALUES (1)")
    async with relay.worker() as worker:
        await until(lambda: [*relay.documents(ENTITIES[0])] == ["1"])
        relay.sql(RAISES.format(state))
        for name, event in zip(names, events, strict=True):
            relay.sql(f"CREATE TRIGGER {name} BEFORE {event} FOR EACH ROW EXECUTE FUNCTION nope()")
        relay.sql("DELETE FROM a WHERE id = 1; INSERT INTO a VALUES (2)")
        sessions = len(relay.seen.outages)
        await until(lambda: len(relay.seen.outages) > sessions + 2)
        assert all(f"trigger {names[0]} on syncline." in said for _, said in relay.seen.outages[sessions:])
        relay.sql("INSERT INTO a VALUES (3)")
        named = [
            said for _, said in relay.sql(NOTICES, "SchemaDamaged") if "what workers write there is refused" in said
        ]
        assert len(named) == ("syncline.notice" not in events[-1])
        for name, event in zip(names, events, strict=True):
            relay.sql(f"DROP TRIGGER {name} ON {event.split()[-1]}")
        await relay.equal()
        await until(lambda: not relay.sql(NOTICES, "SchemaDamaged"))
        await _healthy(relay)
        assert worker._pump is not None


async def test_a_worker_waits_for_the_installation_that_puts_our_schema_back(relay: Relay) -> None:
    async with relay.worker() as worker:
        relay.sql("INSERT INTO a VALUES (1)")
        await relay.drained()
        relay.sql("DROP TABLE syncline.outbox CASCADE; INSERT INTO a VALUES (2)")
        await until(lambda: any("dropped table syncline.outbox" in said for _, said in relay.seen.outages))
        assert worker._pump is None
        await relay.install(backfill=True)
        await relay.equal(tasks=True)
        await _healthy(relay)


async def test_marks_below_those_that_a_worker_has_read_are_found_when_their_numbers_were_set_back(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "FLOOR_SECONDS", 0.0)
    async with relay.worker() as worker:
        numbers = iter(range(10_000))

        def has_left_the_beginning() -> bool:
            relay.sql(f"INSERT INTO a VALUES ({next(numbers)})")
            return bool(worker._pump and getattr(worker._pump._reader._floor, "value", 0) > 5 * 512)

        await until(has_left_the_beginning)
        await relay.drained()
        relay.sql("ALTER SEQUENCE syncline.outbox_seq_seq RESTART; INSERT INTO b VALUES (1)")
        await relay.equal()


async def test_numbers_that_were_set_back_are_said_until_an_installation_puts_them_forward(relay: Relay) -> None:
    async with relay.worker():
        relay.sql(
            "INSERT INTO syncline.certificate (entity, as_of, records, verdict, report) SELECT 1, now(), 0, '', '{}'"
        )
        relay.sql("SELECT setval('syncline.certificate_id_seq', 1, false)")
        await until(lambda: relay.sql(NOTICES, "SchemaDamaged"))
        assert "the numbers of syncline.certificate have been set back" in relay.sql(NOTICES, "SchemaDamaged")[0][1]
        await relay.install()
        await until(lambda: not relay.sql(NOTICES, "SchemaDamaged"))
        await _healthy(relay)
