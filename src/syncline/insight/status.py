"""How the synchronisation stands: databases, queue, lag, failures, workers, alerts, and one word for all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from syncline.config import SourceSettings
from syncline.errors import NotInstalledError, PrivilegeError, SourceUnavailableError, SynclineError, VersionError
from syncline.insight import reach
from syncline.insight.reach import DEADLINE, DatabaseState
from syncline.model.json_names import Named, Verbatim
from syncline.model.link import current
from syncline.model.notice import Notice
from syncline.model.thresholds import (
    ENTITY_PENDING,
    NO_WORKER,
    PRIMARY_DOWN,
    SECONDARY_DOWN,
    UNKNOWN,
    Alert,
    Health,
    Severity,
    Thresholds,
    health,
)
from syncline.model.words import counted
from syncline.ports import Target
from syncline.postgres.connection import Connection

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Measures:
    """The numbers that are watched."""

    queue_size: int
    """Captured, not applied, not parked."""
    lag_seconds: float
    """Age of the oldest of these."""
    failed_events: int
    """Parked changes, those that wait behind them included."""
    deferred_deletes: int
    """Second deletes that wait for the grace time; they count in none of the above."""
    held_by_copy: int = 0
    """Changes that wait until their table is copied; likewise."""


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that ``syncline status`` and the health routes show."""

    databases: Mapping[str, DatabaseState]
    health: Health
    alerts: Sequence[Alert] = ()
    measures: Measures | None = None
    """``None`` while the source is down."""
    lanes: Mapping[str, int] = field(default_factory=dict)
    workers: Rows = ()
    tasks: Rows = ()
    notices: Rows = ()
    certificates: Rows = ()
    """The newest proof of each entity."""
    verifying: Rows = ()
    """Verifications under way."""
    pending: Sequence[str] = ()
    """Entities that are not installed to their end, and therefore not served."""

    def summary(self) -> dict[str, Any]:
        """Give the body of ``GET /api/health/sync``."""
        measures = self.measures
        return {
            "status": self.health.value,
            "databases": Named({name: state.word for name, state in self.databases.items()}),
            "sync": {
                "queueSize": measures.queue_size if measures else None,
                "syncLagSeconds": round(measures.lag_seconds, 1) if measures else None,
                "failedEvents": measures.failed_events if measures else None,
            },
            "alerts": [alert.as_dict() for alert in self.alerts],
        }

    def as_dict(self) -> dict[str, Any]:
        """Give everything, in JSON's types."""
        summary = self.summary()
        summary["databases"] = Named({name: state.as_dict() for name, state in self.databases.items()})
        summary["sync"]["deferredDeletes"] = self.measures.deferred_deletes if self.measures else None
        summary["sync"]["heldByCopy"] = self.measures.held_by_copy if self.measures else None
        detail = {
            "lanes": dict(self.lanes),
            "workers": self.workers,
            "tasks": self.tasks,
            "notices": self.notices,
            "certificates": self.certificates,
            "verifying": self.verifying,
            "pending": self.pending,
        }
        return {**summary, **{name: plain(value) for name, value in detail.items()}}


async def read_status(
    url: str,
    target: Target | None,
    *,
    source_name: str = "postgresql",
    target_name: str = "mongodb",
    thresholds: Thresholds | None = None,
    values: Mapping[str, float] | None = None,
    deadline: timedelta = DEADLINE,
) -> Status:
    """Look at both databases at once, each under its own deadline: one that hangs does not hide the other.

    Args:
        url: the source's URL.
        target: ``None`` leaves it out.
        source_name: the source's name in the report; CockroachDB goes by its own where this is the default.
        target_name: the target's.
        thresholds: the bounds in force.
        values: further measures to judge, such as ``api_p95_ms``.
        deadline: limit for each database.

    Raises:
        NotInstalledError, VersionError, PrivilegeError: the source answers, but not as an installed Syncline would.

    """
    state, (source_state, facts) = await asyncio.gather(
        _target(target, deadline), _source(url, deadline.total_seconds())
    )
    sides = {reach.name_of(source_state, source_name): source_state} | ({target_name: state} if state else {})
    return judge(sides, facts, thresholds=thresholds, values=values)


