"""One pass over one entity: every record of the source against the target, then every id of the target."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from syncline.model.canonical import differences
from syncline.model.mark import BATCH_BITS, epoch_of
from syncline.outbox.connection import Connection, fetch_one, translated
from syncline.outbox.dialect import dialect_of
from syncline.outbox.key_sql import absent_keys, key_statements
from syncline.outbox.sql import blocks
from syncline.outbox.states import Plan, read_states
from syncline.verify.comparison import compare_page, encode_page
from syncline.verify.inspection import Inspection
from syncline.verify.pages import BYTES, ROWS, Page, SourcePages, ahead, documents_of
from syncline.verify.report import EntityReport, Finding, Kind, Mode
from syncline.verify.second_look import SecondLook, lanes_of
from syncline.verify.suspects import Suspects

LANES = 64


@dataclass(frozen=True, slots=True)
class Options:
    """How to verify."""

    mode: Mode = Mode.FULL
    sample: int = 1000
    """Records of a sample, from each side."""
    keys: Sequence[str] = ()
    """Only these (key texts); then the mode is ``SAMPLE``."""
    patience: timedelta = timedelta(seconds=60)
    """How long differences that may be lag are looked at again, after the pass."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far a verification has come."""

    entity: str
    phase: str
    """``source`` (contents are compared), ``target`` (ids are looked up), ``again`` (second looks)."""
    done: int
    total: int | None = None


@dataclass(slots=True)
class Sides:
    """Where to read: two connections to the source (``connect(url, keyed=True)``, with our loaders), and the target.

    They stay the caller's.
    """

    pages: Connection
    """Reads ahead."""
    looks: Connection
    """Second looks and probes."""
    inspection: Inspection
    told: Callable[[Step], None] = field(default=lambda _: None)

    @property
    def source_name(self) -> str:
        """What documents say of where they are from."""
        return dialect_of(self.looks).value


