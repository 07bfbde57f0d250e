"""What the tests of the contract share: records, batches, and the calls that send them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from syncline.model.entity import Entity, Index, TableName
from syncline.model.fields import RESERVED
from syncline.ports import Absence, Batch, Document, Report, State, Target

THINGS = Entity("thing", TableName("public", "things"), "things")
PEOPLE = replace(THINGS, name="person", collection="people", indexes=(Index((("email", 1),), unique=True),))
WHEN = datetime(2026, 1, 1)  # noqa: DTZ001  documents hold UTC without a zone


def document(id_: Any, v: int, /, **fields: Any) -> Document:
    """Make a record as it is stored."""
    return {"_id": id_, "_originalId": str(id_), "_source": "postgresql", "_syncedAt": WHEN, "_v": v, **fields}


def state(document: Document) -> State:
    """Make the state that is stored as this record."""
    body = {name: value for name, value in document.items() if name not in RESERVED or name == "_id"}
    return State(document["_originalId"], document["_id"], document["_v"], body)


def absence(id_: Any, v: int) -> Absence:
    """Make an absence as the relay does."""
    return Absence(str(id_), id_, v)


def batch_of(how: str, *documents: Document, entity: Entity = THINGS) -> Batch:
    """Make a batch of ``inserts`` or ``upserts``."""
    batch = Batch(entity, source="postgresql", read_at=WHEN)
    (batch.inserts if how == "inserts" else batch.upserts).extend(map(state, documents))
    return batch


class Calls:
    """The calls of ``syncline.ports.Target``, short. Override ``put_foreign`` to run the tests that need it."""

    async def put_foreign(self, target: Target, entity: Entity, record: Document) -> None:  # noqa: ARG002
        """Store a record past the fence, as somebody else might."""
        pytest.skip("put_foreign is not overridden")

    async def insert(self, target: Target, *documents: Document, entity: Entity = THINGS) -> Report:
        """Send inserts."""
        return await target.apply(batch_of("inserts", *documents, entity=entity))

    async def upsert(self, target: Target, *documents: Document, entity: Entity = THINGS) -> Report:
        """Send upserts."""
        return await target.apply(batch_of("upserts", *documents, entity=entity))

    async def delete(self, target: Target, *absences: Absence, entity: Entity = THINGS) -> Report:
        """Send deletes."""
        return await target.apply(Batch(entity, deletes=list(absences)))

    async def stored(self, target: Target, id_: Any, entity: Entity = THINGS) -> Document | None:
        """Read one record."""
        found = await target.read(entity, [id_])
        assert len(found) <= 1
        return found[0] if found else None

    async def everything(self, target: Target, entity: Entity = THINGS, **options: Any) -> list[Any]:
        """Walk and list the ids."""
        return [record["_id"] async for page in target.walk(entity, **options) for record in page]
