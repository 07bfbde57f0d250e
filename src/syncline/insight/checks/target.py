"""The target: reachable, writable, durable, with its indexes. Nothing is written: the writes here match no document."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC
from typing import Any, Protocol
from urllib.parse import parse_qsl

from syncline.config import Settings
from syncline.engines.mongo import suitability as suitable
from syncline.engines.mongo.concurrently import concurrently
from syncline.engines.mongo.indexes import StoredKeys, stored_keys
from syncline.errors import SynclineError
from syncline.insight.checks import replica_set as sets
from syncline.insight.checks import target_use
from syncline.insight.checks.finding import Finding, critical, ok, warning
from syncline.insight.checks.server import SKEW_SECONDS
from syncline.insight.examination import CHECK_SECONDS, unchecked
from syncline.insight.reach import names, ping_target
from syncline.model.entity import Index
from syncline.ports import Target

MAJORITY_MILLISECONDS = 3000
NEEDED = ("find", "insert", "update", "remove", "createIndex")
"""What a worker does with a collection, as MongoDB calls it."""
_NOTHING: Mapping[str, Any] = {"_id": {"$in": []}}
_DURABLE = {"w": "majority", "j": True, "wtimeout": MAJORITY_MILLISECONDS}
_FORBIDDEN, _NO_SUCH_COLLECTION = 13, 26


class Server(Target, Protocol):
    """A target that also answers commands."""

    async def ask(self, command: Mapping[str, Any], *, admin: bool = False) -> Mapping[str, Any]:
        """Run a command and return the reply as it is."""


async def examine(target: Server, settings: Settings) -> tuple[bool, list[Finding]]:
    """Run every check of the target; without a connection there is only one finding. Tells whether it is reached."""
    state = await ping_target(target)
    if not state.connected:
        why = "changes wait in the outbox until it is back"
        fix = "check `url` of [target], and that the server runs and has a primary"
        return False, [critical("target", f"MongoDB cannot be reached: {state.error}", why=why, fix=fix)]
    found = [ok("target", f"MongoDB {state.version}, {state.latency_ms} ms")]
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                found += await check(target, settings)
        except Exception as error:  # noqa: BLE001  one that fails must not hide the others
            found.append(unchecked(name, error))
    return True, found


async def suitability(target: Server, settings: Settings) -> list[Finding]:
    """See that it is a MongoDB, and that every collection can be a target."""
    if foreign := suitable.foreign(await target.ask({"buildInfo": 1})):
        why = "it answers most of MongoDB's commands, and not all of them as MongoDB does"
        return [critical("suitability", foreign, why=why, fix=suitable.NOT_MONGODB)]
    found = await suitable.look(target.ask, settings.entities, settings.target.control_collection)
    why = "the worker does not start: documents would be lost, doubled or taken for one another"
    return [
        critical("suitability", one, why=why, fix=f"set {setting} (a name that is free), then `syncline install`")
        for one, setting in found.items()
    ] or [ok("suitability", "every collection can be a target")]


async def replica_set(target: Server, settings: Settings) -> list[Finding]:  # noqa: ARG001
    """Ask the members what state they are in, as far as this user may."""
    hello = await target.ask({"hello": 1}, admin=True)
    if not hello.get("setName"):
        return sets.judge(hello)
    status = await _allowed(target, {"replSetGetStatus": 1})
    return sets.judge(hello, status, await _allowed(target, {"replSetGetConfig": 1}))


async def _allowed(target: Server, command: Mapping[str, Any]) -> Mapping[str, Any] | None:
    try:
        return await target.ask(command, admin=True)
    except SynclineError:
        return None


async def write_concern(target: Server, settings: Settings) -> list[Finding]:
    """Try a write that matches nothing, at the concern that workers use."""
    collection = settings.target.control_collection
    command = {"update": collection, "updates": [{"q": _NOTHING, "u": {"$set": {"x": 1}}}], "writeConcern": _DURABLE}
    try:
        reply = await target.ask(command)
    except SynclineError as error:
        if _code(error) == _FORBIDDEN:
            return []  # the check of the privileges says so
        return [_undurable(error.message)]
    if failed := reply.get("writeConcernError"):
        return [_undurable(f"write concern not met: {failed.get('errmsg')}")]
    return [ok("write concern", "writes are acknowledged by a majority, journaled")]


def _undurable(message: str) -> Finding:
    return critical(
        "write concern",
        message,
        why="no write is known to last: the worker waits, and the queue grows",
        fix="mongosh --eval 'rs.status()'  # start the members that are down; run mongod with its journal",
    )


async def target_privileges(target: Server, settings: Settings) -> list[Finding]:
    """See that this user may do what a worker does, by its privileges or, where they are not told, by trying."""
    collections = [settings.target.control_collection, *dict.fromkeys(e.collection for e in settings.entities)]
    answer = await _allowed(target, {"connectionStatus": 1, "showPrivileges": True})
    who = (answer or {}).get("authInfo", {})
    if answer and who.get("authenticatedUsers"):
        lacking = lacks(who.get("authenticatedUserPrivileges", ()), settings.target.database, collections)
    else:
        refused = await concurrently(lambda name: _refused(target, name), collections)
        lacking = [text for texts in refused for text in texts]
    if not lacking:
        return [ok("target privileges", "this user may do what a worker does")]
    user = next((one["user"] for one in who.get("authenticatedUsers", ())), "USER")
    grant = f'db.grantRolesToUser("{user}", [{{role: "readWrite", db: "{settings.target.database}"}}])'
    return [
        critical(
            "target privileges",
            f"this user lacks {names(lacking)}",
            why="the worker waits until it may; nothing is parked for it, and nothing arrives",
            fix=f"mongosh admin --eval '{grant}'",
        )
    ]


def lacks(privileges: Sequence[Mapping[str, Any]], database: str, collections: Sequence[str]) -> list[str]:
    """List what is needed and not in the privileges that ``connectionStatus`` shows."""
    return [
        f"{action} on {database}.{name}"
        for name in collections
        for action in NEEDED
        if not any(action in one["actions"] and _covers(one["resource"], database, name) for one in privileges)
    ]


def _covers(resource: Mapping[str, Any], database: str, collection: str) -> bool:
    if resource.get("anyResource"):
        return True
    matches = resource.get("db") in ("", database) and resource.get("collection") in ("", collection)
    return matches and not resource.get("cluster", False)


async def _refused(target: Server, collection: str) -> list[str]:
    commands: Mapping[str, Mapping[str, Any]] = {
        "find": {"find": collection, "filter": _NOTHING},
        "update": {"update": collection, "updates": [{"q": _NOTHING, "u": {"$set": {"x": 1}}}]},
        "remove": {"delete": collection, "deletes": [{"q": _NOTHING, "limit": 1}]},
    }
    refused = []
    for action, command in commands.items():
        try:
            await target.ask(command)
        except SynclineError as error:
            if _code(error) != _FORBIDDEN:
                raise
            refused.append(f"{action} on {collection}")
    return refused


async def target_url(target: Server, settings: Settings) -> list[Finding]:
    """Look for options of the URL that do not go with a synchronisation."""
    options = {name.lower(): value for name, value in parse_qsl(settings.target.url.partition("?")[2])}
    found = []
    preference = options.get("readpreference", "primary")
    if preference != "primary":
        found.append(
            warning(
                "target url",
                f"the URL of [target] says readPreference={preference}",
                why="secondaries show older documents: verify would take them for different, or wait for them",
                fix="take readPreference out of `url` of [target]",
            )
        )
    direct = options.get("directconnection", "false").lower() == "true"
    if direct and (await target.ask({"hello": 1}, admin=True)).get("setName"):
        found.append(
            warning(
                "target url",
                "the URL of [target] says directConnection=true, and the server is a member of a replica set",
                why="after a failover the worker would stay with a member that takes no writes",
                fix="take directConnection out of `url` of [target], and name every member in it",
            )
        )
    return found or [ok("target url", "has no option that is in the way")]


async def clock(target: Server, settings: Settings) -> list[Finding]:  # noqa: ARG001
    """Compare this host's clock with the target's, if it tells."""
    before = time.time()
    told = (await target.ask({"hello": 1}, admin=True)).get("localTime")
    after = time.time()
    if told is None:
        return []
    skew = told.replace(tzinfo=UTC).timestamp() - (before + after) / 2
    if abs(skew) <= SKEW_SECONDS + (after - before) / 2:
        return [ok("clock", f"this host and the target differ by {abs(skew):.1f} s")]
    return [
        warning(
            "clock",
            f"this host is {abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} the target",
            why="documents expire (TTL indexes) by the target's clock and carry `_syncedAt` by the worker's",
            fix="timedatectl set-ntp true  # on both hosts",
        )
    ]


async def indexes(target: Server, settings: Settings) -> list[Finding]:
    """Compare declared indexes with those that are there, and whether they are unique."""
    missing, plain = [], []
    indexed = [entity for entity in settings.entities if entity.indexes]
    found_there = await concurrently(lambda entity: _present(target, entity.collection), indexed)
    for entity, present in zip(indexed, found_there, strict=True):
        for index in entity.indexes:
            known = present.get(stored_keys(index))
            if known is None:
                missing.append(_named(entity.collection, index))
            elif index.unique and not known.get("unique"):
                plain.append((entity.collection, known["name"]))
    found = [
        critical(
            "indexes",
            f"{collection}: the index {name} is declared unique and is not",
            why="the worker does not start: it cannot create what is declared",
            fix=f"mongosh {settings.target.database} --eval 'db.{collection}.dropIndex(\"{name}\")' && syncline worker",
        )
        for collection, name in plain
    ]
    if missing:
        why = "queries scan the collection, unique values are not kept unique"
        fix = "syncline worker  # creates them when it starts; restart one that runs"
        found.append(warning("indexes", f"declared but missing: {names(missing)}", why=why, fix=fix))
    return found or [ok("indexes", "every declared index exists")]


async def _present(target: Server, collection: str) -> Mapping[StoredKeys, Mapping[str, Any]]:
    try:
        reply = await target.ask({"listIndexes": collection, "cursor": {"batchSize": 1000}})
    except SynclineError as error:
        if _code(error) == _NO_SUCH_COLLECTION:
            return {}
        raise
    present = reply["cursor"]["firstBatch"]
    return {(tuple(index["key"].items()), frozenset(index.get("weights", ()))): index for index in present}


def _named(collection: str, index: Index) -> str:
    return f"{collection}({', '.join(field for field, _ in index.keys)})"


def _code(error: SynclineError) -> int | None:
    return getattr(error.__cause__, "code", None)


CHECKS: tuple[Callable[[Server, Settings], Awaitable[list[Finding]]], ...] = (
    suitability,
    replica_set,
    write_concern,
    target_privileges,
    target_url,
    clock,
    indexes,
    *target_use.CHECKS,
)
