"""The source's server: what other sessions, settings and poolers do to the synchronisation."""

from __future__ import annotations

import time

from syncline.config.urls import host_of
from syncline.insight import reach
from syncline.insight.checks.finding import Finding, Subject, critical, ok, warning
from syncline.postgres.connection import look_again
from syncline.postgres.dialect import NEWEST_POSTGRES, OLDEST_POSTGRES, on_cockroach
from syncline.postgres.lent import Pooling

OLD_SECONDS = 300.0
VERY_OLD_SECONDS = 3600.0
SKEW_SECONDS = 2.0
RETAINED_BYTES = 1 << 30
OLD_XMIN = 1_000_000


async def primary(subject: Subject) -> list[Finding]:
    """Find a replica in the place of the primary."""
    server = await reach.one(subject.connection, "server")
    version = str(server["server_version"]).split(" ")[0]
    if server["standby"]:
        return [
            critical(
                "primary",
                f"{host_of(subject.settings.source.url)} is a standby",
                why="states must be read where they are written: a replica shows older ones, and takes no marks",
                fix="point the source URL at the primary (libpq: target_session_attrs=read-write)",
            )
        ]
    return [ok("primary", f"PostgreSQL {version}, a primary")]


async def postgresql(subject: Subject) -> list[Finding]:
    """Find a server that is newer than what was tested."""
    major = subject.connection.info.server_version // 10_000
    tested = f"tested with PostgreSQL {OLDEST_POSTGRES} to {NEWEST_POSTGRES}"
    if major <= NEWEST_POSTGRES:
        return [ok("postgresql", f"{major}: this release was {tested}")]
    return [
        warning(
            "postgresql",
            f"this is PostgreSQL {major}, and nothing was tested on it: this release was {tested}",
            why="types, plans and triggers may differ in a way that nobody has looked at",
            fix="syncline verify  # now and then; and look for a newer release: pip install --upgrade syncline",
        )
    ]


async def old_transactions(subject: Subject) -> list[Finding]:
    """Find what keeps dead rows from being removed, wherever on the server."""
    found = [h for h in await reach.rows(subject.connection, "oldest_transactions") if h["seconds"] > OLD_SECONDS]
    hidden = (await reach.one(subject.connection, "hidden_sessions"))["hidden"]
    if not found:
        note = " (only own sessions are visible: GRANT pg_read_all_stats to see all)" if hidden else ""
        return [ok("old transactions", f"none is older than {OLD_SECONDS / 60:.0f} minutes{note}")]
    return [
        (critical if h["seconds"] > VERY_OLD_SECONDS else warning)(
            "old transactions",
            f"{h['kind']} {h['what']} in {h['where_'] or 'the server'} is open for {h['seconds'] / 60:.0f} minutes",
            why="as long as it lives no applied mark can be vacuumed: reading the outbox becomes slower and slower",
            fix=h["fix"],
        )
        for h in found
    ]


async def replication_slots(subject: Subject) -> list[Finding]:
    """Find slots that nobody reads."""
    slots = [
        s
        for s in await reach.rows(subject.connection, "replication_slots")
        if s["retained_bytes"] > RETAINED_BYTES or s["xmin_age"] > OLD_XMIN
    ]
    if not slots:
        return [ok("replication slots", "none holds back much")]
    return [
        warning(
            "replication slots",
            f"slot {s['slot_name']} ({'' if s['active'] else 'in'}active) keeps {s['retained_bytes'] >> 20} MiB of WAL",
            why="it fills the disk of the source, and may keep dead rows from being removed",
            fix=f"SELECT pg_drop_replication_slot('{s['slot_name']}');  -- if its reader is gone",
        )
        for s in slots
    ]


async def synchronous_commit(subject: Subject) -> list[Finding]:
    """Find who commits without waiting for the disk."""
    found = [
        warning(
            "synchronous commit",
            f"off for {row['who']}",
            why="a crash may take such changes back after they were seen; the worker therefore waits for the disk",
            fix=row["fix"],
        )
        for row in await reach.rows(subject.connection, "asynchronous_commits")
    ]
    found += [
        critical(
            "synchronous commit",
            f"{row['name']} is off for the whole server",
            why="after a crash of its host the source may be damaged, or older than what the target has seen",
            fix=f"ALTER SYSTEM SET {row['name']} = on; SELECT pg_reload_conf();",
        )
        for row in await reach.rows(subject.connection, "unsafe_settings")
    ]
    return found or [ok("synchronous commit", "on by default for every role")]


async def two_phase_commit(subject: Subject) -> list[Finding]:
    """Find two-phase commit together with wake-ups as an earlier release has installed them."""
    found = await reach.one(subject.connection, "prepared_allowed")
    if not (found["allowed"] and found["wakes"]):
        return [ok("two phase commit", "not in the way of wake-ups")]
    return [
        warning(
            "two phase commit",
            f"max_prepared_transactions is {found['allowed']} and writers wake the worker by NOTIFY",
            why="PostgreSQL refuses PREPARE TRANSACTION after a NOTIFY: prepared writes would fail now and then",
            fix="syncline install  # writers then do not notify while transactions can be prepared; the worker polls",
        )
    ]


async def clock(subject: Subject) -> list[Finding]:
    """Compare this host's clock with the source's."""
    before = time.time()
    at_source = next(iter((await reach.one(subject.connection, "clock")).values()))
    after = time.time()
    skew = at_source - (before + after) / 2
    if abs(skew) <= SKEW_SECONDS + (after - before) / 2:
        return [ok("clock", f"this host and the source differ by {abs(skew):.1f} s")]
    return [
        warning(
            "clock",
            f"this host is {abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} the source",
            why="leases do not mind, but `_syncedAt` and logs do not fit the source's times",
            fix="timedatectl set-ntp true  # on both hosts",
        )
    ]


async def pooler(subject: Subject) -> list[Finding]:
    """Say in which mode a pooler in between lends its sessions; ``postgres.poolers`` tells how it is found."""
    source = subject.settings.source
    wakes = source.wake and not on_cockroach(subject.connection)
    match await look_again(subject.connection, source.url):
        case Pooling.NONE:
            return [ok("pooler", "none: this is a direct connection")]
        case Pooling.SESSION:
            return [ok("pooler", "a pooler in session mode")]
        case _ if not wakes:
            return [ok("pooler", "a pooler in transaction mode; the worker looks by itself, as `wake` says")]
        case _:
            return [
                warning(
                    "pooler",
                    "the source URL leads through a pooler in transaction mode",
                    why="nobody can wake a worker there: it looks every `poll_seconds`, in more round trips",
                    fix="set direct_url in [source], or SYNCLINE_DIRECT_URL; or wake = false, if looking is enough",
                )
            ]


CHECKS = (primary, postgresql, old_transactions, replication_slots, synchronous_commit, two_phase_commit, clock)
