"""A condition is told for as long as its cause lasts, once, by its entity's name; when the cause is gone it ends by itself."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
import yaml

from syncline.backfill import runner
from syncline.engines import opening
from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.postgres.verification.side import SqlSide
from syncline.insight.health import HealthReader
from syncline.insight.reach import DatabaseState
from syncline.insight.status import Measures, judge, read_status
from syncline.model import thresholds
from syncline.model.entity import Fields
from syncline.model.notice import Notice
from syncline.model.thresholds import Health, Severity
from syncline.relay import keeper
from syncline.verify.one_pass import Sides
from syncline.verify.verifier import verify
from syncline.web.exposition import snapshot_of
from syncline.wiring.sides import make_health
from tests.pairs import entity as paired_entity
from tests.pairs import paired
from tests.relay import ITEM, Relay, entity, relayed, until

ROOT = Path(__file__).parents[2]
OTHER = entity("other")
TWO = """
CREATE TABLE item (id bigint PRIMARY KEY, name text, qty int NOT NULL DEFAULT 0);
CREATE TABLE other (id bigint PRIMARY KEY, name text);
"""
OPEN = "SELECT name, entity, message FROM syncline.notice WHERE resolved_at IS NULL ORDER BY name, entity"


@pytest.fixture
async def relay(database, monkeypatch):
    monkeypatch.setattr(keeper, "TABLES_SECONDS", 0.2)
    async with relayed(database, ddl=TWO, entities=[ITEM, OTHER]) as found:
        yield found


async def healthy(relay: Relay) -> bool:
    return (await read_status(relay.url, None)).health is Health.HEALTHY


async def opened(relay: Relay, name: str) -> str:
    """Wait for an open notice of item's; it must be the only one. Return its message."""
    await until(lambda: relay.sql(OPEN), seconds=20, what=f"{name} is told")
    ((told, about, message),) = relay.sql(OPEN)
    assert (told, about) == (name, "item")
    return str(message)


async def ended(relay: Relay) -> None:
    await until(lambda: not relay.sql(OPEN), what=lambda: f"it ends: {relay.sql(OPEN)}")
    assert await healthy(relay)


async def test_an_entity_that_is_stopped_is_told_once_by_name_and_no_more_when_it_is_served(relay: Relay) -> None:
    """The marks that wait for it were a second notice, about 'entity 1'."""
    async with relay.worker():
        relay.sql("ALTER TABLE item RENAME TO renamed")
        relay.sql("INSERT INTO renamed VALUES (2, 'waits')")
        await opened(relay, "EntityStopped")
        relay.sql("INSERT INTO other VALUES (1, 'flows')")
        await until(lambda: relay.document(1, OTHER))
        await asyncio.sleep(0.6)  # the worker looks some more times
        assert "entity item is not served" in await opened(relay, "EntityStopped")
        assert (await read_status(relay.url, None)).health is Health.UNHEALTHY
        relay.sql("ALTER TABLE renamed RENAME TO item")
        await ended(relay)
        await relay.equal(seconds=20)


async def test_a_worker_that_serves_an_entity_ends_what_another_one_has_left_open(relay: Relay) -> None:
    relay.sql(
        "INSERT INTO syncline.notice (name, severity, message, entity)"
        " VALUES ('EntityStopped', 'critical', 'entity item is not served: it was so', 'item')"
    )
    assert relay.sql(OPEN), "nobody has seen that it is over"
    async with relay.worker():
        await ended(relay)


async def test_a_column_that_is_not_mapped_is_told_until_it_is(database, monkeypatch) -> None:
    monkeypatch.setattr(keeper, "TABLES_SECONDS", 0.2)
    async with relayed(database, entities=[entity("item", fields=Fields(include=("name",)))]) as relay:
        async with relay.worker():
            assert "qty" in await opened(relay, "ColumnNotMapped")
            assert not await healthy(relay)
        relay.entities = [entity("item", fields=Fields(include=("name",), exclude=("qty",)))]
        await relay.install()
        async with relay.worker():
            await ended(relay)