def judge(
    databases: Mapping[str, DatabaseState],
    facts: Mapping[str, Any],
    *,
    thresholds: Thresholds | None = None,
    values: Mapping[str, float] | None = None,
    alerts: Sequence[Alert] = (),
) -> Status:
    """Draw the conclusions from what was read.

    Args:
        databases: the source first, then the target where there is one.
        facts: from ``read_facts``; empty while the source is down.
        thresholds: the bounds in force.
        values: further measures to judge, such as ``api_p95_ms``.
        alerts: raised by the caller.

    """
    measures = facts.get("measures")
    judged = dict(values or {})
    if measures:
        due = () if _wait_at_gate(facts.get("workers", ())) else ("lag_seconds", "queue_size")
        judged |= {name: getattr(measures, name) for name in (*due, "failed_events")}
    found = [*(thresholds or Thresholds()).alerts(judged), *_noticed(facts.get("notices", ())), *alerts]
    if measures and not any(worker["alive"] for worker in facts.get("workers", ())):
        found += _unattended(measures.queue_size, tasks_for_a_worker(facts.get("tasks", ()), facts.get("notices", ())))
    found += _pending(facts.get("pending", ()))
    (source, primary), *secondaries = databases.items()
    found += [] if primary.connected else [_down(PRIMARY_DOWN, source)]
    found += [_standby(source)] if (primary.details or {}).get("standby") else []
    found += [_down(SECONDARY_DOWN, name) for name, state in secondaries if not state.connected]
    up = all(state.connected for _, state in secondaries)
    return Status(databases, health(source_up=primary.connected, target_up=up, alerts=found), found, **facts)


async def read_facts(connection: Connection) -> dict[str, Any]:
    """Read what the source knows of the synchronisation: the parts of a ``Status`` by name."""
    facts: dict[str, Any] = {"measures": Measures(**await reach.one(connection, "measures"))}
    lanes = await reach.one(connection, "lane_counts")
    facts["lanes"] = {"owned": lanes["owned"], "free": lanes["total"] - lanes["owned"], "total": lanes["total"]}
    for name in ("workers", "tasks", "notices", "certificates", "verifying"):
        facts[name] = await reach.rows(connection, name)
    facts["pending"] = [row["name"] for row in await reach.rows(connection, "unarmed")]
    return facts


async def _target(target: Target | None, deadline: timedelta) -> DatabaseState | None:
    return await reach.ping_target(target, deadline=deadline) if target is not None else None


async def _source(url: str, deadline_seconds: float) -> tuple[DatabaseState, dict[str, Any]]:
    where = SourceSettings(url=url, connect_timeout=timedelta(seconds=deadline_seconds)).of_link(current())
    try:
        async with asyncio.timeout(deadline_seconds), reach.source(where, purpose="status") as connection:
            state = await reach.ping_source(connection)
            facts = await read_facts(connection)
    except TimeoutError:
        return DatabaseState(connected=False, error=f"no answer within {deadline_seconds:g} s"), {}
    except (NotInstalledError, VersionError, PrivilegeError):
        raise
    except SourceUnavailableError as error:
        return DatabaseState(connected=False, error=error.message, details={"hint": error.hint}), {}
    except SynclineError as error:
        return DatabaseState(connected=False, error=error.message), {}
    return state, facts


def tasks_for_a_worker(tasks: Rows, notices: Rows) -> int:
    """Count the tasks that a worker would do now: nobody runs them, and no copy of their table is under way."""
    copied = {one["entity"] for one in notices if one["name"] == Notice.COPYING and not one["resolved"]}
    return sum(not (task["running"] or task["entity"] in copied) for task in tasks)


def _unattended(changes: int, tasks: int) -> list[Alert]:
    """Say that nobody does what waits; an empty queue says little while the tasks that would fill it wait."""
    waiting = [counted(number, what) for number, what in ((changes, "change"), (tasks, "task")) if number]
    if not waiting:
        return []
    verb = "is" if changes + tasks == 1 else "are"
    message = f"no worker is running, and {' and '.join(waiting)} {verb} waiting: start one with `syncline worker`"
    return [Alert(*NO_WORKER, 0, 1, message)]


def _pending(entities: Sequence[str]) -> list[Alert]:
    """Say which entities nobody serves because an installation has not come to its end."""
    if not entities:
        return []
    message = f"{reach.names(entities)}: not installed to the end, nothing of it is applied; `syncline install` goes on"
    return [Alert(*ENTITY_PENDING, len(entities), 0, message)]


def _standby(source: str) -> Alert:
    """Say that all this is only as new as what a standby has replayed."""
    message = f"{source} answers as a standby: this is how things stood when it last heard of its primary"
    return Alert(*UNKNOWN, 1, 0, f"{message}; point the source's URL at the primary")


def _wait_at_gate(workers: Rows) -> bool:
    """Tell whether changes wait for a side to be the link's: they do for as long as it serves, and nothing is late."""
    return any(worker["alive"] and worker["report"].get("waits_at_gate") for worker in workers)


def _down(what: tuple[str, Severity], name: str) -> Alert:
    """Say that a database does not answer; why, only operators are told (``databases``)."""
    return Alert(*what, 0, 1, f"{name} does not answer: see `syncline status`, `syncline doctor`")


def _noticed(notices: Rows) -> list[Alert]:
    """Turn notices that somebody must act on into alerts."""
    open_ones = [notice for notice in notices if not notice["resolved"] and notice["severity"] != "info"]
    return [Alert(n["name"], Severity(n["severity"]), 1, 0, n["message"]) for n in open_ones]


def plain(value: Any) -> Any:
    """Turn rows into JSON's types; times become ISO 8601 text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        kind = type(value) if isinstance(value, (Named, Verbatim)) else dict
        return kind({key: plain(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
