"""The standby of ``replica_url``: is it there, is it this source's, is it one, and how far is it behind?"""

from __future__ import annotations

from syncline.config import redact
from syncline.errors import SynclineError
from syncline.insight import reach
from syncline.insight.checks.finding import Finding, Subject, critical, ok, warning
from syncline.postgres.connection import Connection, connect
from syncline.postgres.sql import blocks

CHECK = "replica"
BEHIND_SECONDS, BEHIND_BYTES = 30, 64 * 1024 * 1024
_WRITTEN = "SELECT pg_catalog.pg_current_wal_flush_lsn()::text AS lsn"
_REPLAYED = """
SELECT greatest(pg_catalog.pg_wal_lsn_diff(%(lsn)s::pg_lsn, pg_catalog.pg_last_wal_replay_lsn()), 0)::bigint AS bytes,
       coalesce(extract(epoch FROM clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()), 0)::float8 AS age
"""


async def replica(subject: Subject) -> list[Finding]:
    """Look at it; without ``replica_url`` there is nothing to look at."""
    source = subject.settings.source
    if not source.replica_url:
        return []
    seconds = source.connect_timeout.total_seconds()
    try:
        connection = await connect(source.replica_url, application="syncline doctor", timeout_seconds=seconds)
    except SynclineError as error:
        return [_away(error)]
    async with connection:
        return await _look(subject, connection)


async def _look(subject: Subject, standby: Connection) -> list[Finding]:
    identity = blocks("queries.sql")["identity"]
    ours, theirs = [(await reach.query(one, identity))[0] for one in (subject.connection, standby)]
    if ours["system"] != theirs["system"]:
        return [_foreign()]
    if not theirs["standby"]:
        return [_primary()]
    written = (await reach.query(subject.connection, _WRITTEN))[0]["lsn"]
    behind = (await reach.query(standby, _REPLAYED, {"lsn": written}))[0]
    # Its last transaction's age says nothing while nothing is written: it has everything then.
    if behind["bytes"] > BEHIND_BYTES or (behind["bytes"] and behind["age"] > BEHIND_SECONDS):
        return [_late(behind["bytes"], behind["age"])]
    return [ok(CHECK, f"a standby of this source, {behind['bytes']:,} bytes of log behind")]


def _away(error: SynclineError) -> Finding:
    return warning(
        CHECK,
        f"the replica cannot be reached: {redact(error.message)}",
        why="verification fails, and backfills look for their ranges on the primary",
        fix="check `replica_url` of [source], or leave it out",
    )


def _foreign() -> Finding:
    return critical(
        CHECK,
        "replica_url leads to another cluster or database than url",
        why="verification would compare the target with somebody else's rows",
        fix="name a streaming replica of the primary in `replica_url` of [source], or leave it out",
    )


def _primary() -> Finding:
    return critical(
        CHECK,
        "replica_url leads to a server that is no standby",
        why="verification refuses it, and it takes no load off the primary",
        fix="name a streaming replica of the primary in `replica_url` of [source], or leave it out",
    )


def _late(size: int, seconds: float) -> Finding:
    return warning(
        CHECK,
        f"the replica is {size:,} bytes of log behind; its newest transaction is {seconds:.0f} s old",
        why="a verification waits until it has everything from before the pass, and gives up",
        fix="SELECT pg_wal_replay_resume();  -- if it was paused; else look at what keeps it: pg_stat_replication",
    )
