"""How the target is used: indexes that nobody reads by, and operations that take long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from syncline.config import Settings
from syncline.engines.mongo.concurrently import concurrently
from syncline.errors import SynclineError
from syncline.insight.checks.finding import Finding, ok, warning
from syncline.insight.reach import names
from syncline.ports import Target

UNUSED = timedelta(days=30)
"""The server has counted for at least so long: who reads once a month has been there."""
SLOW_SECONDS = 10
_FORBIDDEN, _NO_SUCH_COLLECTION = 13, 26
_IDLE = frozenset({"none", ""})


class Server(Target, Protocol):
    """A target that also answers commands."""

    async def ask(self, command: Mapping[str, Any], *, admin: bool = False) -> Mapping[str, Any]:
        """Run a command and return the reply as it is."""


async def index_use(target: Server, settings: Settings) -> list[Finding]:
    """Look which indexes are read by, and how large they are. Each one costs every write of its collection."""
    collections = list(dict.fromkeys(entity.collection for entity in settings.entities))
    try:
        looked = await concurrently(lambda name: _indexes(target, name), collections)
    except SynclineError as error:
        if getattr(error.__cause__, "code", None) != _FORBIDDEN:
            raise
        return [ok("index use", "not looked at: this user may not read $indexStats (it is part of clusterMonitor)")]
    return judge_indexes([index for of_one in looked for index in of_one], now=datetime.now(UTC))


async def _indexes(target: Server, collection: str) -> list[dict[str, Any]]:
    stats: Mapping[str, Any] = {"pipeline": [{"$indexStats": {}}], "cursor": {"batchSize": 1000}}
    try:
        reply = await target.ask({"aggregate": collection, **stats})
        sizes = (await target.ask({"collStats": collection})).get("indexSizes", {})
    except SynclineError as error:
        if getattr(error.__cause__, "code", None) == _NO_SUCH_COLLECTION:
            return []
        raise
    return [
        {
            "collection": collection,
            "name": one["name"],
            "unique": bool(one.get("spec", {}).get("unique")),
            "expires": "expireAfterSeconds" in one.get("spec", {}),
            "uses": int(one["accesses"]["ops"]),
            "since": one["accesses"]["since"].replace(tzinfo=UTC),
            "bytes": int(sizes.get(one["name"], 0)),
        }
        for one in reply["cursor"]["firstBatch"]
    ]


def judge_indexes(indexes: Sequence[Mapping[str, Any]], *, now: datetime) -> list[Finding]:
    """Judge indexes by their uses since the server began to count; unique and expiring ones serve without any."""
    idle = [
        one
        for one in indexes
        if not one["uses"] and now - one["since"] >= UNUSED and one["name"] != "_id_"
        and not one["unique"] and not one["expires"]
    ]  # fmt: skip
    size = sum(one["bytes"] for one in indexes)
    if not idle:
        return [ok("index use", f"{len(indexes)} indexes, {size / 1e6:,.1f} MB, none idle for {UNUSED.days} days")]
    shown = [f"{one['collection']}.{one['name']} ({one['bytes'] / 1e6:,.1f} MB)" for one in idle]
    return [
        warning(
            "index use",
            f"nobody has read by {names(shown)} for {UNUSED.days} days and more (on this member)",
            why="each index makes every write of its collection dearer and takes memory",
            fix="take it out of syncline.toml if it is declared there, then: mongosh --eval "
            f"'db.{idle[0]['collection']}.dropIndex(\"{idle[0]['name']}\")'",
        )
    ]


async def slow_operations(target: Server, settings: Settings) -> list[Finding]:  # noqa: ARG001
    """Look for operations that have run for long."""
    try:
        reply = await target.ask({"currentOp": 1, "secs_running": {"$gte": SLOW_SECONDS}}, admin=True)
    except SynclineError as error:
        if getattr(error.__cause__, "code", None) != _FORBIDDEN:
            raise
        return [ok("slow operations", "not looked at: this user may not ask for currentOp (inprog)")]
    return judge_operations(reply.get("inprog", ()))


def judge_operations(operations: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Judge running operations, without what the server does for itself and who waits for news."""
    slow = [
        one
        for one in operations
        if one.get("active", True) and one.get("op") not in _IDLE and one.get("ns")
        and not {"hello", "isMaster"} & set(one.get("command", {}))
        and "$changeStream" not in str(one.get("command", {}).get("pipeline", ""))
    ]  # fmt: skip
    if not slow:
        return [ok("slow operations", f"none runs for {SLOW_SECONDS} s or longer")]
    shown = [f"{one['op']} of {one['ns']} (opid {one.get('opid')}, {one.get('secs_running', 0):,} s)" for one in slow]
    return [
        warning(
            "slow operations",
            f"running for long: {names(shown)}",
            why="it takes the disk and the locks that the worker's writes wait for",
            fix=f"mongosh admin --eval 'db.killOp({slow[0].get('opid')!r})'  # if nobody needs it",
        )
    ]


CHECKS = (index_use, slow_operations)
