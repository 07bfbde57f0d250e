"""What the tests of the contract share: records, batches, and the calls that send them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from syncline.model.entity import Entity, Index, TableName
from syncline.ports import Absence, Batch, Document, Report, Target

THINGS = Entity("thing", TableName("public", "things"), "things")
PEOPLE = replace(THINGS, name="person", collection="people", indexes=(Index((("email", 1),), unique=True),))
WHEN = datetime(2026, 1, 1)  # noqa: DTZ001  documents hold UTC without a zone


def document(id_: Any, v: int, /, **fields: Any) -> Document:
    """Make a record as the relay does."""
    return {"_id": id_, "_originalId": str(id_), "_source": "postgresql", "_syncedAt": WHEN, "_v": v, **fields}


def absence(id_: Any, v: int) -> Absence:
    """Make an absence as the relay does."""
    return Absence(str(id_), id_, v)


def batch_of(how: str, *documents: Document, entity: Entity = THINGS) -> Batch:
    """Make a batch of ``inserts`` or ``upserts``."""
    return Batch(entity, inserts=list(documents)) if how == "inserts" else Batch(entity, upserts=list(documents))


class Calls:
    """The calls of ``syncline.ports.Target``, short. Override ``put_foreign`` to run the tests that need it."""

    async def put_foreign(self, target: Target, entity: Entity, record: Document) -> None:  # noqa: ARG002
        """Store a record past the fence, as somebody else might."""
        pytest.skip("put_foreign is not overridden")

    async def insert(self, target: Target, *documents: Document, entity: Entity = THINGS) -> Report:
        """Send inserts."""
        return await target.apply(Batch(entity, inserts=list(documents)))

    async def upsert(self, target: Target, *documents: Document, entity: Entity = THINGS) -> Report:
        """Send upserts."""
        return await target.apply(Batch(entity, upserts=list(documents)))

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
