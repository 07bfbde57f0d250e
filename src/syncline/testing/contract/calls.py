"""What the tests of the contract share: records, batches, and the calls that send them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from syncline.model.entity import Entity, Index, TableName
from syncline.model.fields import RESERVED
from syncline.ports import Absence, Batch, Document, Fence, Report, State, Target

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

    fence = Fence.RECORD
    """Of the targets that this suite is for."""
    things, people, pairs = THINGS, PEOPLE, THINGS
    """Records; such with a unique ``email``; such whose key has two parts, ``a`` and ``b``."""
    taken = "email_1"
    """The name of what makes ``email`` unique."""

    async def test_the_suite_is_the_one_for_the_targets_fence(self, target: Target) -> None:
        """What another suite promises is not left out by using this one."""
        assert target.fence is self.fence

    async def batch(
        self,
        target: Target,  # noqa: ARG002
        how: str,
        *documents: Document,
        entity: Entity | None = None,
    ) -> Batch:
        """Make a batch of ``inserts`` or ``upserts``, for a target that is ready for it."""
        return batch_of(how, *documents, entity=entity or self.things)

    async def absences(self, target: Target, *absences: Absence, entity: Entity | None = None) -> Batch:  # noqa: ARG002
        """Make a batch of deletes."""
        return Batch(entity or self.things, deletes=list(absences))

    def as_read(self, document: Document) -> Document:
        """Say how the target reads a record that was written."""
        return document

    def key(self, id_: Any) -> Any:
        """Say what a record's key is to the target."""
        return id_

    def id(self, key: Any) -> Any:
        """Say which record's key it is."""
        return key

    async def put_foreign(self, target: Target, entity: Entity, record: Document) -> None:  # noqa: ARG002
        """Store a record past the fence, as somebody else might."""
        pytest.skip("put_foreign is not overridden")

    async def insert(self, target: Target, *documents: Document, entity: Entity | None = None) -> Report:
        """Send inserts."""
        return await target.apply(await self.batch(target, "inserts", *documents, entity=entity))

    async def upsert(self, target: Target, *documents: Document, entity: Entity | None = None) -> Report:
        """Send upserts."""
        return await target.apply(await self.batch(target, "upserts", *documents, entity=entity))

    async def delete(self, target: Target, *absences: Absence, entity: Entity | None = None) -> Report:
        """Send deletes."""
        return await target.apply(await self.absences(target, *absences, entity=entity))

    async def stored(self, target: Target, id_: Any, entity: Entity | None = None) -> Document | None:
        """Read one record."""
        found = await target.read(entity or self.things, [self.key(id_)])
        assert len(found) <= 1
        return found[0] if found else None

    async def everything(self, target: Target, entity: Entity | None = None, **options: Any) -> list[Any]:
        """Walk and list the ids."""
        options |= {name: self.key(options[name]) for name in ("after", "until") if name in options}
        pages = target.walk(entity or self.things, **options)
        return [self.id(record["_id"]) async for page in pages for record in page]