async def test_a_failed_task_is_told_until_it_is_done(relay: Relay, monkeypatch) -> None:
    monkeypatch.setattr(runner, "STAND_BACK_SECONDS", 0.2)
    whole = runner.Runner._work

    async def fails(self, task, plan):
        if plan.name == "item":
            raise runner.SynclineError("it cannot be done")
        await whole(self, task, plan)

    async with relay.worker():
        with monkeypatch.context() as patch:
            patch.setattr(runner.Runner, "_work", fails)
            relay.sql(
                "INSERT INTO syncline.task (kind, entity, reason) VALUES ('backfill', 1, 'x'), ('backfill', 2, 'x')"
            )
            message = await opened(relay, "TaskFailed")
            assert message.startswith("item: ")
            assert message.endswith("it cannot be done")
        await ended(relay)


async def test_a_failed_task_that_is_cancelled_is_told_no_more(relay: Relay, monkeypatch) -> None:
    async def fails(*_):
        raise runner.SynclineError("it cannot be done")

    monkeypatch.setattr(runner.Runner, "_work", fails)
    async with relay.worker():
        relay.sql("INSERT INTO syncline.task (kind, entity, reason) VALUES ('backfill', 1, 'x')")
        await opened(relay, "TaskFailed")
        relay.sql("DELETE FROM syncline.task")
        await ended(relay)


async def test_a_task_that_was_dropped_is_an_event_that_somebody_must_see(relay: Relay) -> None:
    relay.sql("INSERT INTO item VALUES (1, 'x')")
    async with relay.worker():
        relay.sql(
            "INSERT INTO syncline.task (kind, entity, reason, options)"
            " VALUES ('backfill', 1, 'x', jsonb_build_object('where', '1 / qty = 1'))"
        )
        assert "division by zero" in await opened(relay, "TaskDropped")
        await asyncio.sleep(0.6)
        await opened(relay, "TaskDropped")


async def test_a_restore_is_told_until_it_is_reconciled(relay: Relay) -> None:
    told = "SELECT count(*), count(resolved_at) FROM syncline.notice WHERE name = 'Restored'"
    relay.sql("INSERT INTO item SELECT n, 'x' FROM generate_series(1, 300) n")
    async with relay.worker():
        await relay.drained()
        await asyncio.sleep(0.6)
        relay.target.delay_seconds = 0.05
        relay.target.target.wipe()
        await until(lambda: relay.value(told) > 0, seconds=20, what="it is told")
        await ended(relay)
        relay.target.delay_seconds = 0
        await relay.equal(tasks=True)
    found = relay.sql(told)[0]
    assert found[0] == found[1] >= 1


async def test_it_stays_while_what_the_restore_asked_for_is_not_applied(relay: Relay) -> None:
    relay.sql("INSERT INTO item VALUES (5, 'x')")
    relay.sql("INSERT INTO syncline.notice (name, severity, message) VALUES ('Restored', 'critical', 'x')")
    relay.sql("SELECT syncline.mark(1::smallint, '{5}', 'B')")
    async with relay.worker():
        relay.target.unavailable = True
        await asyncio.sleep(0.1)
        relay.sql("SELECT syncline.mark(1::smallint, '{5}', 'B')")
        relay.sql("UPDATE syncline.notice SET resolved_at = NULL")
        await asyncio.sleep(1)
        assert relay.value("SELECT resolved_at IS NULL FROM syncline.notice WHERE name = 'Restored'")
        relay.target.unavailable = False
        await ended(relay)


