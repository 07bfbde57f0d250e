"""Whether the work gets done: workers, lanes, and the state of our own tables."""

from __future__ import annotations

from syncline.insight import reach
from syncline.insight.checks.finding import Finding, Subject, critical, ok, warning
from syncline.model.link import current
from syncline.model.words import counted
from syncline.version import __version__

BLOATED_BYTES = 1 << 30
DEAD_ROWS = 1_000_000
FEW_ROWS = 100_000
_RESOLVE = "syncline notices resolve {}  # once you have dealt with it; a condition ends by itself"


async def workers(subject: Subject) -> list[Finding]:
    """See that somebody works, that every lane has an owner, and that workers reach the target."""
    alive = [w for w in await reach.rows(subject.connection, "workers") if w["alive"]]
    lanes = await reach.one(subject.connection, "lane_counts")
    waiting = (await reach.one(subject.connection, "measures"))["queue_size"]
    free = lanes["total"] - lanes["owned"]
    if not alive:
        why = "nothing reaches the target; nothing is lost either"
        text = f"no worker is running, {counted(waiting, 'change')} waiting"
        return [(critical if waiting else warning)("workers", text, why=why, fix="syncline worker")]
    found = [
        critical(
            "workers",
            f"{worker['name']} cannot reach the target: {worker['report']['target_error']}",
            why="changes wait in the outbox until it can",
            fix="syncline doctor  # on the host of that worker, with its configuration",
        )
        for worker in alive
        if worker["report"].get("target_error")
    ]
    if free:
        text = f"{free} of {lanes['total']} lanes have no owner"
        why = "their changes wait; a running worker takes free lanes within seconds, so look again"
        found.append(warning("workers", text, why=why, fix="syncline worker"))
    return found or [ok("workers", f"{len(alive)} running, all {lanes['total']} lanes owned")]


async def version(subject: Subject) -> list[Finding]:
    """Compare the package here with the one that installed and those that run."""
    found: list[Finding] = []
    package = (await reach.one(subject.connection, "package"))["package"]
    if package != __version__:
        found.append(
            warning(
                "version",
                f"Syncline {package} installed, this is {__version__}",
                why="triggers and functions are those of the other version",
                fix="syncline install",
            )
        )
    others = sorted(
        f"{w['name']} ({w['version']})"
        for w in await reach.rows(subject.connection, "workers")
        if w["alive"] and w["version"] != __version__
    )
    if others:
        found.append(
            warning(
                "version",
                f"workers of another version than {__version__}: {reach.names(others)}",
                why="two versions may turn the same row into different documents",
                fix="syncline worker  # with this version, in place of each of them",
            )
        )
    return found or [ok("version", f"{__version__} installed, running and here")]


async def notices(subject: Subject) -> list[Finding]:
    """Repeat what workers noticed and nobody has dealt with."""
    return [
        (critical if notice["severity"] == "critical" else warning)(
            "notices",
            f"{notice['at']:%Y-%m-%d %H:%M} {notice['name']}: {notice['message']}",
            why="it was seen by a worker or a verification; a condition stays open until its cause is gone",
            fix=_RESOLVE.format(notice["id"]),
        )
        for notice in await reach.rows(subject.connection, "notices")
        if not notice["resolved"] and notice["severity"] != "info"
    ] or [ok("notices", "none is open")]


async def bloat(subject: Subject) -> list[Finding]:
    """Look for dead rows and bloat in the outbox."""
    found = []
    for t in await reach.rows(subject.connection, "own_tables"):
        name, mebibytes = f"{current().schema}.{t['name']}", t["bytes"] >> 20
        fix = None
        if t["dead"] > max(DEAD_ROWS, t["live"]):
            fix = f"VACUUM (ANALYZE) {name};  -- look for old transactions first"
        elif t["bytes"] > BLOATED_BYTES and t["live"] < FEW_ROWS:
            fix = f"VACUUM (TRUNCATE, ANALYZE) {name}; REINDEX TABLE CONCURRENTLY {name};"
        if fix:
            text = f"{name}: {t['dead']} dead rows, {mebibytes} MiB for {t['live']} live rows"
            found.append(warning("bloat", text, why="reading it becomes slower and slower", fix=fix))
    return [*found, *await _autovacuum(subject)] or [ok("bloat", "our tables are in good shape, autovacuum works")]


async def _autovacuum(subject: Subject) -> list[Finding]:
    why = "applied marks are never removed: reading the outbox becomes slower and slower"
    off = await reach.one(subject.connection, "autovacuum_off")
    found = []
    if off["server"]:
        fix = "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf();"
        found.append(critical("bloat", "autovacuum is off for the whole server", why=why, fix=fix))
    for table in off["of_tables"]:
        fix = f"ALTER TABLE {current().schema}.{table} RESET (autovacuum_enabled);"
        found.append(critical("bloat", f"autovacuum is off for {current().schema}.{table}", why=why, fix=fix))
    return found


async def second_deletes(subject: Subject) -> list[Finding]:
    """See that deletes which were due are done."""
    overdue = (await reach.one(subject.connection, "overdue_deletes"))["overdue"]
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


async def parked(subject: Subject) -> list[Finding]:
    """Count what is parked."""
    measures = await reach.one(subject.connection, "measures")
    if not measures["failed_events"]:
        return [ok("parked", "nothing is parked")]
    return [
        warning(
            "parked",
            f"{measures['failed_events']} changes are parked",
            why="these records differ from the source until they are corrected",
            fix="syncline parked retry --all  # when what `syncline parked list` shows is corrected",
        )
    ]


CHECKS = (workers, version, notices, bloat, second_deletes, parked)
