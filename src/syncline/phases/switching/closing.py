"""Closing MongoDB for good, where collections are in the phase complete."""

from __future__ import annotations

import asyncio

from syncline.config.documents import Documents
from syncline.documents.opening import opened
from syncline.engines.mongo.gates import MongoBackGate
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB
from syncline.phases.way_back import WayBack


async def close_for_good(documents: Documents) -> None:
    """End the capture of the declared collections' rows, and let nobody write them in MongoDB, the link neither.

    MongoDB is closed last: where it is, nothing is left to do, and a way back that is installed again stays.
    """
    async with opened(documents) as link:
        await WayBack(documents, MongoBackGate(link.database)).leave()
    mongodb = InMongoDB(documents.url("source"))
    try:
        gates = GatesInMongoDB(mongodb)
        for mapping in documents.mappings:
            name = mapping.collection.name
            await asyncio.to_thread(gates.close_for_good, name)
    finally:
        mongodb.close()
