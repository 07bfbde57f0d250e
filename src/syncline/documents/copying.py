"""The first copy of collections: every document, by COPY where PostgreSQL has none, beside writers and pumps.

A copier is a carrier like the pump, but it reads documents in the order of their ``_id``, marked or not. What it writes
stands under the version that was read, and only where there is none yet; of what PostgreSQL has already, only a lower
version is written over. It clears the marks of what it has written, and leaves what is refused to the pump, marked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from syncline.documents.opening import DocumentLink
from syncline.documents.parts import CopiedPart, CopyPart, Others, Span, copied
from syncline.engines.mongo.stored_marks import Page, StoredMarks
from syncline.engines.postgres.documents.bulk import BulkRows, Chunk, Position, Written
from syncline.engines.postgres.documents.keys import key_text
from syncline.engines.postgres.documents.texts import to_text
from syncline.errors import MappingError, SynclineError
from syncline.model.documents import DocumentMapping, parents_first
from syncline.ports.documents import Fate, MarkedDocument
from syncline.verify.pace import Pace

DOCUMENTS = 3000
"""Documents of a chunk, which is one transaction."""
RETRIES = 5
FIRST_PAUSE_SECONDS = 1.0


@dataclass(slots=True)
class Progress:
    """How far the copy of a collection is."""

    collection: str
    documents: int = 0
    """That are done."""
    total: int = 0
    """About so many there are."""
    left: int = 0
    """Documents that are refused, or have no place in rows: they are marked, and a worker says why."""
    finished: bool = False
    before: bool = False
    """It was copied before."""
    waiting: str = ""


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A page that is being read, and the number of the link from before."""

    number: int
    page: asyncio.Task[tuple[Page, _Made] | None]


class DocumentCopier:
    """Copies collections of a link, one after the other.

    Args:
        link: the link; it uses ``rows``.
        told: called with the progress; must be quick.
        paced: called with so many documents, and returns when the next ones may pass.
        size: documents of a chunk.
        others: those who copy, at a rate of theirs; ``None``: this process does.

    """

    def __init__(
        self,
        link: DocumentLink,
        *,
        told: Callable[[Progress], None] = lambda _: None,
        paced: Callable[[int], Awaitable[None]] | None = None,
        size: int = DOCUMENTS,
        others: Others | None = None,
    ) -> None:
        self._link, self._told, self._paced, self._size = link, told, paced, size
        self._others = others
        self._stored = StoredMarks(link.database)
        self._bulk = BulkRows(link.documents.url("target"), link.mappings)
        self._asks = False
        """PostgreSQL had a key of the chunk before: it is asked first."""

    async def prepare(self) -> None:
        """Make what is kept of copies; idempotent."""
        await self._bulk.prepare()

    async def close(self) -> None:
        """End the session."""
        await self._bulk.close()

    async def run(self, collections: Sequence[str], *, anew: bool = False) -> list[Progress]:
        """Copy collections; those whose copy was cut off go on, those that are done are left out, unless ``anew``.

        What others refer to is copied before them.

        Raises:
            CopyError: somebody else copies the same collection.
            SynclineError: a side does not answer, or refuses to work; run it again, and it goes on.

        """
        order = [name for name in parents_first(self._link.mappings) if name in collections]
        for collection in order if anew else ():  # all before the first page: whoever goes on knows of them
            await self._tried(Progress(collection), self._begin_anew)
        done = {collection: await self._tried(Progress(collection), self._walk) for collection in order}
        return [done[collection] for collection in collections]

    async def _tried(self, progress: Progress, work: Callable[[Progress], Awaitable[None]]) -> Progress:
        tries = 0
        while True:
            before = progress.documents
            try:
                await work(progress)
            except SynclineError as error:
                tries = 1 if progress.documents > before else tries + 1
                if not error.retryable or tries > RETRIES:
                    raise
                progress.waiting = f"tries again: {error.message}"
                self._told(progress)
                await asyncio.sleep(FIRST_PAUSE_SECONDS * 2 ** (tries - 1))
            else:
                return progress

    async def _begin_anew(self, progress: Progress) -> None:
        total = await self._stored.count(progress.collection)
        await self._bulk.begin(progress.collection, total=total, anew=True)

    async def _walk(self, progress: Progress) -> None:
        collection = progress.collection
        progress.total = await self._stored.count(collection)
        position = await self._bulk.begin(collection, total=progress.total)
        progress.before = position.done
        self._tell(progress, position)
        if not position.done:
            if self._others is None:
                position = await self._pages(collection, progress, position)
            else:
                position = await self._shared(self._others, collection, progress, position)
            await self._bulk.end(collection, position)
        progress.finished = True
        self._told(progress)

    async def carry(self, part: CopyPart) -> CopiedPart:
        """Copy a part for somebody else, who notes that it is done."""
        began, self._paced = time.monotonic(), Pace(part.rate).passed
        position = Position(part.attempt, part.after, 0, 0, done=False, noted=False)
        position = await self._pages(part.collection, Progress(part.collection), position, part.span)
        after = position.after if position.documents else None
        return CopiedPart(after, position.documents, position.left, time.monotonic() - began)

    async def _shared(self, others: Others, collection: str, progress: Progress, position: Position) -> Position:
        steps = copied(others, self._stored, self._link.mapping(collection), position)
        async with aclosing(steps):
            async for step in steps:
                if step is None:
                    self._told(progress)
                    continue
                position = step
                await self._bulk.pass_on(collection, position)
                self._tell(progress, position)
        return position

    async def _pages(
        self, collection: str, progress: Progress, position: Position, span: Span = (None, None)
    ) -> Position:
        ahead = await self._ahead(collection, position.after, span)
        try:
            while (found := await ahead.page) is not None:
                number, ahead = ahead.number, await self._ahead(collection, found[0].last, span)
                written = await self._written(collection, *found, number, position)
                if written is None:
                    ahead.page.cancel()
                    ahead = await self._ahead(collection, position.after, span)
                else:
                    position = written
                    self._tell(progress, position)
        finally:
            ahead.page.cancel()
            await asyncio.wait({ahead.page})
        return position

    async def _ahead(self, collection: str, after: bytes | None, span: Span) -> _Ahead:
        number = await self._bulk.number()
        return _Ahead(number, asyncio.create_task(self._read(collection, after, span)))

    async def _read(self, collection: str, after: bytes | None, span: Span) -> tuple[Page, _Made] | None:
        page = await self._stored.page(collection, after=after, size=self._size, span=span)
        return None if page is None else (page, self._made(collection, page))

    def _made(self, collection: str, page: Page) -> _Made:
        made = _made(self._link.mapping(collection), page)
        self._bulk.write_down(collection, made.chunk)
        return made

    def _tell(self, progress: Progress, position: Position) -> None:
        progress.documents, progress.left, progress.waiting = position.documents, position.left, ""
        self._told(progress)

    async def _written(
        self, collection: str, page: Page, made: _Made, number: int, position: Position
    ) -> Position | None:
        """Write a page; ``None``: the link has another number than before it was read."""
        if self._paced is not None:
            await self._paced(page.count)
        after = replace(position, after=page.last, documents=position.documents + page.count)
        if self._asks:
            page = await self._unknown(self._link.mapping(collection), page)
            made = self._made(collection, page)
        left = replace(after, left=position.left + len(made.refused))
        written = await self._bulk.write(collection, made.chunk, number, left)
        if written is Written.LATE:
            return None
        if written is Written.NOT:
            self._asks = True
            return await self._put(collection, page, number, after)
        await self._link.source.clear(collection, made.marked)
        await self._leave(collection, made.refused)
        return left

    async def _unknown(self, mapping: DocumentMapping, page: Page) -> Page:
        """Leave out what PostgreSQL has already, or something later; its marks are the pump's."""
        collection = mapping.collection.name
        documents = [*_documents(page)]
        ids = [key_text(mapping, one.id) or "" for one in documents]
        known = await self._bulk.known(collection, ids, [one.version for one in documents])
        self._asks = bool(known)
        kept = Page(page.last, page.count)
        kept.odd = [one for one, id_ in zip(documents, ids, strict=True) if not known.get(id_)]
        return kept

    async def _put(self, collection: str, page: Page, number: int, after: Position) -> Position | None:
        """Write documents as a pump does: each only over a lower version, whatever of them is refused."""
        outcomes = await self._link.rows.put(collection, [*_documents(page)], number)
        if any(one.fate is Fate.LATE for one in outcomes):
            return None
        applied = [one.document for one in outcomes if one.fate is Fate.APPLIED and one.document.mark]
        await self._link.source.clear(collection, applied)
        above = [one for one in outcomes if one.fate is Fate.REFUSED and one.document.mark]
        await self._link.source.raise_above(collection, above)
        rejected = [one.document for one in outcomes if one.fate is Fate.REJECTED]
        await self._leave(collection, rejected)
        after = replace(after, left=after.left + len(rejected))
        await self._bulk.pass_on(collection, after)
        return after

    async def _leave(self, collection: str, refused: Sequence[MarkedDocument]) -> None:
        """Mark what is not marked: a pump says what is wrong with it, and tries it again."""
        await self._stored.mark(collection, [one.id for one in refused if not one.mark])


