"""Whether the server is a MongoDB, and its collections can hold documents that are replaced and deleted by ``_id``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from syncline.errors import TargetError, UnsuitableTargetError
from syncline.model.entity import Entity

Ask = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
FOREIGN = ("ferretdb", "ferretdbVersion")
"""Fields of ``buildInfo`` by which FerretDB (2.x, 1.x) says what it is; its ``version`` is MongoDB's."""
NOT_MONGODB = "run MongoDB there: set `url` of [target]"
_FORBIDDEN = 13


async def require_suitable(ask: Ask, entities: Sequence[Entity], control: str) -> None:
    """Look at the server and at all collections, in two commands.

    Raises:
        UnsuitableTargetError: at least one cannot be a target; every one is named.

    """
    if server := foreign(await ask({"buildInfo": 1})):
        raise UnsuitableTargetError(server, hint=NOT_MONGODB)
    try:
        unsuitable = await look(ask, entities, control)
    except TargetError as error:
        if getattr(error.__cause__, "code", None) == _FORBIDDEN:
            return  # `listCollections` is in readWrite; without it nobody can look, and the doctor says so
        raise
    if unsuitable:
        raise UnsuitableTargetError("; ".join(unsuitable), hint=cure(unsuitable))


def foreign(build: Mapping[str, Any]) -> str | None:
    """Say what answers in MongoDB's place, judged by its ``buildInfo``."""
    if not any(field in build for field in FOREIGN):
        return None
    about = build.get("ferretdb")
    version = about.get("version") if isinstance(about, Mapping) else build.get("ferretdbVersion")
    named = f"FerretDB {version}" if version else "FerretDB"
    return f"the target is {named}, no MongoDB: it cannot keep what Syncline promises"


async def look(ask: Ask, entities: Sequence[Entity], control: str) -> dict[str, str]:
    """Find what cannot be a target: a sentence for each, and the setting that names another collection."""
    settings = {control: ("[target]", f'`control_collection = "{control}_2"` in [target]')}
    for entity in entities:
        setting = f'`collection = "{entity.collection}_2"` in [entities.{entity.name}]'
        settings[entity.collection] = (f"entity {entity.name}", setting)
    command = {"listCollections": 1, "filter": {"name": {"$in": list(settings)}}}
    reply = await ask({**command, "cursor": {"batchSize": len(settings) + 1}})
    found = {}
    for info in reply["cursor"]["firstBatch"]:
        if why := _unsuitable(info):
            who, setting = settings[info["name"]]
            found[f"{who}: the collection {info['name']} {why}"] = setting
    return found


def cure(unsuitable: Mapping[str, str]) -> str:
    """Say what to do about the first; it is the same for each."""
    return f"set {next(iter(unsuitable.values()))} (a name that is free), then `syncline install`"


def _unsuitable(info: Mapping[str, Any]) -> str | None:
    options = info.get("options", {})
    if info.get("type") == "view":
        return "is a view: nobody can write to it"
    if info.get("type") == "timeseries":
        return "is a time series: its documents cannot be replaced, each write would add one"
    if options.get("capped"):
        return "is capped: the server drops its oldest documents by itself"
    locale = options.get("collation", {}).get("locale", "simple")
    if locale != "simple":
        return f"has a default collation ({locale}): it would take different keys for one"
    return None
