"""A side was restored from a backup: what was carried since is missing there, and nothing is marked. It begins anew."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from syncline.config.documents import Documents
from syncline.documents.opening import opened
from syncline.documents.taking_over import adopt
from syncline.engines.mongo.gates import MongoBackGate
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.in_postgresql import InPostgreSQL
from syncline.phases.phase import Phase
from syncline.phases.standing import highest
from syncline.phases.switching.opening import opened_switch, prepare
from syncline.phases.switching.sides import POSTGRESQL
from syncline.phases.way_back import WayBack
from syncline.split.switching.finishing import finish

PAUSE = timedelta(seconds=30)
"""How long writers may be refused where a gate is not as it was left: one of both sides serves anyway."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done."""

    forward: tuple[str, ...]
    """Collections whose documents are written anew to PostgreSQL."""
    marked: int
    """How many documents that are."""
    back: tuple[str, ...]
    """Collections whose rows are written anew to MongoDB: PostgreSQL is their truth."""


async def begin_anew(documents: Documents) -> Restored:
    """Go on after a restore of either side: whichever it was, the truth of each collection is written anew.

    Raises:
        SynclineError: a side does not answer, or a gate cannot be changed; call it again.

    """
    phases = await asyncio.to_thread(_agreed, documents)
    ahead = [name for name, phase in phases.items() if phase is Phase.LIVE]
    back = await _settled(documents, ahead) if ahead else []
    apart = {name for name, phase in phases.items() if phase is Phase.COMPLETE}  # nobody follows there
    async with opened(documents) as link:
        forward = [name for name in link.collections if name not in back and name not in apart]
        marked = await adopt(link, forward)
        if back:
            await WayBack(documents, MongoBackGate(link.database)).bring_all(back)
        return Restored(tuple(forward), marked, tuple(back))


def _agreed(documents: Documents) -> dict[str, Phase]:
    """Have both databases say of the phases what the one says that was not restored; the higher number is right.

    Returns:
        The phases of the declared collections, by that.

    """
    mongodb, postgresql = InMongoDB(documents.url("source"), seconds=5), InPostgreSQL(documents.url("target"))
    try:
        postgresql.prepare()
        said = highest([mongodb.read(), postgresql.read()])
        mongodb.put(said)
        mongodb.renew()
        postgresql.put(said)
    finally:
        mongodb.close()
        postgresql.close()
    declared = [mapping.collection.name for mapping in documents.mappings]
    return {name: said[name].phase for name in declared if name in said}


async def _settled(documents: Documents, collections: Sequence[str]) -> list[str]:
    """Have the gates of both sides fit each other again: that of the side that was restored may be of another time.

    Returns:
        The collections that PostgreSQL serves. A PostgreSQL of before it was opened does not: MongoDB does, which has
        what was written since.

    """
    await prepare(documents, collections)
    serves = []
    for name in collections:
        async with opened_switch(documents, name) as move:
            if (await finish(move, pause=PAUSE)).serving == POSTGRESQL:
                serves.append(name)
    return serves
