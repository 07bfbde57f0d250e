"""Opening the switch of a collection: the one place where its sides, its links and its readers are put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial

from syncline.config.documents import Documents
from syncline.config.urls import without_pooler
from syncline.documents.opening import opened
from syncline.engines.mongo.gates import MongoBackGate
from syncline.phases.changing import Control
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.in_postgresql import InPostgreSQL
from syncline.phases.phase import Phase
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB
from syncline.phases.switching.link import CollectionLink
from syncline.phases.switching.readers import PhaseReaders
from syncline.phases.switching.sides import MONGODB, POSTGRESQL, MongoSide, PostgresSide, asked, gate_name
from syncline.phases.way_back import WayBack
from syncline.postgres.bounded import SOURCE_SILENT_SECONDS, bounded
from syncline.split.address import POOL_SIZE, POOL_TIMEOUT_SECONDS, Address
from syncline.split.switching.gate import Mode
from syncline.split.switching.install import install
from syncline.split.switching.journal import LEASE, Journal
from syncline.split.switching.move import Move

FOLLOWER = "syncline worker"
_CONNECT_SECONDS = 5
_LIMITS = ("connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")


@asynccontextmanager
async def opened_switch(documents: Documents, collection: str, *, lease: timedelta = LEASE) -> AsyncIterator[Move]:
    """Open what a coordinator of a collection works with, for a block.

    Args:
        documents: the declaration.
        collection: the collection.
        lease: how long a coordinator may be silent before another one takes over.

    """
    address, name = address_of_target(documents), gate_name(collection)
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(opened(documents))
        mongodb = InMongoDB(documents.url("source"))
        stack.callback(mongodb.close)
        postgresql = InPostgreSQL(documents.url("target"))
        stack.callback(postgresql.close)
        gates, control = GatesInMongoDB(mongodb), Control(mongodb, postgresql, Phase.OFF)
        sides = MongoSide(collection, gates), PostgresSide(name, POSTGRESQL, address)
        back = WayBack(documents, MongoBackGate(link.database))
        carrying = CollectionLink(collection, link, back, mongodb=sides[0], postgresql=sides[1], gates=gates)
        readers, journal = PhaseReaders(collection, control, gates), Journal(name, address, lease=lease)
        stack.push_async_callback(readers.aclose)
        move = Move(collection, {MONGODB: sides[0], POSTGRESQL: sides[1]}, journal, carrying, readers, FOLLOWER)
        stack.push_async_callback(move.aclose)
        stack.push_async_callback(carrying.aclose)
        yield move


async def prepare(documents: Documents, collections: Sequence[str]) -> None:
    """Put gates and way back in place: MongoDB serves, PostgreSQL is the link's. What is there stays as it is.

    Raises:
        TableLockedError: a transaction holds a table, and does not end; run it again.
        PrivilegeError: the role may not create the schema, or does not own a table.

    """
    mongodb = InMongoDB(documents.url("source"))
    try:
        async with opened(documents) as link:
            await WayBack(documents, MongoBackGate(link.database)).install()
            for collection in collections:
                await asked(partial(GatesInMongoDB(mongodb).begin, collection))
                side = PostgresSide(gate_name(collection), POSTGRESQL, address_of_target(documents))
                tables = [table.name for table in link.mapping(collection).tables]
                try:
                    await install(side, Mode.LINK, tables, journal=MONGODB)
                finally:
                    await side.aclose()
    finally:
        mongodb.close()


def address_of_target(documents: Documents) -> Address:
    """Give the PostgreSQL of a declaration, past a pooler; nobody waits for ever for one that is gone."""
    url, _ = without_pooler(documents.url("target"))
    given = bounded("", connect_seconds=_CONNECT_SECONDS, silent_seconds=SOURCE_SILENT_SECONDS)
    limits = tuple((name, str(given[name])) for name in _LIMITS)
    return Address("`url` in [target]", url, False, "public", POOL_SIZE, POOL_TIMEOUT_SECONDS, limits)
