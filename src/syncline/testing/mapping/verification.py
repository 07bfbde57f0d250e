"""``verify`` and the independent comparison find the same damage, all of it, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from bson.objectid import ObjectId

from syncline.model.entity import Entity
from syncline.testing.mapping import messages
from syncline.testing.mapping.base import MappingCase
from syncline.testing.mapping.changes import live
from syncline.testing.mapping.comparison import OURS
from syncline.testing.mapping.pair import Pair
from syncline.verify.report import Verdict, VerifyReport

DAMAGED = "damaged by the test"
Found = set[tuple[str, str]]
"""Entity and key as text; ``_id`` where there is no key."""


class VerificationTests(MappingCase):
    """Damage is found, corrected and never invented."""

    def test_damage_to_any_field_is_found_and_corrected(self, syncline_pair: Pair) -> None:
        """Each field in turn is edited by hand in MongoDB."""
        self.play(syncline_pair, lambda pair: self._damaged(pair, edit_each_field))

    def test_lost_documents_are_found_and_brought_back(self, syncline_pair: Pair) -> None:
        """They are deleted by hand in MongoDB."""
        self.play(syncline_pair, lambda pair: self._damaged(pair, delete_some))

    def test_documents_of_nobody_are_found(self, syncline_pair: Pair) -> None:
        """They are inserted by hand in MongoDB; repair leaves them to you."""

        async def scenario(pair: Pair) -> None:
            await self._filled(pair)
            strangers = {one.name: ObjectId() for one in pair.entities}
            for one in pair.entities:
                pair.collection(one).insert_one({"_id": strangers[one.name], "name": "a stranger"})
            await self._both_find(pair, {(name, str(id_)) for name, id_ in strangers.items()})
            for one in pair.entities:
                pair.collection(one).delete_one({"_id": strangers[one.name]})
            await pair.settled()

        self.play(syncline_pair, scenario)

    def test_verify_raises_no_alarm_while_rows_change(self, syncline_pair: Pair) -> None:
        """What is only on its way is not damage."""

        async def scenario(pair: Pair) -> None:
            pair.rows.fill(self.rows_per_table)
            async with pair.worker():
                writing = asyncio.create_task(live(pair, self.steps))
                report = await pair.verify()
                await writing
                pair.fail_with(messages.of_report(report) if report.verdict is Verdict.DIVERGENT else "")
                await pair.settled()

        self.play(syncline_pair, scenario)

    async def _filled(self, pair: Pair) -> None:
        widest = max(len(table.columns) for table in pair.rows.synced)
        pair.rows.fill(max(self.rows_per_table, widest))
        async with pair.worker():
            await pair.settled()

    async def _damaged(self, pair: Pair, damage: Callable[[Pair, Entity], Iterator[str]]) -> None:
        await self._filled(pair)
        done = {(one.name, key) for one in pair.entities for key in damage(pair, one)}
        if not done:
            pytest.skip("there are no documents to damage: the `where` of every entity excludes all rows")
        await pair.repair(await self._both_find(pair, done))
        async with pair.worker():
            await pair.settled()

    async def _both_find(self, pair: Pair, damaged: Found) -> VerifyReport:
        """Both comparisons must find exactly this."""
        report = await pair.verify()
        verified = {
            (finding.entity, finding.key or str(finding.id)) for one in report.entities for finding in one.findings
        }
        compared = {(one.entity, one.key) for one in pair.differences()}
        pair.fail_with(
            _mistaken("syncline verify", damaged, verified), _mistaken("the independent comparison", damaged, compared)
        )
        return report


def edit_each_field(pair: Pair, entity: Entity) -> Iterator[str]:
    """Put something else into one field per document, a different one each time."""
    documents = list(pair.collection(entity).find().sort("_id", 1))
    names = sorted({name for document in documents for name in document if name not in OURS})
    for document, name in zip(documents, names, strict=False):
        pair.collection(entity).update_one({"_id": document["_id"]}, {"$set": {name: DAMAGED}})
        yield document["_originalId"]


def delete_some(pair: Pair, entity: Entity) -> Iterator[str]:
    """Delete every third document."""
    for document in list(pair.collection(entity).find().sort("_id", 1))[::3]:
        pair.collection(entity).delete_one({"_id": document["_id"]})
        yield document["_originalId"]


def _mistaken(who: str, damaged: Found, found: Found) -> str:
    lines = [f"  {name} [{key}]: damaged by the test and not found" for name, key in sorted(damaged - found)]
    lines += [f"  {name} [{key}]: found, but the test did nothing to it" for name, key in sorted(found - damaged)]
    return "\n".join([f"{who} is mistaken:", *lines]) if lines else ""