async def test_information_is_a_trace_that_nobody_has_to_close(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("ALTER TABLE item ADD COLUMN colour text")
        await until(lambda: "MappingChanged" in relay.notices(), seconds=20)
        assert {name for name, *_ in relay.sql(OPEN)} <= {"NewColumn"}, "that one is a warning"


async def test_one_of_a_name_is_open_for_an_entity_and_says_the_newest(relay: Relay) -> None:
    source = await opening.open_source(relay.url, worker="6f2f6f83-3b7b-4d6f-9f4f-0d3f6f9f0d3f")
    try:
        for reason in ("first", "second", "second"):
            await source.journal.notices.leave(
                "EntityStopped", "critical", f"entity item is not served: {reason}", entity="item"
            )
        assert [message.rpartition(" ")[2] for _, _, message in relay.sql(OPEN)] == ["second"]
        await source.journal.notices.end_others("EntityStopped", still=["item"])
        assert len(relay.sql(OPEN)) == 1
        await source.journal.notices.end_others("EntityStopped", still=["other"])
        assert relay.sql(OPEN) == []
    finally:
        await source.close()


# -- divergences


PARKED = """
INSERT INTO syncline.parked (seq, entity, lane, hint, key, created_at, code, error)
SELECT 1, 1, syncline.lane_of(1::smallint, '3'), 'U', '3', now(), 'too_large', 'the document has 17 MiB'
"""


async def test_a_divergence_that_a_command_finds_is_told_has_a_metric_and_ends_with_a_clean_pass(
    database, mongo_url, mongo_db
) -> None:
    tables = "CREATE TABLE items (id int PRIMARY KEY, v text); INSERT INTO items SELECT n, 'v' FROM generate_series(1, 20) n;"
    metric = 'syncline_divergent_records{entity="items"}'
    async with paired(database, mongo_url, mongo_db, tables, [paired_entity("items")]) as pair:

        async def passed() -> dict[str, int]:
            await verify(
                Sides(SqlSide(pair.pages, pair.looks), MongoInspection(pair.target)), list(pair.plans.values())
            )
            status = await read_status(pair.url, None)
            assert [alert.name for alert in status.alerts] == [name for name, *_ in pair.sql(OPEN)]
            return {metric: snapshot_of(status).divergent["items"]}

        await pair.backfill("items")
        await pair.drain()
        assert await passed() == {metric: 0}
        pair.docs["items"].delete_many({"_id": {"$in": [3, 4]}})
        assert await passed() == {metric: 2}
        ((name, about, message),) = pair.sql(OPEN)
        assert (name, about) == ("Diverged", "items")
        assert message.startswith("items: 2 missing")
        assert await passed() == {metric: 2}
        assert len(pair.sql(OPEN)) == 1, "one, however often it is found"
        pair.sql("SELECT syncline.mark(1::smallint, '{3,4}', 'R')")
        await pair.drain()
        pair.docs["items"].delete_one({"_id": 3})
        pair.sql(PARKED)
        assert await passed() == {metric: 0}, "a parked record counts as failed"
        assert pair.sql(OPEN) == [], "nor does it keep the notice of what is mended"
        pair.sql("DELETE FROM syncline.parked; SELECT syncline.mark(1::smallint, '{3}', 'R')")
        await pair.drain()
        assert await passed() == {metric: 0}
        assert pair.sql(OPEN) == []


# -- what the whole is


UP, DOWN = DatabaseState(connected=True), DatabaseState(connected=False, error="no answer")


def names(status) -> list[tuple[str, str]]:
    return [(alert.name, alert.severity.value) for alert in status.alerts]


def test_a_target_that_is_down_is_an_alert_and_degrades() -> None:
    status = judge({"postgresql": UP, "mongodb": DOWN}, {})
    assert (status.health, names(status)) == (Health.DEGRADED, [("SecondaryDown", "warning")])
    assert "mongodb" in status.alerts[0].message
    assert "no answer" not in status.alerts[0].message, "only operators are told why"


def test_a_source_that_is_down_is_an_alert_and_unhealthy() -> None:
    status = judge({"cockroachdb": DOWN, "mongodb": UP}, {})
    assert (status.health, names(status)) == (Health.UNHEALTHY, [("PrimaryDown", "critical")])


def test_both_up_is_healthy() -> None:
    status = judge({"postgresql": UP, "mongodb": UP}, {})
    assert (status.health, names(status)) == (Health.HEALTHY, [])


@pytest.mark.parametrize(("p95", "severity"), [(600, "warning"), (1500, "critical"), (60_000, "critical")])
def test_slow_requests_alone_degrade_at_most(p95, severity) -> None:
    status = judge({"postgresql": UP, "mongodb": UP}, {}, values={"api_p95_ms": p95})
    assert status.health is Health.DEGRADED
    assert [found for _, found in names(status)] == [severity]


def test_slow_requests_beside_a_critical_lag_are_unhealthy() -> None:
    status = judge({"postgresql": UP, "mongodb": UP}, {}, values={"api_p95_ms": 1500, "lag_seconds": 90})
    assert status.health is Health.UNHEALTHY


@pytest.mark.parametrize(("gate", "found"), [("data", []), (None, [("SyncLagCritical", "critical")])])
def test_what_waits_at_a_gate_is_not_late(gate, found) -> None:
    """The side that it goes to serves the application, for weeks perhaps."""
    worker = {"alive": True, "report": {"waits_at_gate": gate}}
    facts = {"measures": Measures(5, 100.0, 0, 0), "workers": [worker]}
    assert names(judge({"postgresql": UP}, facts)) == found


async def test_a_source_that_is_not_installed_is_critical(database, mongo_url, mongo_db) -> None:
    relay = Relay(database, [], object(), mongo=(mongo_url, mongo_db))  # type: ignore[arg-type]
    reader: HealthReader = make_health(relay.settings)
    try:
        status = await reader.read()
    finally:
        await reader.close()
        relay.conn.close()
    assert (status.health, names(status)) == (Health.UNHEALTHY, [("NotInstalled", "critical")])


# -- one severity for one name: status, health, alerts.yml, docs


def severities() -> dict[str, str]:
    """What ``status`` and the health routes say."""
    found = {}
    for threshold in thresholds.Thresholds().measures.values():
        found |= {threshold.warning_name: "warning", threshold.critical_name: "critical"}
    constants = (getattr(thresholds, name) for name in dir(thresholds) if name.isupper())
    found |= {one[0]: one[1].value for one in constants if isinstance(one, tuple) and isinstance(one[1], Severity)}
    return found


def rules() -> dict[str, str]:
    text = (ROOT / "deploy/monitoring/alerts.yml").read_text()
    return {
        rule["alert"]: rule["labels"]["severity"] for group in yaml.safe_load(text)["groups"] for rule in group["rules"]
    }


NOTICES = {"OpenNotice", "OpenNoticeCritical"}
"""In Prometheus each notice is one of these, by its severity; ``status`` shows it by its own name."""
SEEN_AS = {"NotInstalled": "SyncStateUnknown"}
"""Prometheus is told nothing there."""


def test_the_rules_have_each_alert_with_its_severity() -> None:
    found = severities()
    assert len(found) >= 13
    assert rules() == {name: severity for name, severity in found.items() if name not in SEEN_AS} | {
        "OpenNotice": "warning",
        "OpenNoticeCritical": "critical",
        "ShadowReadsDiffer": "warning",  # of document links
        "ShadowReadsMismatch": "warning",  # counted by applications
        "ShadowReadsFail": "warning",
        "CollectionClosed": "critical",  # likewise
    }


@pytest.mark.parametrize("page", ["docs/reference/status.md", "docs/how-to/runbook.md"])
def test_the_docs_have_each_alert(page) -> None:
    text = (ROOT / page).read_text()
    for name, severity in (severities() | dict.fromkeys(NOTICES, "")).items():
        assert name in text, name
        row = re.search(rf"^\| `{name}` \| (\w+) \|", text, re.MULTILINE)
        assert page.endswith("runbook.md") or name in NOTICES or (row and row[1] == severity), name


def test_the_docs_have_each_notice_with_its_severity_and_its_end() -> None:
    """Every name that the code gives to a notice is in the reference, with what ends it."""
    text = (ROOT / "docs/reference/status.md").read_text()
    sources = "\n".join(
        path.read_text() for kind in ("py", "sql") for path in sorted((ROOT / "src/syncline").rglob(f"*.{kind}"))
    )
    coded = re.findall(r'[(, ]Notice\.([A-Z_]+), "(info|warning|critical)"', sources)
    given = {(Notice[name].value, severity) for name, severity in coded}
    given |= set(re.findall(r"SELECT '([A-Z]\w+)', '(info|warning|critical)'", sources))
    given |= {(Notice[name].value, "warning") for name in re.findall(r"\.warn\(plan, Notice\.([A-Z_]+),", sources)}
    given |= {("NewColumn", "warning"), ("Restored", "critical"), ("Reinstalled", "warning")}
    assert {name.value for name in Notice} - {Notice.CAPTURE_GAP} <= {name for name, _ in given}
    for name, severity in given:
        assert re.search(rf"^\| `{name}` \| ([a-z]+, )?{severity}(, [a-z]+)? \| .+ \| .+ \|$", text, re.MULTILINE), (
            name,
            severity,
        )
