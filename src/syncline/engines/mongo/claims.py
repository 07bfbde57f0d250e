"""Whose collections these are: one link writes a collection, of whichever file, installation, control collection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from syncline.errors import UnsuitableTargetError
from syncline.model.entity import Entity
from syncline.model.link import Link
from syncline.ports import same_system

COLLECTION = "_syncline.claims"
"""One document for each control collection; no link's own can have this name."""
_FORBIDDEN = 13


@dataclass(frozen=True, slots=True)
class Claim:
    """What a link writes."""

    link: str
    """Its tag."""
    system: str
    """The source: its cluster and database."""
    collections: Sequence[str]


def claim_of(link: str, system: str, entities: Sequence[Entity]) -> Claim:
    """Say what a link is going to write; ``system`` may be followed by when its server was started."""
    return Claim(link, system.partition(" ")[0], [one.collection for one in entities])


class Claims:
    """The claims in one database. Where the user may not read or write them, nothing is known and nothing noted."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]], control: str) -> None:
        self._records: AsyncCollection[dict[str, Any]] = database[COLLECTION]
        self._control = control

    async def require_free(self, mine: Claim) -> None:
        """See that no other link writes one of these collections.

        Raises:
            UnsuitableTargetError: one does.

        """
        async for control, theirs in self._others(mine):
            if both := sorted({*mine.collections} & {*theirs.collections}):
                link = Link("" if theirs.link == Link().tag else theirs.link)
                raise UnsuitableTargetError(
                    f"{both[0]} in the target is written by {link} of the source {theirs.system} already",
                    hint="one link writes a collection: name another one by `collection`, or take it out of that link "
                    f"and start its worker; if that link is gone for good: db.getCollection({COLLECTION!r})"
                    f".deleteOne({{_id: {control!r}}}) in the target",
                )

    async def take(self, mine: Claim) -> None:
        """Note what a link writes, for others to read: of two that want one collection at once, one at most gets it.

        Raises:
            UnsuitableTargetError: another link writes one of these collections.

        """
        await self.require_free(mine)
        record = {"link": mine.link, "system": mine.system, "collections": [*mine.collections]}
        before = None
        try:
            before = await self._records.find_one_and_replace({"_id": self._control}, record, upsert=True)
            await self.require_free(mine)
        except OperationFailure as error:
            if error.code != _FORBIDDEN:
                raise
        except UnsuitableTargetError:
            await (self.release() if before is None else self._records.replace_one({"_id": self._control}, before))
            raise

    async def noted(self) -> Sequence[str] | None:
        """Give the collections that are noted as the link's; ``None``: nothing is, or may be read."""
        try:
            found = await self._records.find_one({"_id": self._control})
        except OperationFailure as error:
            if error.code != _FORBIDDEN:
                raise
            return None
        return None if found is None else tuple(found["collections"])

    async def release(self) -> None:
        """Forget what the link has written."""
        await self._records.delete_one({"_id": self._control})

    async def _others(self, mine: Claim) -> AsyncIterator[tuple[str, Claim]]:
        try:
            found = await self._records.find({"_id": {"$ne": self._control}}).to_list()
        except OperationFailure as error:
            if error.code != _FORBIDDEN:
                raise
            return
        for one in found:
            named = one.get("collections")  # somebody may have edited it
            collections = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
            theirs = Claim(str(one.get("link")), str(one.get("system")), collections)
            if not (theirs.link == mine.link and same_system(theirs.system, mine.system)):
                yield str(one["_id"]), theirs
