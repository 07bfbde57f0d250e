"""What a replica set says of itself. Pure: judged from its replies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncline.insight.checks.finding import Finding, Level, critical, ok, warning

Reply = Mapping[str, Any]
CHECK = "replica set"
LATE_SECONDS = 10.0
_GOOD_STATES = {1, 2, 7}
"""PRIMARY, SECONDARY, ARBITER."""


def judge(hello: Reply, status: Reply | None = None, config: Reply | None = None) -> list[Finding]:
    """Say what is wrong with the set that the target belongs to.

    Args:
        hello: everybody may ask for it.
        status: of ``replSetGetStatus``; ``None``: this user may not ask.
        config: of ``replSetGetConfig``; ``None`` likewise.

    """
    name = hello.get("setName")
    if not name:
        return [ok(CHECK, "standalone: writes are journaled before they count (no transactions, no failover)")]
    found = [*_primary(hello), *_majority(hello), *_arbiter(hello), *_members(status or {}), *_journal(config or {})]
    if any(one.level is not Level.OK for one in found):
        return found
    seen = "" if status else " (its members are not visible: the user needs the role clusterMonitor)"
    return [ok(CHECK, f"{name}, {len(hello.get('hosts', ()))} members: writes are acknowledged by a majority{seen}")]


def _primary(hello: Reply) -> list[Finding]:
    if hello.get("isWritablePrimary", hello.get("ismaster")):
        return []
    return [
        critical(
            CHECK,
            f"{hello.get('me', 'this member')} is not the primary; that is {hello.get('primary', 'nobody')}",
            why="nothing can be written here",
            fix="take directConnection out of `url` of [target], and name every member in it",
        )
    ]


def _majority(hello: Reply) -> list[Finding]:
    last = hello.get("lastWrite") or {}
    if not {"lastWriteDate", "majorityWriteDate"} <= last.keys():
        return []
    late = (last["lastWriteDate"] - last["majorityWriteDate"]).total_seconds()
    if late <= LATE_SECONDS:
        return []
    return [
        critical(
            CHECK,
            f"a majority is {late:.0f} s behind the primary",
            why="a write counts when a majority has it: the queue grows, lag with it",
            fix="mongosh --eval 'rs.printSecondaryReplicationInfo()'  # then start or resync the member that is behind",
        )
    ]


def _arbiter(hello: Reply) -> list[Finding]:
    if not hello.get("arbiters") or len(hello.get("hosts", ())) + len(hello.get("passives", ())) > 2:
        return []
    return [
        warning(
            CHECK,
            f"two members with data and the arbiter {hello['arbiters'][0]}",
            why="when one of the two is down no majority can acknowledge: syncing stops until it is back",
            fix="mongosh --eval 'rs.add(\"HOST:27017\")'  # a third member with data; then rs.remove the arbiter",
        )
    ]


def _members(status: Reply) -> list[Finding]:
    members = status.get("members", ())
    bad = [m for m in members if not m.get("health", 1) or m.get("state") not in _GOOD_STATES]
    working = sum(m.get("state") in {1, 2} and bool(m.get("health", 1)) for m in members)
    level = critical if working < status.get("writeMajorityCount", len(members) // 2 + 1) else warning
    found = [
        level(
            CHECK,
            f"{member['name']} is {member.get('stateStr', 'unknown')}",
            why="with too few members left no write is acknowledged by a majority; syncing stops",
            fix="mongosh --eval 'rs.status()'  # then start that member, or resync it",
        )
        for member in bad
    ]
    return found + _late(members)


def _late(members: Any) -> list[Finding]:
    newest = [m["optimeDate"] for m in members if m.get("state") == 1 and "optimeDate" in m]
    late = [
        (member["name"], (newest[0] - member["optimeDate"]).total_seconds())
        for member in members
        if newest and member.get("state") == 2 and "optimeDate" in member
    ]
    return [
        warning(
            CHECK,
            f"{name} is {seconds:.0f} s behind the primary",
            why="a majority that needs it acknowledges late; reads from it are old",
            fix="mongosh --eval 'rs.printSecondaryReplicationInfo()'  # look at that member's disk and network",
        )
        for name, seconds in late
        if seconds > LATE_SECONDS
    ]


def _journal(config: Reply) -> list[Finding]:
    if config.get("config", {}).get("writeConcernMajorityJournalDefault", True):
        return []
    return [
        warning(
            CHECK,
            "its members acknowledge before they have journaled (writeConcernMajorityJournalDefault is false)",
            why="when a majority loses power at once, acknowledged writes are gone",
            fix="mongosh --eval 'c = rs.conf(); c.writeConcernMajorityJournalDefault = true; rs.reconfig(c)'",
        )
    ]
