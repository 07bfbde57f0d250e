"""The target: reachable, writable, durable, ours, and with its indexes."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.errors import SynclineError
from syncline.insight.checks.finding import Finding, critical, ok, warning
from syncline.insight.reach import names, ping_target
from syncline.model.entity import Entity
from syncline.targets.mongo import MongoTarget


async def examine(target: MongoTarget, entities: Sequence[Entity], installation: str | None) -> list[Finding]:
    """Run every check of the target; without a connection there is only one finding."""
    state = await ping_target(target)
    if not state.connected:
        return [
            critical(
                "target",
                f"MongoDB cannot be reached: {state.error}",
                why="changes wait in the outbox until it is back",
                fix="check `url` of [target], and that the server runs and has a primary",
            )
        ]
    found = [ok("target", f"MongoDB {state.version}, {state.latency_ms} ms"), _topology(state.details or {})]
    for check in (_writable(target), _owner(target, installation), _indexes(target, entities)):
        try:
            found.append(await check)
        except SynclineError as error:
            fix = error.hint or "check the rights of the URL's user: readWrite on the database"
            found.append(critical("target", error.message, why="the worker cannot work like this", fix=fix))
    return found


def _topology(facts: object) -> Finding:
    replica_set = facts.get("replica_set") if isinstance(facts, dict) else None
    if replica_set:
        return ok("topology", f"replica set {replica_set}: writes are acknowledged by a majority, journaled")
    return ok("topology", "standalone: writes are journaled before they count (no transactions, no failover)")


async def _writable(target: MongoTarget) -> Finding:
    await target.probe()  # majority and journaled: a server without a journal refuses it
    return ok("writable", "a durable write succeeds")


async def _owner(target: MongoTarget, installation: str | None) -> Finding:
    beat = await target.read_beat()
    if beat is None or installation is None or beat.installation == installation:
        return ok("owner", "the target is this source's" if beat else "no worker has written to the target yet")
    return critical(
        "owner",
        "the target belongs to another installation of Syncline",
        why="two sources would overwrite each other's documents; the worker refuses",
        fix="name another `database` in [target], or clean this one if its source is gone",
    )


async def _indexes(target: MongoTarget, entities: Sequence[Entity]) -> Finding:
    missing = [
        f"{entity.collection}({', '.join(field for field, _ in index.keys)})"
        for entity in entities
        for index in await target.missing_indexes(entity)
    ]
    if not missing:
        return ok("indexes", "every declared index exists")
    return warning(
        "indexes",
        f"declared but missing: {names(missing)}",
        why="queries scan the collection, unique values are not kept unique",
        fix="syncline worker creates them when it starts",
    )
