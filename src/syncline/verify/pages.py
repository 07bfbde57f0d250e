"""Walking the source in the order of its keys, ahead of who compares."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from syncline.ending import end
from syncline.errors import SourceError
from syncline.model.mark import ticket
from syncline.model.values import EPOCH
from syncline.narrowing import ambiguous, is_of_records, narrowed, unmappable, without
from syncline.ports import Document, Pages, Plan, States, Stretch

T = TypeVar("T")

ROWS = 2000
"""Rows of a page, at most."""
KEYS = 10_000
"""Keys of a page that has nothing else."""
BYTES = 4 * 1024 * 1024
"""About so much of a page's documents at most, encoded: pages of wide rows have fewer."""
FILLER_SECONDS = 10.0
"""How long reading ahead may take to end: a server that hangs delays even cancelling."""
TICKET = ticket(1, 0)
"""In place of the ticket: any that takes 64 bits."""


WHOLE = Stretch()


@dataclass(slots=True)
class Page:
    """Records of the source from one snapshot."""

    documents: list[Document]
    keys: list[str]
    twice: set[str]
    """Keys that several rows have."""
    stretch: Stretch = WHOLE
    """Where they were looked for: there are no others in it."""
    last: str | None = None
    """The last key that was walked."""
    unreadable: Collection[str] = ()
    """Keys whose rows cannot be read."""


@dataclass(slots=True)
class Rows:
    """What a read of some rows gave."""

    states: States
    documents: list[Document]
    full: bool
    """There may be more behind them."""
    last: str | None
    """The last key that was walked."""
    unreadable: Collection[str] = ()
    apart: bool = False
    """Keys and rows were read one after the other, because some cannot be read."""


@dataclass(slots=True)
class IdPage:
    """Ids of the source, nothing else."""

    ids: list[Any]
    stretch: Stretch
    unreadable: Collection[str] = ()


