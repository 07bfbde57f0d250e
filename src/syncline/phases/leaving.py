"""What changes of sides have left in PostgreSQL, and its end: gates before tables, and the capture of the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from syncline.config.documents import Documents
from syncline.documents.opening import DocumentLink
from syncline.engines.mongo.gates import APPLICATION, Gate, MongoBackGate
from syncline.errors import PhaseError
from syncline.model.entity import TableName
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.phase import Phase
from syncline.phases.standing import Standings
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB
from syncline.phases.switching.opening import address_of_target
from syncline.phases.switching.sides import POSTGRESQL, PostgresSide, asked, gate_name
from syncline.phases.way_back import WayBack
from syncline.postgres.sql import blocks
from syncline.split.switching.gate import Session
from syncline.split.switching.install import uninstall


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What is there."""

    gates: Sequence[str]
    """Collections whose tables have a gate."""
    captured: bool
    """The way back is installed."""
    validated: Sequence[str] = ()
    """Collections with our validator."""

    @property
    def summary(self) -> list[str]:
        """Say what ``leave`` does, a line a step."""
        found = [f"remove the gate of the tables of {name}" for name in self.gates]
        found += [f"take our validator from the collection {name}; your own is as it was" for name in self.validated]
        return found + (["end the capture of rows for the way back"] if self.captured else [])


async def leftovers(documents: Documents, link: DocumentLink) -> Leftovers:
    """Look at what is there; nothing is changed.

    Raises:
        PhaseError: a collection is written in PostgreSQL, and MongoDB follows, or it is read from PostgreSQL in a ramp:
            what is read would be old from then on.

    """
    mongodb = InMongoDB(documents.url("source"))
    try:
        standings, gates = await asked(mongodb.read_all)
        validated = await asked(partial(GatesInMongoDB(mongodb).validated, link.collections))
    finally:
        mongodb.close()
    _require_left(link.collections, standings, gates)
    found = await _guarded(documents, link.collections)
    installed = await WayBack(documents, MongoBackGate(link.database)).is_installed()
    return Leftovers(found, installed, tuple(validated))


async def leave(documents: Documents, link: DocumentLink, found: Leftovers) -> None:
    """Take it away; whoever may write the tables may do so from then on.

    Raises:
        TableLockedError: a transaction holds a table, and does not end; run it again.

    """
    await asked(partial(without_validators, documents, found.validated))
    for name in found.gates:
        side = PostgresSide(gate_name(name), POSTGRESQL, address_of_target(documents))
        try:
            tables = [table.name for table in link.mapping(name).tables]
            await uninstall(side, [table for table in tables if await _is_there(side, table)])
        finally:
            await side.aclose()
    if found.captured:
        await WayBack(documents, MongoBackGate(link.database)).leave()


def without_validators(documents: Documents, collections: Sequence[str]) -> None:
    """Take our validators from collections; who does not ask the gate may write them again. Blocking."""
    mongodb = InMongoDB(documents.url("source"))
    try:
        for name in collections:
            GatesInMongoDB(mongodb).without_validator(name)
    finally:
        mongodb.close()


def _require_left(collections: Sequence[str], standings: Standings, gates: Mapping[str, Gate]) -> None:
    for name in collections:
        gate, standing = gates.get(name), standings.get(name)
        over = standing is not None and standing.phase is Phase.COMPLETE
        if gate is not None and gate.mode != APPLICATION and not over:
            raise PhaseError(
                f"{name} is written in PostgreSQL, and MongoDB follows by what would be removed",
                hint=f"`syncline phase back {name}` first, or `syncline phase advance {name}` to complete",
            )
        if standing is not None and standing.phase is Phase.RAMP:
            raise PhaseError(
                f"{name} is read from PostgreSQL, to which nothing would be carried any more",
                hint=f"`syncline phase back {name}` first: MongoDB answers then",
            )


async def _guarded(documents: Documents, collections: Sequence[str]) -> list[str]:
    """Name those whose tables have a gate."""
    session = Session(address_of_target(documents))
    try:
        if not await session.rows(_sql("has_gates"), {}):
            return []
        names = {gate_name(name): name for name in collections}
        found = {row[0] for row in await session.rows(_sql("guarded"), {"names": list(names)})}
    finally:
        await session.aclose()
    return [name for gate, name in names.items() if gate in found]


async def _is_there(side: PostgresSide, table: TableName) -> bool:
    return bool(await side.session.rows(_sql("table"), {"schema": table.schema, "name": table.name}))


def _sql(name: str) -> str:
    return blocks("switching.sql", "syncline.phases.switching")[name]
