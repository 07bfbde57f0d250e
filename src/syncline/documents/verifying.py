"""Compare documents with their rows, both ways, while they are in use: what a second look confirms is a divergence.

A document that is marked is on its way: it is *waiting*, never different. What is not marked has been carried: its
rows are what its version became, or somebody has changed them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

from syncline.documents.asking import SORTED_ALIKE, span_of
from syncline.documents.judging import Look, State, judged
from syncline.documents.opening import DocumentLink
from syncline.documents.page_rows import PageRows, last_key, page_rows
from syncline.documents.parts import LookPart, Others, looked
from syncline.documents.passing import WHOLE, Part, Passing, Place, Seen
from syncline.engines.mongo.stored_marks import Page, StoredMarks
from syncline.engines.postgres.documents.comparing import Stretch
from syncline.engines.postgres.documents.keys import id_of, key_text
from syncline.engines.postgres.documents.reading import Certificate, RowsSeen
from syncline.executing.parts import SUSPECTS
from syncline.model.documents.ids import NO_ID, shown_key
from syncline.model.strict_bson import encoded
from syncline.verify.pace import Pace
from syncline.verify.progress import Phase, Recorder
from syncline.verify.report import EntityReport, Finding, Kind, Mode, VerifyReport
from syncline.verify.spool import Taker

PAGE = 3000
LOOK, LOOK_BYTES = 500, 8 << 20
"""Documents of a second look, and how many bytes of documents are enough for one."""
UNDECIDED = 20_000
"""So many are remembered until they are decided."""
SHOWN = 3
"""So many keys that were found equal are told."""
PATIENCE = timedelta(seconds=60)
_PAUSE_SECONDS, _LONGEST_SECONDS = 0.05, 1.0


class DocumentVerifier:
    """Verifies collections of a link.

    Args:
        link: the link.
        rate: documents a second; ``None``: no limit.
        patience: how long what is on its way is waited for, in all.
        taker: takes findings as they are made.
        told: called with the report of a collection after each page.
        size: documents of a page.
        others: those who take first looks; ``None``: this process does.

    """

    def __init__(
        self,
        link: DocumentLink,
        *,
        rate: float | None = None,
        patience: timedelta = PATIENCE,
        taker: Taker | None = None,
        told: Callable[[EntityReport, int], None] = lambda *_: None,
        size: int = PAGE,
        others: Others | None = None,
    ) -> None:
        self._link, self._patience, self._taker, self._told, self._size = link, patience, taker, told, size
        self._pace, self._others = Pace(rate), others
        self._stored = StoredMarks(link.database)
        self._rows = RowsSeen(link.documents.url("target"), link.mappings)

    async def close(self) -> None:
        """End the session."""
        await self._rows.close()

    async def verify(self, collections: Sequence[str]) -> VerifyReport:
        """Compare every document and every row; each whole pass leaves a certificate.

        Raises:
            SynclineError: a side does not answer, or the tables are of another declaration.

        """
        return VerifyReport([await self.whole(await self.begun(collection)) for collection in collections])

    async def begun(self, collection: str, recorder: Recorder | None = None, part: Part = WHOLE) -> Passing:
        """Begin a pass over all of a collection or a part, or go on with one from where the recorder's checkpoint says.

        A range is of keys that both databases sort alike: see ``asking.part_of``.
        """
        one = self._begun(collection, await self._stored.now(), part.mode)
        one.part = part
        one.report.first, one.report.end = part.first, part.end
        one.recorder = recorder or Recorder()
        one.restore()
        one.span = span_of(one.mapping, one.rest)
        return one

    async def verify_some(self, collection: str, ids: Sequence[Any]) -> VerifyReport:
        """Compare some documents, whether they are there or not."""
        one = self._begun(collection, await self._stored.now(), Mode.SAMPLE)
        one.report.named = True
        for id_ in ids:
            one.suspect(id_)
        await self._decide(one, to_the_end=True)
        one.report.records, one.report.documents = len(one.stored), len(one.kept)
        return VerifyReport([one.report])

    async def verify_sample(self, collections: Sequence[str], size: int) -> VerifyReport:
        """Compare some documents of each collection and some rows, chosen at random."""
        report = VerifyReport()
        for collection in collections:
            one = self._begun(collection, await self._stored.now(), Mode.SAMPLE)
            for id_ in await self._stored.sample(collection, size):
                one.suspect(id_)
            one.report.records = len(one.suspects)
            keys = await self._rows.sample(collection, size)
            one.report.documents = len(keys)
            for key in keys:
                one.suspect_key(key)
            await self._decide(one, to_the_end=True)
            report.entities.append(one.report)
        return report

    def _begun(self, collection: str, as_of: datetime, mode: Mode) -> Passing:
        report = EntityReport(collection, mode, as_of)
        return Passing(self._link.mapping(collection), report, left=self._patience.total_seconds())

    async def whole(self, one: Passing) -> EntityReport:
        """Compare everything that is left of a pass, and certify what a whole one has proved; see ``compare``."""
        report = await self.compare(one)
        if one.part == WHOLE:
            await self.certify(one)
        return report

    async def compare(self, one: Passing) -> EntityReport:
        """Compare everything that is left of a pass.

        Raises:
            PassLostError: another process goes on with it.
            SynclineError: a side does not answer, or the tables are of another declaration.

        """
        try:
            if one.place.phase is Phase.SOURCE:
                await self._documents(one)
            if one.place.phase is Phase.TARGET:
                await self._keys(one)
            await self._decide(one, to_the_end=True)
        except BaseException:
            await one.recorder.release()
            raise
        one.report.seconds += time.monotonic() - one.began
        return one.report

    async def certify(self, one: Passing) -> None:
        """Keep what a whole pass has proved."""
        report = one.report
        counts = {kind.value: count for kind, count in report.counts.items()} | {"parked": report.parked}
        proved = Certificate(report.as_of, report.records, report.verdict.value, counts)
        await self._rows.certify(one.name, proved)

    async def look_at(self, look: LookPart) -> Seen:
        """Compare a part for somebody else, who decides what is under suspicion."""
        began = time.monotonic()
        one = self._begun(look.collection, datetime.now(UTC), look.part.mode)
        one.part, one.span, one.place = look.part, look.span, Place(after=look.after, last=look.last)
        self._pace, over = Pace(look.rate), True
        async with aclosing(self._walked(one)) as pages:
            async for more in pages:
                if more and len(one.suspects) + len(one.foreign) >= SUSPECTS:
                    over = False
                    break
        report, place = one.report, one.place
        found = frozenset(one.suspects), frozenset(one.foreign), report.records, report.documents
        return Seen(*found, tuple(report.sample), place.after, place.last, over, time.monotonic() - began)

    async def _documents(self, one: Passing) -> None:
        total = await self._stored.count(one.name)
        steps = self._walked(one) if self._others is None else looked(self._others, self._stored, one)
        async with aclosing(steps):
            async for _ in steps:
                self._told(one.report, total)
                await self._decide(one)
                await one.save()

    async def _walked(self, one: Passing) -> AsyncGenerator[bool, None]:
        """Compare page by page; says after each whether more may come."""
        alike = one.mapping.collection.id in SORTED_ALIKE
        async with aclosing(self._parts(one)) as parts:
            async for part in parts:
                differing = part.differing()
                for key in differing:
                    one.suspect_key(key or "")
                one.report.documents += part.rows
                if not one.report.sample:
                    one.report.sample = [key for key in part.keys[:SHOWN] if key not in differing]
                one.place.after, one.place.last = part.after, part.last
                if part.ends:
                    one.place.phase = Phase.AGAIN
                yield not part.ends
        one.place.phase = Phase.AGAIN if alike else Phase.TARGET

    async def _parts(self, one: Passing) -> AsyncGenerator[PageRows, None]:
        """Give documents and the rows of the same stretch, page by page; one page is read ahead."""
        alike = one.mapping.collection.id in SORTED_ALIKE
        after, last = one.place.after, one.place.last
        ahead, reading = self._ahead(one, after), None
        try:
            while (page := await ahead) is not None:
                ahead = self._ahead(one, page.last)
                until = last_key(one.mapping, page) if alike else None
                reading = self._beside(one, last, until)
                await asyncio.sleep(0)  # PostgreSQL is asked, and answers meanwhile
                part = page_rows(one, page)
                part.after = after = page.last
                one.report.records += page.count - part.tombstones
                await self._pace.passed(page.count)
                if reading is not None:
                    part.lines, last = await reading, until
                elif not alike:
                    part.found = await self._rows.of(one.name, part.keys, keys_only=one.part.keys_only)
                part.last = last
                yield part
        finally:
            begun = [task for task in (ahead, reading) if task is not None]
            for task in begun:
                task.cancel()
            await asyncio.wait(begun)
        if alike:
            nothing: list[list[list[Any]]] = [[[] for _ in table.columns] for table in one.mapping.tables]
            yield PageRows(nothing, await self._between(one, last, None), after=after, last=last, ends=True)

    def _beside(self, one: Passing, last: str | None, until: str | None) -> asyncio.Task[list[bytes]] | None:
        return None if until is None else asyncio.create_task(self._between(one, last, until))

    async def _between(self, one: Passing, last: str | None, until: str | None) -> list[bytes]:
        first = one.rest.first if last is None else None
        stretch = Stretch(first, None if until else one.part.end, last, until)
        return await self._rows.between(one.name, stretch, keys_only=one.part.keys_only)

    def _ahead(self, one: Passing, after: bytes | None) -> asyncio.Task[Page | None]:
        size, keys_only = self._pace.page(self._size), one.part.keys_only
        looked = self._stored.look(one.name, after=after, size=size, span=one.span, keys_only=keys_only)
        return asyncio.create_task(looked)

    async def _keys(self, one: Passing) -> None:
        """Find rows of which there is no document, by their keys."""
        async for keys in self._rows.keys(one.name, self._size, after=one.place.key):
            ids = {key: id_of(one.mapping, key) for key in keys}
            one.foreign.update(key for key, id_ in ids.items() if id_ is NO_ID)
            known = await self._stored.there(one.name, [id_ for id_ in ids.values() if id_ is not NO_ID])
            for id_ in ids.values():
                if id_ is not NO_ID and encoded({"_id": id_}) not in known:
                    one.suspect(id_)
            await self._pace.passed(len(keys))
            await self._decide(one)
            one.place.key = keys[-1]
            await one.save()
        one.place.phase = Phase.AGAIN

    async def _decide(self, one: Passing, *, to_the_end: bool = False) -> None:
        """Look again at what is under suspicion; what moves, or waits, is looked at until patience has run out."""
        if not to_the_end and len(one.suspects) < UNDECIDED // 2:
            return
        await self._foreign(one)
        pause = _PAUSE_SECONDS
        while one.suspects:
            looks = await self._look(one)
            await self._take(one, looks)
            await one.recorder.hold()
            if one.left <= 0:
                self._give_up(one, looks)
            elif one.suspects:
                await asyncio.sleep(min(pause, one.left))
                one.left -= pause
                pause = min(pause * 2, _LONGEST_SECONDS)

    async def _look(self, one: Passing) -> dict[bytes, Look]:
        """Look at all, at twice as many each time while those of the last time were few bytes."""
        found: dict[bytes, Look] = {}
        ids, size = list(one.suspects.items()), 1
        while ids:
            looks, read = await self._second(one, dict(ids[:size]))
            found |= looks
            ids = ids[size:]
            size = min(size * 2, LOOK) if read <= LOOK_BYTES // 2 else max(size // 2, 1)
        return found

    async def _second(self, one: Passing, ids: Mapping[bytes, Any]) -> tuple[dict[bytes, Look], int]:
        """Read documents, rows, documents, rows: what is the same in both readings was so in between.

        Returns:
            What was seen, and how many bytes the documents have.

        """
        one.report.looks += 1
        keys = {encoded_id: key_text(one.mapping, id_) for encoded_id, id_ in ids.items()}
        wanted = [key for key in keys.values() if key is not None]
        documents = [await self._stored.of(one.name, [*ids.values()])]
        records = [await self._rows.records(one.name, wanted)]
        # Rows that are marked now are on their way back; those that were are in the documents that are read next.
        coming = await self._rows.coming(one.name, wanted)
        documents.append(await self._stored.of(one.name, [*ids.values()]))
        records.append(await self._rows.records(one.name, wanted))
        shown = {encoded_id: shown_key(id_) for encoded_id, id_ in ids.items()}
        rejected = await self._rows.rejected(one.name, [*shown.values()])
        looks = {}
        for encoded_id, id_ in ids.items():
            key = keys[encoded_id]
            seen = [None if key is None else one_of[key] for one_of in records]
            moved = documents[0].get(encoded_id) != documents[1].get(encoded_id) or seen[0] != seen[1]
            raw = documents[1].get(encoded_id)
            if one.report.named:
                one.note(encoded_id, id_, raw, seen[1])
            look = judged(one.mapping, id_, key, raw, seen[1], rejected.get(shown[encoded_id]), moved=moved)
            looks[encoded_id] = Look(State.WAITING, key) if key in coming and look.state is not State.EQUAL else look
        return looks, sum(map(len, documents[1].values()))

    async def _take(self, one: Passing, looks: Mapping[bytes, Look]) -> None:
        findings: list[Finding] = []
        for encoded_id, look in looks.items():
            if look.state in {State.MOVED, State.WAITING}:
                continue
            del one.suspects[encoded_id]
            if look.state is State.PARKED:
                one.report.parked += 1
            elif look.finding is not None:
                one.report.add(look.finding)
                findings.append(look.finding)
        if findings and self._taker is not None:
            await self._taker.take(findings)

    def _give_up(self, one: Passing, looks: Mapping[bytes, Look]) -> None:
        for encoded_id in list(one.suspects):
            if looks[encoded_id].state is State.MOVED:
                one.report.hot.append(looks[encoded_id].key or "")
            else:
                one.report.lagging += 1
        one.suspects.clear()

    async def _foreign(self, one: Passing) -> None:
        for key in one.foreign:
            now = datetime.now(UTC)
            said = "no _id of this collection becomes its key"
            finding = Finding(one.name, Kind.FOREIGN, key, None, first_seen=now, confirmed=now, reason=said)
            one.report.add(finding)
            if self._taker is not None:
                await self._taker.take([finding])
        one.foreign.clear()