class SourcePages:
    """Reads one entity's records page by page, each in a snapshot of its own.

    ``size`` may be changed while it runs.
    """

    def __init__(self, pages: Pages, plan: Plan, source_name: str) -> None:
        self._pages = pages
        self._plan = plan
        self._source = source_name
        self.size = ROWS

    async def contents(self, stretch: Stretch) -> AsyncGenerator[Page, None]:
        """Read whole records, each page up to its last key."""
        several = self._plan.projection.shape.has_children
        while True:
            size = self.size
            rows = await self._read(stretch, size)
            states, last = rows.states, rows.last
            keys: list[str] = [row[-1] for row in states.rows]
            if several and rows.full and not rows.apart:
                states, keys = _without_last_key(states, keys)
                last = keys[-1]
            if keys or rows.unreadable:
                yield Page(rows.documents[: len(keys)], keys, ambiguous(states), last=last, unreadable=rows.unreadable)
            if not rows.full:
                return
            stretch = Stretch(last, stretch.end, passed=True)

    async def stretches(self, stretch: Stretch) -> AsyncGenerator[Page, None]:
        """Read whole records together with the stretch that they fill; the stretches follow each other without a gap.

        The last row of a page tells where its stretch ends, and belongs to the next one.
        """
        after, first = stretch, stretch.first
        documents: list[Document] = []
        keys: list[str] = []
        while True:
            size = self.size + 1 - len(keys)
            rows = await self._read(after, size)
            end = rows.last if rows.full else stretch.end
            carries = rows.full and bool(rows.states.rows) and rows.states.rows[-1][-1] == end
            documents += rows.documents
            keys += [row[-1] for row in rows.states.rows]
            carried = ([documents.pop()], [keys.pop()]) if carries else ([], [])
            yield Page(documents, keys, set(), Stretch(first, end), end, [k for k in rows.unreadable if k != end])
            if not rows.full:
                return
            documents, keys = carried
            first, after = end, Stretch(end, stretch.end, passed=carries)

    async def id_stretches(self, stretch: Stretch) -> AsyncGenerator[IdPage, None]:
        """Read the ids of an entity with one key column, and the stretches that they fill."""
        key_text = self._plan.projection.codec.key_text
        carried: list[Any] = []
        after, first = stretch, stretch.first
        while True:
            size = min(KEYS, 5 * self.size)
            try:
                found = await self._pages.ids(self._plan, after, size)
            except SourceError as error:
                if not is_of_records(error):
                    raise
                page, full, passed = await self._ids_apart(carried, first, after, stretch.end, size)
                carried = []
            else:
                ids = [*carried, *found]
                full = passed = len(found) == size
                carried = [ids.pop()] if full else []
                page = IdPage(ids, Stretch(first, key_text(carried[0]) if carried else stretch.end))
            yield page
            if not full:
                return
            first = page.stretch.end
            after = Stretch(first, stretch.end, passed=passed)

    async def _ids_apart(
        self, carried: Sequence[Any], first: str | None, after: Stretch, until: str | None, size: int
    ) -> tuple[IdPage, bool, bool]:
        """Read ids by whole records, where the filter cannot be asked of all; the last key is left to the next page."""
        rows = await self._apart(after, size)
        end = rows.last if rows.full else until
        of = self._plan.projection.codec.document_id
        ids = [*carried, *(of(row[-1]) for row in rows.states.rows if row[-1] != end)]
        return IdPage(ids, Stretch(first, end), [key for key in rows.unreadable if key != end]), rows.full, False

    async def keys(self, stretch: Stretch) -> AsyncGenerator[Page, None]:
        """Read keys alone; the documents have nothing but their ``_id``."""
        codec = self._plan.projection.codec
        while True:
            size = self.size
            unreadable: Collection[str] = ()
            try:
                keys = await self._pages.keys(self._plan, stretch, size)
            except SourceError as error:
                if not is_of_records(error):
                    raise
                apart = await self._apart(stretch, size)
                keys, unreadable = [row[-1] for row in apart.states.rows], apart.unreadable
                full, last = apart.full, apart.last
            else:
                full, last = len(keys) == size, keys[-1] if keys else None
            if keys or unreadable:
                documents = [{"_id": codec.document_id(key)} for key in keys]
                yield Page(documents, keys, set(), last=last, unreadable=unreadable)
            if not full:
                return
            stretch = Stretch(last, stretch.end, passed=True)

    async def _read(self, stretch: Stretch, size: int) -> Rows:
        """Read rows; if one of them fails the statement, read keys, and then what can be read of them."""
        try:
            states = await self._pages.rows(self._plan, stretch, size)
        except SourceError as error:
            if not is_of_records(error):
                raise
            return await self._apart(stretch, size)
        states_, documents, bad = mapped(states, self._source)
        last = states.rows[-1][-1] if states.rows else None
        return Rows(states_, documents, len(states.rows) == size, last, list(bad))

    async def _apart(self, stretch: Stretch, size: int) -> Rows:
        found = await self._pages.keys(self._plan, stretch, size, filtered=False)
        places = {key: place for place, key in enumerate(found)}

        async def read_(keys: list[str]) -> States:
            return await self._pages.read(self._plan, keys)

        read = await narrowed(self._plan, read_, list(places))
        ordered_ = sorted(read.states.rows, key=lambda row: places[row[-1]])
        states, documents, bad = mapped(States(self._plan, ordered_, read.states.children), self._source)
        last = found[-1] if found else None
        return Rows(states, documents, len(found) == size, last, [*read.bad, *bad], apart=True)


def _without_last_key(states: States, keys: list[str]) -> tuple[States, list[str]]:
    """Leave the last key to the next page: more rows of it may follow."""
    end = next((place for place, key in enumerate(keys) if key == keys[-1]), 0)
    if end == 0:  # one key fills the page
        return states, keys
    return States(states.plan, states.rows[:end], states.children), keys[:end]


def documents_of(states: States, source_name: str) -> list[Document]:
    """Turn states into documents as the relay writes them, but for time and ticket."""
    when: datetime = EPOCH
    return states.documents(source=source_name, synced_at=when, ticket=TICKET)


def mapped(states: States, source_name: str) -> tuple[States, list[Document], dict[str, str]]:
    """Turn states into documents; those that the mapping stumbles over are left out, and named with the reason."""
    try:
        return states, documents_of(states, source_name), {}
    except Exception:
        bad = unmappable(states)
        if not bad:
            raise
        states = without(states, bad)
        return states, documents_of(states, source_name), bad


async def ahead(pages: AsyncIterator[T], depth: int = 2) -> AsyncGenerator[T, None]:
    """Read ahead of who iterates, in a task of its own. Close it (``aclosing``) when leaving early."""
    queue: asyncio.Queue[T | Exception | None] = asyncio.Queue(depth)

    async def fill() -> None:
        try:
            async for page in pages:
                await queue.put(page)
            await queue.put(None)
        except Exception as error:  # noqa: BLE001  raised where the pages are wanted
            await queue.put(error)

    filler = asyncio.create_task(fill())
    try:
        while (page := await queue.get()) is not None:
            if isinstance(page, Exception):
                raise page
            yield page
    finally:
        await end(filler, seconds=FILLER_SECONDS)
