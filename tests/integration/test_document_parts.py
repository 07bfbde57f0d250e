"""Parts of collections that others copy and compare: what comes of them is what comes of one process."""

from __future__ import annotations

import asyncio
import pickle
import random
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from bson import ObjectId

from syncline.documents import copying, parts, verifying
from syncline.documents.copying import DocumentCopier
from syncline.documents.parts import CopyPart, Others
from syncline.documents.passing import Part
from syncline.documents.performing import DocumentWork, Likeness
from syncline.documents.verify_run import VerifyRun
from syncline.documents.verifying import DocumentVerifier
from syncline.engines.postgres.documents.passes import DocumentPasses
from syncline.errors import CopyError, TargetUnavailableError, UnlikeWorkerError
from syncline.verify import progress
from syncline.verify.report import Kind, Verdict
from tests.damage.documents import EVERY, damaged, document, filled, key
from tests.integration.test_document_verify import link

__all__ = ["link"]


def sent(value):
    """Give what arrives in another process."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301  our own


class Nearby:
    """Does jobs as other processes would: with a declaration and sessions of their own, late, perhaps twice at once."""

    def __init__(self, documents, width=3, *, fails_at=None):
        self.documents, self.width, self.fails_at = documents, width, fails_at
        self.asked = []
        self._random = random.Random(12)
        self._turns = asyncio.Semaphore(width)

    async def run(self, job):
        self.asked.append(job)
        if len(self.asked) == self.fails_at:
            raise TargetUnavailableError("gone", hint="come back")
        async with self._turns:
            await asyncio.sleep(self._random.random() / 200)
            done = await asyncio.gather(*[self._done(job) for _ in range(self._random.choice((1, 2)))])
        return sent(done[-1])

    async def _done(self, job):
        async with AsyncExitStack() as stack:
            return await sent(DocumentWork(self.documents)).performer(stack).perform(sent(job))


@asynccontextmanager
async def shared(link, nearby=None, rate=None):
    likeness = Likeness(link.link.documents)
    try:
        yield Others(nearby or Nearby(link.link.documents), rate, likeness.of)
    finally:
        await likeness.close()


def cut_into(monkeypatch, size):
    for name in ("FIRST", "LEAST", "MOST"):
        monkeypatch.setattr(parts, name, size)


async def planted(link, ways=EVERY):
    """Damage documents of each collection in these ways, and rows that no document has; give what is to be found."""
    ids = await filled(link, random.Random(11), len(ways) + 8)
    found = {}
    for name, those in ids.items():
        for id_, what in zip(those, ways, strict=False):
            found[name, key(name, id_)] = await damaged(link, name, id_, what)
    before, behind = "0" * 24, "f" * 24
    for extra in (before, str(ObjectId()), behind):
        link.run(f"INSERT INTO postgres_tasks (mongo_id) VALUES ('{extra}')")
        found["tasks", extra] = Kind.EXTRA
    link.run("INSERT INTO postgres_tasks (mongo_id) VALUES ('none of ours')")
    return found | {("tasks", "none of ours"): Kind.FOREIGN}


def told(report):
    found = [(one.entity, one.key, one.kind) for part in report.entities for one in part.findings]
    assert max(Counter(found).values(), default=1) == 1
    return {(entity, key): kind for entity, key, kind in found}


def counted(report):
    return [(one.entity, one.records, one.documents, one.verdict) for one in report.entities]


@pytest.mark.parametrize("size", [9, 1000])
async def test_parts_find_what_one_walk_finds(link, monkeypatch, size):
    expected = await planted(link)
    one = await link.verified(size=10)
    cut_into(monkeypatch, size)
    nearby = Nearby(link.link.documents)
    async with shared(link, nearby) as others:
        many = await link.verified(size=10, others=others)
    assert told(many) == told(one) == expected
    assert counted(many) == counted(one)
    assert len(nearby.asked) == sum(-(-part.records // size) for part in one.entities if part.records)


async def test_a_part_full_of_suspects_ends_early_and_its_rest_is_looked_at(link, monkeypatch):
    ids = await filled(link, random.Random(5), 30)
    link.run("DELETE FROM postgres_tasks; DELETE FROM postgres_notes")
    cut_into(monkeypatch, 20)
    monkeypatch.setattr(verifying, "SUSPECTS", 4)
    monkeypatch.setitem(DocumentVerifier.__init__.__kwdefaults__, "size", 3)
    nearby = Nearby(link.link.documents)
    async with shared(link, nearby) as others:
        report = await link.verified(others=others)
    assert told(report) == {(name, key(name, id_)): Kind.MISSING for name, those in ids.items() for id_ in those}
    assert [one.records for one in report.entities] == [30, 30]
    assert len(nearby.asked) > 8


async def test_a_range_is_cut_within_its_bounds(link, monkeypatch):
    ids = sorted((await filled(link, random.Random(5), 30))["tasks"])
    cut_into(monkeypatch, 4)
    part = Part(str(ids[10]), str(ids[20]))
    link.run(f"DELETE FROM postgres_tasks WHERE mongo_id IN ('{ids[9]}', '{ids[10]}', '{ids[19]}', '{ids[20]}')")
    async with shared(link) as others:
        verifier = DocumentVerifier(link.link, patience=timedelta(seconds=0.2), others=others)
        report = await verifier.compare(await verifier.begun("tasks", part=part))
        await verifier.close()
    assert {one.key for one in report.findings} == {str(ids[10]), str(ids[19])}
    assert (report.records, report.documents) == (10, 8)


@pytest.mark.parametrize(("fails_at", "width"), [(3, 2), (5, 0)])
async def test_whoever_goes_on_after_a_failure_misses_nothing_and_counts_nothing_twice(
    link, monkeypatch, fails_at, width
):
    wide = [f"{16 * number:024x}" for number in range(1, 10)]
    await link.of("tasks").insert_many([{"_id": ObjectId(one)} for one in wide])
    expected = await planted(link, ["a text", "a row", "an element"])
    for gap in (63, 111, 143):  # rows without a document, before each document at which a part ends
        link.run(f"INSERT INTO postgres_tasks (mongo_id) VALUES ('{gap:024x}')")
        expected["tasks", f"{gap:024x}"] = Kind.EXTRA
    one = await link.verified(size=10)
    cut_into(monkeypatch, 3)
    for name in ("SAVE_SECONDS", "SAVE_SHARE"):
        monkeypatch.setattr(progress, name, 0)
    passes = DocumentPasses(link.url)

    async def run(nearby, *, resume):
        async with shared(link, nearby) as others:
            patience = timedelta(seconds=0.2)
            verifier = DocumentVerifier(link.link, patience=patience, size=4, others=others if nearby else None)
            try:
                return await VerifyRun(verifier, passes).verify(link.link.mappings, resume=resume)
            finally:
                await verifier.close()

    with pytest.raises(TargetUnavailableError):
        await run(Nearby(link.link.documents, 1, fails_at=fails_at), resume=False)
    report = await run(Nearby(link.link.documents, width) if width else None, resume=True)
    assert told(report) == expected
    assert counted(report) == counted(one)
    await passes.close()


async def test_the_rate_is_shared_by_all(link):
    await filled(link, random.Random(5), 3)
    nearby = Nearby(link.link.documents)
    async with shared(link, nearby, rate=9_000_000) as others:
        assert (await link.verified(others=others)).verdict is Verdict.EQUAL
    assert {job.rate for job in nearby.asked} == {3_000_000}


async def unmarked(link, count):
    chance = random.Random(3)
    for name in ("tasks", "notes"):
        ids = [ObjectId() if name == "tasks" else number for number in range(count)]
        await link.database[name].insert_many([document(chance, id_) for id_ in ids])
    await link.database["tasks"].insert_one({"_id": "no ObjectId"})


async def copied(link, nearby=None, **options):
    async with shared(link, nearby) as others:
        copier = DocumentCopier(link.link, others=others, **options)
        try:
            await copier.prepare()
            return await copier.run(link.link.collections)
        finally:
            await copier.close()


@pytest.mark.parametrize("size", [7, 1000])
async def test_parts_are_copied_as_one_copy_is(link, monkeypatch, size):
    await unmarked(link, 40)
    cut_into(monkeypatch, size)
    nearby = Nearby(link.link.documents)
    tasks, notes = await copied(link, nearby, size=5)
    assert [(one.documents, one.left, one.finished) for one in (tasks, notes)] == [(41, 1, True), (40, 0, True)]
    assert len(nearby.asked) == (-(-41 // size)) + (-(-40 // size))
    assert [one.before for one in await copied(link)] == [True, True]
    await link.walk()
    report = await link.verified()
    assert [(one.records, one.documents, one.parked) for one in report.entities] == [(41, 40, 1), (40, 40, 0)]


async def test_a_copy_goes_on_after_a_failure(link, monkeypatch):
    await unmarked(link, 40)
    cut_into(monkeypatch, 7)
    monkeypatch.setattr(copying, "RETRIES", 0)
    with pytest.raises(TargetUnavailableError):
        await copied(link, Nearby(link.link.documents, 2, fails_at=5))
    nearby = Nearby(link.link.documents, 2)
    tasks, notes = await copied(link, nearby)
    assert [(one.documents, one.finished) for one in (tasks, notes)] == [(41, True), (40, True)]
    assert len(nearby.asked) <= 6 + 6


async def test_who_copies_for_a_copy_that_was_taken_over_writes_nothing(link):
    await unmarked(link, 5)
    nearby = Nearby(link.link.documents)
    await copied(link, nearby)
    job = next(job for job in nearby.asked if isinstance(job, CopyPart))
    with pytest.raises(CopyError, match="somebody else has taken its copy over"):
        await nearby._done(replace(job, attempt=job.attempt - 1))


async def test_whoever_is_unlike_the_command_is_refused(link):
    await filled(link, random.Random(5), 3)
    nearby = Nearby(link.link.documents)
    async with shared(link, nearby) as others:
        await link.verified(others=others)
    job = nearby.asked[0]
    for name in ("release", "guard", "mapping"):
        with pytest.raises(UnlikeWorkerError):
            await nearby._done(replace(job, same=replace(job.same, **{name: "0"})))
    with pytest.raises(UnlikeWorkerError, match="there is no collection 'others'"):
        await nearby._done(replace(job, collection="others"))
    with pytest.raises(TypeError, match="no job: str"):
        await nearby._done("anything")
