"""What a process has written and left to the worker: until it is carried, PostgreSQL does not answer for it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from syncline.model.strict_bson import encoded
from syncline.ports.document_writes import WritableDocuments
from syncline.ports.documents import Fate, MarkedDocument, Outcome

_MOST = 10_000
"""So many documents of a collection are known one by one; beyond it, all marks of the collection count."""
_AT_ONCE = 20
"""So many are looked for in one question."""
_SECONDS = 1.0
"""Between two counts of all marks."""


class Left:
    """By collection, the documents that were written in MongoDB, and not in PostgreSQL before the call returned."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, dict[bytes, tuple[Any, str]]] = defaultdict(dict)
        self._many: dict[str, float] = {}
        """When all marks may be counted next."""

    def note(self, collection: str, documents: Sequence[MarkedDocument], outcomes: Mapping[str, Outcome]) -> None:
        """Note those that are not in PostgreSQL: late, refused, rejected, or never sent."""
        waiting = self._waiting[collection]
        for one in documents:
            if one.mark not in outcomes or outcomes[one.mark].fate is not Fate.APPLIED:
                waiting[encoded({"": one.id})] = one.id, one.mark
        if len(waiting) > _MOST:
            waiting.clear()
            self._many[collection] = 0.0

    def is_empty(self, collection: str) -> bool:
        """Whether nothing is noted; nobody is asked."""
        return not self._waiting.get(collection) and collection not in self._many

    async def is_behind(self, collection: str, writes: WritableDocuments) -> bool:
        """Ask MongoDB whether something that is noted still has a mark, whoever's it is by now."""
        if collection in self._many and await self._marked(collection, writes):
            return True
        waiting = self._waiting[collection]
        for key, noted in [*waiting.items()][:_AT_ONCE]:
            standing = await writes.standing(collection, noted[0])
            if standing is not None and standing.mark is not None:
                return True
            if waiting.get(key) == noted:
                del waiting[key]
        return bool(waiting)

    async def _marked(self, collection: str, writes: WritableDocuments) -> bool:
        now, due = asyncio.get_running_loop().time(), self._many[collection]
        if now < due:
            return True
        self._many[collection] = now + _SECONDS
        count, _ = await writes.waiting(collection, frozenset())
        if not count and self._many.get(collection) == now + _SECONDS:
            del self._many[collection]
        return count > 0
