"""Every setting does something, and a test changes it and sees what. A new setting needs a line here."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from pydantic import BaseModel

from syncline.config.load import File
from syncline.config.settings import Settings, SourceSettings, TargetSettings, VerifySettings, WorkerSettings
from syncline.engines import opening
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.postgres import connections
from syncline.errors import SourceUnavailableError, TargetUnavailableError
from syncline.insight import reach
from syncline.insight.checks import replica
from syncline.insight.checks.finding import Subject
from syncline.insight.status import read_status
from syncline.wiring import sides
from syncline.wiring.sides import make_health, opened_source, opened_target
from syncline.wiring.worker import make_continuous, make_worker
from tests.relay import relayed, until

ROOT = Path(__file__).parents[1]
HERE = "cases/test_every_setting.py"
BACKUP = "cases/test_backup.py"
SEEN: dict[str, str] = {
    "source.url": "unit/test_config.py::test_database_url_wins_over_a_url_written_out",
    "source.direct_url": "cases/test_poolers.py::test_a_direct_url_leads_past_it",
    "source.replica_url": "integration/test_replica.py::test_settings_open_it_and_a_primary_is_refused",
    "source.capture": "integration/test_session_capture.py::test_one_flush_is_one_statement_and_one_mark_for_each_key",
    "source.wake": "cases/test_poolers.py::test_a_worker_that_shall_not_be_woken_takes_no_lock_and_does_not_listen",
    "source.reinstall": "cases/test_schema_changes.py::test_workers_that_may_put_capture_back_by_themselves",
    "source.event_triggers": "cases/test_event_triggers.py::",
    "source.search_path": "cases/test_expressions.py::test_11_a_path_in_the_configuration_is_recorded_and_marks_what_it_concerns",
    "source.name": f"{HERE}::test_the_source_goes_by_its_name",
    "source.view_schema": "cases/test_view_for_people.py::test_the_view_moves_with_its_settings_and_goes",
    "source.view_name": "cases/test_view_for_people.py::test_the_view_moves_with_its_settings_and_goes",
    "source.connect_timeout": f"{HERE}::test_every_connection_to_the_source_waits_so_long",
    "target.url": "unit/test_config.py::test_a_target_without_a_database_is_refused",
    "target.database": f"{HERE}::test_the_target_is_opened_as_configured",
    "target.control_collection": f"{HERE}::test_the_target_is_opened_as_configured",
    "target.control_schema": f"{HERE}::test_a_postgresql_as_the_target_is_opened_as_configured",
    "target.name": f"{HERE}::test_the_target_goes_by_its_name",
    "target.connect_timeout": f"{HERE}::test_a_target_that_is_away_is_looked_for_as_long_as_configured",
    "target.timeout": f"{HERE}::test_the_target_is_opened_as_configured",
    "worker.name": f"{HERE}::test_a_worker_goes_by_its_name",
    "worker.batch_size": f"{HERE}::test_batches_keep_within_their_bounds",
    "worker.batch_min": f"{HERE}::test_batches_keep_within_their_bounds",
    "worker.batch_max": f"{HERE}::test_batches_keep_within_their_bounds",
    "worker.writers": f"{HERE}::test_so_many_batches_are_written_at_the_same_time",
    "worker.bytes_in_flight": "integration/test_relay_rollout.py::test_rows_wider_than_those_before_do_not_fill_the_memory",
    "worker.lease": f"{HERE}::test_a_lease_is_as_long_as_configured",
    "worker.renew": f"{HERE}::test_a_worker_renews_as_often_as_configured",
    "worker.grace": "integration/test_relay_protocol.py::test_g3_a_delete_is_done_twice",
    "worker.max_batch_age": "integration/test_relay_protocol.py::test_a_batch_that_waited_too_long_is_not_sent",
    "worker.poll": f"{HERE}::test_a_worker_that_is_not_woken_looks_as_often_as_configured",
    "history.keep": "integration/test_relay_basics.py::test_history_is_kept_or_not",
    "history.documents": "integration/test_relay_basics.py::test_history_may_keep_the_applied_documents",
    "mapping.new_columns": "cases/test_new_columns.py::test_ignore_leaves_a_new_column_out_until_the_configuration_takes_it_in",
    "mapping.dates": "cases/test_far_dates.py::test_every_driver_can_read_far_dates_unless_it_was_chosen_otherwise",
    "log.level": "unit/test_logs.py::test_a_line_per_record_at_debug",
    "log.format": "unit/test_logs.py::test_for_people",
    "verify.continuously": "cases/test_signals_settings.py::test_a_worker_that_cannot_verify_says_so_instead_of_not_verifying",
    "verify.period": "integration/test_verify_continuous.py::test_passes_are_spread_over_the_period",
    "verify.rate": f"{HERE}::test_the_pace_of_verification_is_the_configured_one",
    "backup.folder": f"{BACKUP}::test_the_program_is_called_and_the_folder_used_as_configured",
    "backup.encrypt": f"{BACKUP}::test_it_leaves_the_machine_encrypted_and_is_read_back_from_there",
    "backup.decrypt": f"{BACKUP}::test_the_wrong_key_is_said",
    "backup.put": f"{BACKUP}::test_it_leaves_the_machine_encrypted_and_is_read_back_from_there",
    "backup.get": f"{BACKUP}::test_it_leaves_the_machine_encrypted_and_is_read_back_from_there",
    "backup.list_": f"{BACKUP}::test_it_leaves_the_machine_encrypted_and_is_read_back_from_there",
    "backup.remove": f"{BACKUP}::test_what_need_not_be_kept_is_removed_after_a_new_one_is_there",
    "backup.keep": f"{BACKUP}::test_what_need_not_be_kept_is_removed_after_a_new_one_is_there",
    "backup.keep_for": f"{BACKUP}::test_the_newest_are_kept_and_older_ones_for_a_time",
    "backup.jobs": f"{BACKUP}::test_the_program_is_called_and_the_folder_used_as_configured",
    "backup.compress": f"{BACKUP}::test_the_program_is_called_and_the_folder_used_as_configured",
    "backup.programs": f"{BACKUP}::test_an_old_or_missing_pg_dump_is_said",
}
"""Setting → the test that changes it (after ``::`` nothing: several of that file)."""
ELSEWHERE = {"split", "databases", "entities", "collections"}
"""Sections with tests of their own: test_split_*.py, the entities' parts in test_config.py, test_mapping.py, those of collections in
test_documents.py, test_config_collections.py, test_document_tables.py."""


def settings() -> Iterator[str]:
    for name, info in File.model_fields.items():
        section = info.annotation
        if name not in ELSEWHERE:
            assert isinstance(section, type), name
            assert issubclass(section, BaseModel), name
            yield from (f"{name}.{field}" for field in section.model_fields)


def test_each_setting_has_a_test_and_each_of_these_is_there() -> None:
    assert list(SEEN) == [name for name in SEEN if name in set(settings())]
    assert set(settings()) - SEEN.keys() == set(), "no test is named that changes it"
    for place in SEEN.values():
        file, _, name = place.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        functions = {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))}
        assert name in functions or (not name and functions), place


def configured(url: str = "postgresql://u@h/d", **parts: Any) -> Settings:
    return Settings(SourceSettings(url=url), TargetSettings(url="mongodb://h/", database="d"), **parts)


async def test_the_target_is_opened_as_configured() -> None:
    target = TargetSettings(
        url="mongodb://h:7/",
        database="elsewhere",
        control_collection="ours",
        connect_timeout=timedelta(seconds=3),
        timeout=timedelta(seconds=7),
    )
    async with opened_target(Settings(SourceSettings(url="postgresql://u@h/d"), target)) as found:
        options = found._client.options
        assert (found._database.name, found._control.name, found._command_seconds) == ("elsewhere", "ours", 7)
        assert found.timeout_seconds == 3, "while no server is known"
        assert (options.server_selection_timeout, options.pool_options.connect_timeout) == (3, 3)
        assert found._client._topology_settings.seeds == {("h", 7)}


async def test_a_postgresql_as_the_target_is_opened_as_configured() -> None:
    target = TargetSettings(
        url="postgresql://u@h/copy",
        control_schema="ours",
        connect_timeout=timedelta(seconds=3),
        timeout=timedelta(seconds=7),
    )
    async with opened_target(Settings(SourceSettings(url="postgresql://u@h/d"), target)) as found:
        assert (found._sessions.url, found._control.schema) == ("postgresql://u@h/copy", "ours")
        assert (found._sessions._connect_seconds, found.timeout_seconds) == (3, 7)


async def test_a_target_that_is_away_is_looked_for_as_long_as_configured(mongo_url: str, tmp_path: Path) -> None:
    """The driver forgets its own limit for that within another one: it was that of a command."""
    hour = timedelta(hours=1)
    place = f"mongodb://{quote(str(tmp_path / 'mongodb-27017.sock'), safe='')}"
    target = MongoTarget(place, "x", timeout=hour, connect_timeout=timedelta(seconds=0.5))
    async with asyncio.timeout(100):
        with pytest.raises(TargetUnavailableError):
            await target.read_beat()
    await target.close()
    near = MongoTarget(mongo_url, "x", timeout=hour, connect_timeout=timedelta(seconds=60))
    await near.read_beat()
    assert near.timeout_seconds == hour.total_seconds()
    await near.close()


async def test_every_connection_to_the_source_waits_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []

    async def away(*_: Any, timeout_seconds: int, **__: Any) -> None:
        waits.append(timeout_seconds)
        raise SourceUnavailableError

    for module in (opening, connections, sides, reach, replica):
        monkeypatch.setattr(module, "connect", away)
    brief = SourceSettings(
        url="postgresql://u@h/d", replica_url="postgresql://u@r/d", connect_timeout=timedelta(seconds=2)
    )
    named = Settings(brief, configured().target)
    worker = make_worker(named, object())  # type: ignore[arg-type]  it never gets so far
    with pytest.raises(SourceUnavailableError):
        await worker._open()
    with pytest.raises(SourceUnavailableError):
        await connections.Connections("u", *[None] * 4, wait=2)._opened_apart()  # type: ignore[arg-type]  nor this
    with pytest.raises(SourceUnavailableError):
        async with opened_source(named):
            pass
    with pytest.raises(SourceUnavailableError):
        async with reach.source(brief, purpose="commands and the page"):
            pass
    (finding,) = await replica.replica(Subject(named, None, None))  # type: ignore[arg-type]  it never gets so far
    assert finding.check == replica.CHECK
    assert waits == [2, 2, 2, 2, 2]


async def test_the_source_goes_by_its_name(database: str) -> None:
    async with relayed(database) as relay:
        found = await read_status(relay.url, None, source_name="main")
        assert list(found.databases) == ["main"]


def test_the_target_goes_by_its_name() -> None:
    settings = Settings(SourceSettings(url="postgresql://u@h/d"), TargetSettings(url="mongodb://h/d", name="shadow"))
    health = make_health(settings)
    assert health._target_name == "shadow"
    assert TargetSettings(url="mongodb://h/d").called == "mongodb"
    assert TargetSettings(url="postgresql://u@h/d").called == "target"


async def test_a_worker_goes_by_its_name(database: str) -> None:
    async with relayed(database, name="the third") as relay, relay.worker():
        assert relay.sql("SELECT name FROM syncline.worker") == [("the third",)]


@pytest.mark.parametrize(
    ("options", "sizes"), [({"batch_size": 40}, (40, 40)), ({"batch_min": 10, "batch_max": 60}, (10, 60))]
)
async def test_batches_keep_within_their_bounds(options: dict[str, int], sizes: tuple[int, int], database: str) -> None:
    assert WorkerSettings(**options).batch_range == sizes
    async with relayed(database, **options) as relay:
        relay.sql("INSERT INTO item SELECT n, 'x' FROM generate_series(1, 400) n")
        async with relay.worker():
            await relay.equal(seconds=60)
        assert max(batch.marks for batch in relay.seen.batches) <= sizes[1]
        assert len(relay.seen.batches) >= 400 / sizes[1]


@pytest.mark.parametrize("writers", [1, 3])
async def test_so_many_batches_are_written_at_the_same_time(writers: int, database: str) -> None:
    under_way, most, gate = 0, 0, asyncio.Event()

    async def wait(_batch: Any) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await gate.wait()
        under_way -= 1

    async with relayed(database, writers=writers, batch_size=5) as relay:
        relay.target.before_apply = wait  # type: ignore[attr-defined]  a target that can fail
        relay.sql("INSERT INTO item SELECT n, 'x' FROM generate_series(1, 100) n")
        async with relay.worker():
            await until(lambda: under_way == writers, seconds=60)
            gate.set()
            await relay.equal(seconds=60)
    assert most == writers


async def test_a_lease_is_as_long_as_configured(database: str) -> None:
    left = "SELECT extract(epoch FROM max(expires_at) - clock_timestamp())::float8 FROM syncline.worker"
    async with relayed(database, lease=timedelta(seconds=600)) as relay, relay.worker():
        assert 300 < relay.value(left) <= 600


async def test_a_worker_renews_as_often_as_configured(database: str) -> None:
    beat = "SELECT beat FROM syncline.meta"
    rare = {"lease": timedelta(seconds=900), "renew": timedelta(seconds=400)}
    async with relayed(database, **rare) as relay, relay.worker():
        before = relay.value(beat)
        await asyncio.sleep(1)
        assert relay.value(beat) - before <= 1
    async with relay_again(database) as often, often.worker():
        before = often.value(beat)
        await until(lambda: often.value(beat) >= before + 3, seconds=60)


def relay_again(database: str) -> Any:
    """Other settings over the same database."""
    return relayed(database, ddl="SELECT", renew=timedelta(seconds=0.1))


async def test_a_worker_that_is_not_woken_looks_as_often_as_configured(database: str) -> None:
    async with relayed(database, poll=timedelta(seconds=0.1)) as relay:
        relay.wake = False
        await relay.install()
        async with relay.worker():
            await relay.drained()
            relay.sql("INSERT INTO item VALUES (1, 'x')")
            await relay.equal(seconds=60)
    assert WorkerSettings(poll=timedelta(hours=1)).poll == timedelta(hours=1)


def test_the_pace_of_verification_is_the_configured_one() -> None:
    paced = configured(verify=VerifySettings(continuously=True, rate=123, period=timedelta(hours=3)))
    plans = type("Plans", (), {"by_id": {}})()
    made = make_continuous(paced, object(), plans, str(uuid4()))  # type: ignore[arg-type]
    assert (made._rate, made._period) == (123, 3 * 3600)