class Pass:
    """One pass over one entity."""

    def __init__(self, sides: Sides, plan: Plan, options: Options) -> None:
        self._sides = sides
        self._plan = plan
        self._options = options
        self._inspection = sides.inspection
        self._queries = blocks("verify.sql", "syncline.verify")
        self._statements = key_statements(plan, dialect_of(sides.looks))
        self._digest = hashlib.blake2b(digest_size=32)
        self._pages = SourcePages(sides.pages, plan, sides.source_name)
        self._epochs: dict[int, int] = {}

    async def run(self) -> EntityReport:
        """Do it."""
        began = time.monotonic()
        options = self._options
        mode = Mode.SAMPLE if options.keys else options.mode
        (as_of,) = await fetch_one(self._sides.looks, self._queries["clock"])
        report = self._report = EntityReport(self._plan.name, mode, as_of)
        self._suspects = Suspects(
            SecondLook(self._sides.looks, self._inspection, self._plan, self._sides.source_name),
            report,
            self._sides.looks,
            patience=options.patience,
            keys_only=mode is Mode.KEYS,
        )
        self._epochs = await self._inspection.lane_epochs()
        if mode is Mode.SAMPLE:
            await self._some()
        else:
            await self._source(keys_only=mode is Mode.KEYS)
            await self._target()
        self._tell("again", len(self._suspects))
        await self._suspects.settle()
        await self._conclude()
        report.seconds = time.monotonic() - began
        return report

    # -- the source's side

    async def _source(self, *, keys_only: bool) -> None:
        pages = self._pages.keys(self._statements) if keys_only else self._pages.contents()
        estimated = self._plan.projection.shape.estimated_rows
        async with aclosing(ahead(self._fetching(pages, keys_only=keys_only))) as fetched:
            async for page, fetch in fetched:
                await self._compare(page, fetch, keys_only=keys_only)
                await self._suspects.tend()
                self._tell("source", self._report.records, estimated if estimated > 0 else None)
        self._report.digest = self._digest.hexdigest()

    async def _fetching(
        self, pages: AsyncIterator[Page], *, keys_only: bool
    ) -> AsyncIterator[tuple[Page, asyncio.Task[list[bytes]]]]:
        """Ask the target for a page's documents while the source reads the next page."""
        async for page in pages:
            ids = [document["_id"] for document in page.documents]
            read = self._inspection.read_encoded(self._plan.entity, ids, keys_only=keys_only)
            yield page, asyncio.create_task(read)

    async def _compare(self, page: Page, fetch: asyncio.Task[list[bytes]], *, keys_only: bool) -> None:
        encoded = encode_page(page.documents, page.keys, self._inspection.encode, keys_only=keys_only)
        self._digest.update(b"".join(encoded.bodies))
        self._pages.size = max(20, min(ROWS, BYTES * len(page.keys) // (encoded.bytes + 1)))
        bound = (min(self._epochs.get(lane, 0) for lane in range(LANES)) + 1) << BATCH_BITS
        result = compare_page(
            encoded,
            await fetch,
            decode=self._inspection.decode,
            key_text=self._plan.projection.codec.key_text,
            same=lambda record, document: not differences(record, document),
            bound=bound,
            keys_only=keys_only,
        )
        result.suspects |= page.twice
        if result.tickets:
            result.suspects |= await self._unissued(result.tickets)
        self._suspects.add(key for key in page.keys if key in result.suspects)
        self._report.records += len(page.keys)
        if len(self._report.sample) < 3:
            self._report.sample += [key for key in page.keys if key not in result.suspects][:3]

    async def _unissued(self, tickets: Sequence[tuple[str, int]]) -> set[str]:
        """Compare tickets with their own lane's epoch; a lane may have been taken over since its record was read."""
        lanes = await lanes_of(self._sides.looks, self._plan, [key for key, _ in tickets])
        for refreshed in (False, True):
            if refreshed:
                self._epochs = await self._inspection.lane_epochs()
            above = {
                key
                for (key, ticket), lane in zip(tickets, lanes, strict=True)
                if epoch_of(ticket) > self._epochs.get(lane, 0)
            }
            if not above:
                break
        return above

    # -- the target's side

    async def _target(self) -> None:
        async with aclosing(ahead(self._inspection.walk_ids(self._plan.entity))) as pages:
            async for ids in pages:
                await self._orphans(ids)
                await self._suspects.tend()
                self._tell("target", self._report.documents, self._report.records)

    async def _orphans(self, ids: Sequence[Any]) -> None:
        """Suspect the ids that no row has; report those that no row can have."""
        key_text = self._plan.projection.codec.key_text
        keys: dict[str, Any] = {}
        foreign: list[Any] = []
        for id_ in ids:
            key = key_text(id_)
            if key is None:
                foreign.append(id_)
            else:
                keys[key] = id_
        absent = await absent_keys(self._sides.looks, self._plan, self._statements, list(keys))
        self._suspects.add(absent.keys)
        foreign += [keys[key] for key in absent.impossible]
        if foreign:
            await self._report_foreign(foreign)
        self._report.documents += len(ids)

    async def _report_foreign(self, ids: Sequence[Any]) -> None:
        """Nothing of ours ever has such an id: one more look tells whether it is there still."""
        first = datetime.now(UTC)
        for encoded in await self._inspection.read_confirmed(self._plan.entity, ids):
            document = self._inspection.decode(encoded)
            self._report.add(
                Finding(
                    self._plan.name, Kind.FOREIGN, None, document["_id"], first_seen=first, confirmed=datetime.now(UTC)
                )
            )

    # -- some records only

    async def _some(self) -> None:
        keys = list(self._options.keys)
        if not keys:
            keys = await self._sample_of_source()
            await self._orphans(await self._inspection.sample_ids(self._plan.entity, self._options.sample))
        for start in range(0, len(keys), ROWS):
            chosen = keys[start : start + ROWS]
            states = await read_states(self._sides.looks, self._plan, chosen)
            found = [row[-1] for row in states.rows]
            page = Page(documents_of(states, self._sides.source_name), found, set())
            ids = [document["_id"] for document in page.documents]
            fetch = asyncio.create_task(self._inspection.read_encoded(self._plan.entity, ids))
            await self._compare(page, fetch, keys_only=False)
            self._suspects.add(set(chosen) - set(found))
        self._report.digest = ""

    async def _sample_of_source(self) -> list[str]:
        size = self._options.sample
        rows = self._plan.projection.shape.estimated_rows
        percent = 100.0 if rows < 20 * size else min(100.0, 300.0 * size / rows)
        with translated():
            cursor = await self._sides.looks.execute(self._statements.sample, (percent, size))
            return [key for (key,) in await cursor.fetchall()]

    # -- the end

    async def _conclude(self) -> None:
        """See that nothing from before the pass is still on its way."""
        report = self._report
        values = {"entity": self._plan.id, "before": report.as_of}
        until = time.monotonic() + self._options.patience.total_seconds()
        looks = 0
        while True:
            marks, tasks = await fetch_one(self._sides.looks, self._queries["waiting"], values)
            *_, workers = await fetch_one(self._sides.looks, self._queries["situation"])
            looks += 1
            if not (marks or tasks) or time.monotonic() > until or (not workers and looks >= 3):
                break
            await asyncio.sleep(0.2)
        if tasks:
            report.obstacles.append(f"{tasks} tasks (backfill, sweep) are not finished")
        if marks:
            report.obstacles.append(f"{marks} changes from before the pass wait to be applied")
        if (marks or tasks or report.lagging) and not workers:
            report.obstacles.append("no worker is running")
        (report.parked,) = await fetch_one(self._sides.looks, self._queries["parked"], values)

    def _tell(self, phase: str, done: int, total: int | None = None) -> None:
        self._sides.told(Step(self._plan.name, phase, done, total))
