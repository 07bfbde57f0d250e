"""Parts of a collection, cut by ``_id``, that other processes copy or compare; what they say comes in order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from syncline.documents.asking import SORTED_ALIKE
from syncline.documents.passing import Part, Passing, Place, Seen
from syncline.engines.mongo.stored_marks import StoredMarks
from syncline.engines.postgres.documents.bulk import Position
from syncline.engines.postgres.documents.keys import key_text
from syncline.executing.parts import BEAT_SECONDS, Parts, Sizes, most
from syncline.model.documents import DocumentMapping
from syncline.model.strict_bson import AS_STORED, decoded
from syncline.ports import Executor, Same
from syncline.verify.progress import Phase

FIRST, LEAST, MOST = 3000, 500, 200_000
"""Documents of a part."""

Span = tuple[bytes | None, bytes | None]


@dataclass(frozen=True, slots=True)
class CopyPart:
    """Documents to be copied."""

    collection: str
    attempt: int
    """Of the copy: who has taken it over counts on."""
    after: bytes | None
    """The ``_id`` behind which they begin, as a document."""
    span: Span
    """Likewise, the one with which they begin, and the one before which they end."""
    rate: float | None
    """Documents a second at most."""
    same: Same


@dataclass(frozen=True, slots=True)
class CopiedPart:
    """What became of them."""

    after: bytes | None
    """The last ``_id``; ``None``: there was no document."""
    documents: int
    left: int
    """Those that are refused."""
    seconds: float


@dataclass(frozen=True, slots=True)
class LookPart:
    """Documents, and rows between their keys, to be compared."""

    collection: str
    part: Part
    """By keys, where both databases sort them alike."""
    span: Span
    after: bytes | None
    last: str | None
    """The key behind which rows begin."""
    rate: float | None
    same: Same


@dataclass(frozen=True, slots=True)
class Others:
    """Those who do parts for a command."""

    executor: Executor
    rate: float | None
    """Documents a second at most, of all together."""
    same: Callable[[DocumentMapping], Awaitable[Same]]
    """Says what they must share."""

    @property
    def each(self) -> float | None:
        """The rate of each."""
        return None if self.rate is None else self.rate / self.executor.width

    def sizes(self) -> Sizes:
        """Begin with how much a part is."""
        return Sizes(FIRST, LEAST, most(MOST, LEAST, self.each))


async def copied(
    others: Others, stored: StoredMarks, mapping: DocumentMapping, position: Position
) -> AsyncGenerator[Position | None, None]:
    """Have what is behind a position copied; gives the position again and again, ``None`` while nothing has come."""
    sizes, collection = others.sizes(), mapping.collection.name

    async def cut() -> AsyncGenerator[CopyPart, None]:
        after, first = position.after, None
        while True:
            until = await stored.boundary(collection, after=after, size=sizes.size, span=(first, None))
            same = await others.same(mapping)
            yield CopyPart(collection, position.attempt, after, (first, until), others.each, same)
            if until is None:
                return
            after, first = None, until

    parts = Parts(others.executor, cut(), lambda part: part, beat=BEAT_SECONDS)
    async with aclosing(parts.results()) as results:
        async for _, done in results:
            if done is None:
                yield None
                continue
            sizes.fit(done.documents, done.seconds)
            documents, left = position.documents + done.documents, position.left + done.left
            position = replace(position, after=done.after or position.after, documents=documents, left=left)
            yield position


async def looked(others: Others, stored: StoredMarks, one: Passing) -> AsyncGenerator[bool, None]:
    """Have what is left of a pass compared, and take in what was found; a step may be that nothing has come."""
    sizes, same = others.sizes(), await others.same(one.mapping)
    parts = Parts(others.executor, _cut(others, stored, one, sizes, same), lambda part: part, beat=BEAT_SECONDS)
    end = one.rest.end, one.span[1]
    async with aclosing(parts.results()) as results:
        async for part, seen in results:
            if seen is not None:
                sizes.fit(seen.records if seen.over else 0, seen.seconds)
                one.take_in(seen)
                if not seen.over:
                    parts.again(replace(part, after=seen.after, last=seen.last))
                _place(one, part, seen, is_last=(part.part.end, part.span[1]) == end)
            yield True


async def _cut(
    others: Others, stored: StoredMarks, one: Passing, sizes: Sizes, same: Same
) -> AsyncGenerator[LookPart, None]:
    """Cut at documents; where rows are read between keys, at those that have a key."""
    place, alike = one.place, one.mapping.collection.id in SORTED_ALIKE
    left = LookPart(one.name, one.rest, one.span, place.after, place.last, others.each, same)
    size = sizes.size
    while (until := await stored.boundary(one.name, after=left.after, size=size, span=left.span)) is not None:
        key = key_text(one.mapping, decoded(until, AS_STORED)["_id"]) if alike else None
        if alike and key is None:
            size *= 2
            continue
        yield replace(left, part=replace(left.part, end=key or left.part.end), span=(left.span[0], until))
        rest = replace(left.part, first=key or left.part.first)
        left = replace(left, part=rest, span=(until, left.span[1]), after=None, last=None)
        size = sizes.size
    yield left


def _place(one: Passing, part: LookPart, seen: Seen, *, is_last: bool) -> None:
    """Say from where a pass goes on after a part."""
    alike = one.mapping.collection.id in SORTED_ALIKE
    if seen.over and is_last:
        one.place.phase = Phase.AGAIN if alike else Phase.TARGET
    elif not alike:
        one.place.after = seen.after or one.place.after
    elif seen.over:
        one.place = Place(first=part.part.end)
    else:
        one.place = Place(after=seen.after, last=seen.last, first=part.part.first)
