"""Another declaration of collections that PostgreSQL serves: their rows are written anew, and come back to MongoDB."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from syncline.config.documents import Documents
from syncline.documents.opening import DocumentLink
from syncline.engines.mongo.gates import MongoBackGate
from syncline.engines.postgres.documents.remapping import Remapping
from syncline.model.documents import DocumentMapping
from syncline.phases.switching.opening import address_of_target
from syncline.phases.switching.sides import MONGODB, POSTGRESQL, PostgresSide, gate_name
from syncline.phases.way_back import WayBack
from syncline.split.switching.gate import Mode
from syncline.split.switching.install import install


@dataclass(frozen=True, slots=True)
class Rewriting:
    """How far a collection is."""

    collection: str
    documents: int
    """Written anew so far."""
    finished: bool = False


async def redeclare(
    documents: Documents,
    link: DocumentLink,
    was: Mapping[str, DocumentMapping],
    told: Callable[[Rewriting], None] = lambda _: None,
) -> int:
    """Go over to the declaration of now; stopped anywhere, it is called again.

    Tables that are new get the gate and the capture first: nobody writes them past these.

    Args:
        documents: the declaration of now.
        link: both sides.
        was: the collections, and under which declaration their rows are written.
        told: called after each page of documents, and at the end of a collection.

    Returns:
        How many documents there are.

    Raises:
        MappingError: a document cannot be rows of it; nothing of its collection is changed.
        TargetGateError: a collection changes sides.
        TableLockedError: a transaction holds a table, and does not end; run it again.

    """
    done = 0
    for name, before in was.items():
        now = link.mapping(name)
        side = PostgresSide(gate_name(name), POSTGRESQL, address_of_target(documents))
        try:
            await install(side, Mode.LINK, [table.name for table in now.tables], journal=MONGODB)
        finally:
            await side.aclose()
        way = WayBack(documents.only([name]), MongoBackGate(link.database))
        if await way.captures(name):
            await way.install()
        remapping = Remapping(documents.url("target"), before, now)

        async def on_page(count: int, name: str = name) -> None:
            told(Rewriting(name, count))

        try:
            count = await remapping.run(on_page)
            told(Rewriting(name, count, finished=True))
            done += count
        finally:
            await remapping.close()
    return done