@dataclass(slots=True)
class _Made:
    """What is made of a page."""

    chunk: Chunk
    marked: list[MarkedDocument]
    """Of those in the chunk, the marked ones."""
    refused: list[MarkedDocument]
    """They have no place in rows."""


def _made(mapping: DocumentMapping, page: Page) -> _Made:
    split = mapping.split(page.fields)
    tables = [one.values for one in split.tables]
    own = split.tables[0].owners
    chunk = Chunk([], [page.versions[place] for place in own], [page.marks[place] for place in own], tables)
    keys = tables[0][0]
    chunk.ids = [*keys] if {*map(type, keys)} == {str} else [to_text(key) or "" for key in keys]
    marked = [_document(page, place) for place in own if page.marks[place]]
    made = _Made(chunk, marked, [])
    for one in (*(_document(page, place) for place in sorted(split.odd)), *page.odd):
        _add(mapping, made, one)
    return made


def _add(mapping: DocumentMapping, made: _Made, one: MarkedDocument) -> None:
    try:
        rows = mapping.rows(one.body)
    except MappingError:
        made.refused.append(one)
        return
    chunk = made.chunk
    chunk.ids.append(to_text(rows[0][0][0]) or "")
    chunk.versions.append(one.version)
    chunk.marks.append(one.mark)
    for columns, new in zip(chunk.tables, rows, strict=True):
        for values, column in zip(columns, zip(*new, strict=True), strict=False):
            values.extend(column)
    if one.mark:
        made.marked.append(one)


def _documents(page: Page) -> Iterator[MarkedDocument]:
    yield from (_document(page, place) for place in range(len(page.fields)))
    yield from page.odd


def _document(page: Page, place: int) -> MarkedDocument:
    fields = page.fields[place]
    return MarkedDocument(fields["_id"], page.marks[place], page.versions[place], deleted=False, fields=fields)
