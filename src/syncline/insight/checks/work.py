"""Whether the work gets done: workers, lanes, and the state of our own tables."""

from __future__ import annotations

from syncline.insight import reach
from syncline.insight.checks.finding import Finding, Patient, critical, ok, warning

BLOATED_BYTES = 1 << 30
DEAD_ROWS = 1_000_000


async def workers(patient: Patient) -> list[Finding]:
    """See that somebody works, and that every lane has an owner."""
    alive = [w for w in await reach.rows(patient.connection, "workers") if w["alive"]]
    lanes = await reach.one(patient.connection, "lane_counts")
    measures = await reach.one(patient.connection, "measures")
    free = lanes["total"] - lanes["owned"]
    if not alive:
        level = critical if measures["queue_size"] else warning
        return [
            level(
                "workers",
                f"no worker is running, {measures['queue_size']} changes are waiting",
                why="nothing reaches the target; nothing is lost either",
                fix="syncline worker",
            )
        ]
    if free:
        return [
            warning(
                "workers",
                f"{free} of {lanes['total']} lanes have no owner",
                why="their changes wait; a worker takes free lanes within seconds, so look again",
                fix="syncline status --watch 1",
            )
        ]
    return [ok("workers", f"{len(alive)} running, all {lanes['total']} lanes owned")]


async def own_tables(patient: Patient) -> list[Finding]:
    """Look for dead rows and bloat in the outbox."""
    found = [
        warning(
            "bloat",
            f"syncline.{t['name']}: {t['dead']} dead rows, {t['bytes'] >> 20} MiB for {t['live']} live rows",
            why="reading it becomes slower",
            fix=f"VACUUM (ANALYZE) syncline.{t['name']};  -- look for old transactions first",
        )
        for t in await reach.rows(patient.connection, "own_tables")
        if t["dead"] > max(DEAD_ROWS, t["live"]) or (t["bytes"] > BLOATED_BYTES and t["live"] < 100_000)
    ]
    running = (await reach.one(patient.connection, "autovacuum_off"))["running"]
    if not running:
        found.append(
            critical(
                "bloat",
                "autovacuum is off for syncline.outbox",
                why="applied marks are never removed: reading the outbox becomes slower and slower",
                fix="ALTER TABLE syncline.outbox RESET (autovacuum_enabled); and autovacuum = on in postgresql.conf",
            )
        )
    return found or [ok("bloat", "our tables are in good shape, autovacuum works")]


async def second_deletes(patient: Patient) -> list[Finding]:
    """See that deletes which were due are done."""
    overdue = (await reach.one(patient.connection, "overdue_deletes"))["overdue"]
    if not overdue:
        return [ok("second deletes", "none is overdue")]
    return [
        warning(
            "second deletes",
            f"{overdue}{' or more' if overdue == 1000 else ''} are overdue by more than 5 minutes",
            why="a write that came late may have brought a deleted record back; the second delete removes it",
            fix="syncline worker",
        )
    ]


async def parked(patient: Patient) -> list[Finding]:
    """Count what is parked."""
    measures = await reach.one(patient.connection, "measures")
    if not measures["failed_events"]:
        return [ok("parked", "nothing is parked")]
    return [
        warning(
            "parked",
            f"{measures['failed_events']} changes are parked",
            why="these records differ from the source until they are corrected",
            fix="syncline parked list",
        )
    ]


CHECKS = (workers, own_tables, second_deletes, parked)
