"""What a process that does jobs keeps open between them."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace

import pytest

from syncline.documents import performing as of_documents
from syncline.documents.parts import LookPart
from syncline.documents.passing import Part
from syncline.documents.performing import DocumentPerformer
from syncline.errors import SourceUnavailableError, TargetUnavailableError
from syncline.ports import Plans, Same
from syncline.wiring import performing
from syncline.wiring.backfilling import TaskJob
from syncline.wiring.performing import LinkPerformer

SAME = Same("1", "g", "m")


class Bench:
    """Runs nothing; its connection may be lost."""

    plans = Plans({1: SimpleNamespace(name="items", id=1)}, {})
    tasks = SimpleNamespace(claim=print)
    lost: Exception | None = None

    async def same_when_there(self, _plan, *, targets, renew):
        return SAME

    def runner(self, _owner):
        return self

    async def resume(self, task):
        if self.lost is not None:
            raise self.lost
        return task


@pytest.mark.parametrize("kind", [SourceUnavailableError, TargetUnavailableError])
async def test_after_an_outage_the_next_job_has_new_connections(monkeypatch, kind):
    made, closed = [], []

    @asynccontextmanager
    async def opened_bench(_settings):
        made.append(Bench())
        yield made[-1]
        closed.append(True)

    monkeypatch.setattr(performing, "opened_bench", opened_bench)
    job = TaskJob(7, "items", "me", SAME)
    async with AsyncExitStack() as stack:
        performer = LinkPerformer(SimpleNamespace(), stack)
        assert [await performer.perform(job), await performer.perform(job)] == [7, 7]
        assert (len(made), closed) == (1, [])
        made[0].lost = kind("gone")
        with pytest.raises(kind):
            await performer.perform(job)
        assert closed == [True]
        assert await performer.perform(job) == 7
        assert len(made) == 2
    assert closed == [True, True]


class Verifier:
    """Looks at nothing."""

    def __init__(self, link):
        self.link = link

    async def look_at(self, job):
        if self.link.lost is not None:
            raise self.link.lost
        return job.collection

    async def close(self):
        self.link.closed.append("verifier")


class Likeness:
    """Always the same."""

    def __init__(self, documents):
        self.closed = documents

    async def of(self, _mapping):
        return SAME

    async def close(self):
        self.closed.append("likeness")


@pytest.mark.parametrize("kind", [SourceUnavailableError, TargetUnavailableError])
async def test_after_an_outage_the_next_job_about_documents_has_a_new_link(monkeypatch, kind):
    made, closed = [], []

    @asynccontextmanager
    async def opened_standing(_documents):
        made.append(SimpleNamespace(lost=None, closed=closed, mapping=str))
        yield made[-1]
        closed.append("link")

    monkeypatch.setattr(of_documents, "opened_standing", opened_standing)
    monkeypatch.setattr(of_documents, "Likeness", Likeness)
    monkeypatch.setattr(of_documents, "DocumentVerifier", Verifier)
    job = LookPart("items", Part(), (None, None), None, None, None, SAME)
    async with AsyncExitStack() as stack:
        performer = DocumentPerformer(closed, stack)
        assert [await performer.perform(job), await performer.perform(job)] == ["items", "items"]
        assert (len(made), closed) == (1, [])
        made[0].lost = kind("gone")
        with pytest.raises(kind):
            await performer.perform(job)
        assert closed == ["verifier", "likeness", "link"]
        assert await performer.perform(job) == "items"
        assert len(made) == 2
    assert closed == 2 * ["verifier", "likeness", "link"]
