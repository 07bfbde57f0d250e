"""What ``syncline doctor`` looks at in CockroachDB. Much that can go wrong with PostgreSQL does not exist there."""

from __future__ import annotations

from syncline.capture.postgres.cockroach import missing_triggers
from syncline.insight.checks import capture, server, work
from syncline.insight.checks.finding import Finding, Subject, critical, ok, warning
from syncline.postgres.connection import fetch_one, translated
from syncline.postgres.sql import ours

BIG = 1_000_000


async def triggers(subject: Subject) -> list[Finding]:
    """Every trigger that was installed is there and fires."""
    with translated():
        missing = await missing_triggers(subject.connection)
    if not missing:
        return [ok("triggers", "all there")]
    return [
        critical(
            "triggers",
            f"missing or switched off: {', '.join(missing)}",
            why="changes of these tables are not captured",
            fix="syncline install  # it also has what was missed marked",
        )
    ]


async def history(subject: Subject) -> list[Finding]:
    """History is one table there, and its old rows are deleted, not dropped with a partition."""
    query = ours("SELECT count(*) FROM (SELECT 1 FROM syncline.history LIMIT %s) AS h")
    (count,) = await fetch_one(subject.connection, query, (BIG,))
    if count < BIG:
        return [ok("history", f"{count} rows")]
    return [
        warning(
            "history",
            f"{BIG} rows or more",
            why="every change is written once more, and deleted again",
            fix='set [history] keep = "1d" (or "off") in the configuration, then: syncline worker',
        )
    ]


CHECKS = (server.clock, capture.mapping)
INSTALLED_CHECKS = (
    capture.key,
    capture.configuration,
    triggers,
    history,
    work.workers,
    work.version,
    work.notices,
    work.second_deletes,
    work.parked,
)
