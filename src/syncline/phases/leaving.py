"""What changes of sides have left in PostgreSQL, and its end: gates before tables, and the capture of the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from syncline.config.documents import Documents
from syncline.documents.opening import DocumentLink
from syncline.engines.mongo.gates import APPLICATION, Gate, MongoBackGate
from syncline.errors import PhaseError
from syncline.model.entity import TableName
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.phase import Phase
from syncline.phases.standing import Standings
from syncline.phases.switching.opening import address_of_target
from syncline.phases.switching.sides import POSTGRESQL, PostgresSide, asked, gate_name
from syncline.phases.way_back import WayBack
from syncline.postgres.sql import blocks
from syncline.split.switching.install import uninstall


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What is there."""

    gates: Sequence[str]
    """Collections whose tables have a gate."""
    captured: bool
    """The way back is installed."""

    @property
    def summary(self) -> list[str]:
        """Say what ``leave`` does, a line a step."""
        found = [f"remove the gate of the tables of {name}" for name in self.gates]
        return found + (["end the capture of rows for the way back"] if self.captured else [])


async def leftovers(documents: Documents, link: DocumentLink) -> Leftovers:
    """Look at what is there; nothing is changed.

    Raises:
        PhaseError: a collection is written in PostgreSQL, and MongoDB follows: its documents would be old from then on.

    """
    mongodb = InMongoDB(documents.url("source"))
    try:
        standings, gates = await asked(mongodb.read_all)
    finally:
        mongodb.close()
    _require_left(link.collections, standings, gates)
    async with AsyncExitStack() as stack:
        sides = {name: _side(documents, name, stack) for name in link.collections}
        found = [name for name, side in sides.items() if await _is_guarded(side)]
    return Leftovers(found, await WayBack(documents, MongoBackGate(link.database)).is_installed())


async def leave(documents: Documents, link: DocumentLink, found: Leftovers) -> None:
    """Take it away; whoever may write the tables may do so from then on.

    Raises:
        TableLockedError: a transaction holds a table, and does not end; run it again.

    """
    async with AsyncExitStack() as stack:
        for name in found.gates:
            side = _side(documents, name, stack)
            tables = [table.name for table in link.mapping(name).tables]
            await uninstall(side, [table for table in tables if await _is_there(side, table)])
    if found.captured:
        await WayBack(documents, MongoBackGate(link.database)).leave()


def _require_left(collections: Sequence[str], standings: Standings, gates: Mapping[str, Gate]) -> None:
    for name in collections:
        gate, standing = gates.get(name), standings.get(name)
        over = standing is not None and standing.phase is Phase.COMPLETE
        if gate is not None and gate.mode != APPLICATION and not over:
            raise PhaseError(
                f"{name} is written in PostgreSQL, and MongoDB follows by what would be removed",
                hint=f"`syncline phase back {name}` first, or `syncline phase advance {name}` to complete",
            )


def _side(documents: Documents, collection: str, stack: AsyncExitStack) -> PostgresSide:
    side = PostgresSide(gate_name(collection), POSTGRESQL, address_of_target(documents))
    stack.push_async_callback(side.aclose)
    return side


async def _is_guarded(side: PostgresSide) -> bool:
    if not await side.session.rows(_sql("has_gates"), {}):
        return False
    return bool(await side.session.rows(_sql("guarded"), {"name": side.move}))


async def _is_there(side: PostgresSide, table: TableName) -> bool:
    return bool(await side.session.rows(_sql("table"), {"schema": table.schema, "name": table.name}))


def _sql(name: str) -> str:
    return blocks("switching.sql", "syncline.phases.switching")[name]
