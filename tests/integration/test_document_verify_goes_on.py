"""Verifications of documents that go on: a killed one where it was, and those of workers for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from syncline.config.settings import VerifySettings
from syncline.documents import continuous
from syncline.documents.continuous import ContinuousVerification
from syncline.documents.opening import opened
from syncline.documents.passing import Passing
from syncline.documents.status import read_status
from syncline.documents.verify_run import FORM, VerifyRun
from syncline.documents.verifying import DocumentVerifier
from syncline.ending import end
from syncline.engines.postgres.documents.passes import DocumentPasses, DocumentRounds
from syncline.errors import SynclineError
from syncline.verify import progress
from syncline.verify.report import VerifyReport
from syncline.verify.spool import ReportFile, keys_in
from tests.document_link import DocumentStage
from tests.programs import DOCUMENT_LINKS
from tests.relay import PATIENCE, until

pytestmark = DOCUMENT_LINKS

DECLARED = """
[collections.tasks]
columns = { n = "integer" }
[collections.notes]
id = "any"
columns = { n = "integer" }
"""
DOCUMENTS = 30
PAGE = 10
NAMES = ("tasks", "notes")
UNDER_WAY = "SELECT collection, (state ->> 'records')::int, claimed_by IS NULL FROM syncline_documents.verification"
PROVED = "SELECT collection, verdict, documents FROM syncline_documents.certificate ORDER BY id"
FREE = "UPDATE syncline_documents.verification SET claimed_until = now()"


class Killed(BaseException):
    """The process is gone: nothing is cleaned up."""


@pytest.fixture
def stage(
    tmp_path: Path, mongo_url: str, mongo_db: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DocumentStage]:
    for name in ("SAVE_SECONDS", "SAVE_SHARE"):
        monkeypatch.setattr(progress, name, 0)
    for name in ("IDLE_SECONDS", "TROUBLE_SECONDS"):
        monkeypatch.setattr(continuous, name, 0.05)
    monkeypatch.setattr(continuous, "SLOWEST", 1e6)
    made = DocumentStage(tmp_path, mongo_url, mongo_db, database, DECLARED)
    made.make_tables()
    made.call("install", "--yes")
    for name in NAMES:
        ids = [ObjectId(f"{number:024x}") if name == "tasks" else f"n{number:02}" for number in range(DOCUMENTS)]
        made.collection(name).insert_many([{"_id": id_, "n": number} for number, id_ in enumerate(ids)])
    made.call("copy")
    yield made
    made.close()


def damage(stage: DocumentStage) -> dict[str, set[int]]:
    """Do something at the beginning, in the middle and at the end of both."""
    for name in NAMES:
        stage.sql(f"UPDATE postgres_{name} SET n = 99 WHERE n IN (1, {DOCUMENTS - 1})")
        stage.sql(f"DELETE FROM postgres_{name} WHERE n = 15")
    stage.sql(
        "INSERT INTO postgres_notes (mongo_id, n) SELECT replace(mongo_id, 'n03', 'zz'), 4 FROM postgres_notes WHERE n = 3"
    )
    return {"tasks": {1, 15, DOCUMENTS - 1}, "notes": {1, 15, DOCUMENTS - 1, -1}}


async def verify(
    stage: DocumentStage, *names: str, resume: bool = False, taker: ReportFile | None = None
) -> VerifyReport:
    async with opened(stage.documents.only(names or NAMES)) as link:
        patience = timedelta(seconds=0.1)
        verifier = DocumentVerifier(link, size=PAGE, patience=patience, taker=taker)
        passes = DocumentPasses(stage.database, ttl=timedelta(seconds=5))
        try:
            return await VerifyRun(verifier, passes, taker=taker).verify(link.mappings, resume=resume)
        finally:
            await verifier.close()
            await passes.close()


async def died(
    stage: DocumentStage, monkeypatch: pytest.MonkeyPatch, *names: str, saves: int = 1, **options: Any
) -> None:
    """Let a verification die when it has kept its place so often."""
    save, count = Passing.save, []

    async def dying(self: Passing) -> None:
        await save(self)
        count.append(self)
        if len(count) == saves:
            raise Killed

    async def nothing(*_: object) -> None:
        """A dead process releases no claim."""

    with monkeypatch.context() as patch:
        patch.setattr(Passing, "save", dying)
        patch.setattr(DocumentPasses, "release", nothing)
        with pytest.raises(Killed):
            await verify(stage, *names, **options)
    stage.sql(FREE)  # as after some seconds


def kinds(report: VerifyReport) -> dict[str, int]:
    return {one.entity: one.counts.total() for one in report.entities}


@pytest.mark.parametrize(("name", "saves"), [("tasks", 1), ("tasks", 3), ("notes", 2), ("notes", 4), ("notes", 6)])
async def test_what_was_damaged_before_and_behind_the_place_is_found(
    stage: DocumentStage, monkeypatch: pytest.MonkeyPatch, name: str, saves: int
) -> None:
    expected = damage(stage)
    (whole,) = (await verify(stage, name)).entities
    await died(stage, monkeypatch, name, saves=saves)
    ((_, records, _),) = stage.sql(UNDER_WAY)
    assert records >= min(saves, 3) * PAGE - PAGE
    (one,) = (await verify(stage, name, resume=True)).entities
    assert (one.records, one.documents, one.counts) == (whole.records, whole.documents, whole.counts)
    assert (one.counts.total(), len(one.resumed)) == (len(expected[name]), 1)
    assert one.as_of < one.resumed[0]
    assert stage.sql(f"{PROVED} DESC LIMIT 1") == [(name, "divergent", DOCUMENTS)]
    assert stage.sql(UNDER_WAY) == []


async def test_what_was_damaged_after_the_kill_is_found_and_the_report_goes_on(
    stage: DocumentStage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    damage(stage)
    path = tmp_path / "report.jsonl"
    with contextlib.closing(ReportFile(path)) as file:
        await died(stage, monkeypatch, saves=5, taker=file)  # the first is done, and a page of the second
    assert [row[0] for row in stage.sql(f"{UNDER_WAY} ORDER BY id")] == [*NAMES]
    with path.open("a") as torn:
        torn.write('{"finding": {"entity": "tasks", "key": "77"}}\n{"findi')
    stage.sql("DELETE FROM postgres_tasks WHERE n = 20; DELETE FROM postgres_notes WHERE n = 28")
    file = ReportFile(path, resume=True)
    report = await verify(stage, resume=True, taker=file)
    file.end({})
    assert kinds(report) == {"tasks": 3, "notes": 5}, "what was done is not done again"
    assert len([*keys_in(path)]) == 8
    assert stage.sql(UNDER_WAY) == []


@pytest.mark.parametrize("change", ["the link", "the declaration", "a new verification"])
async def test_what_is_not_the_same_any_more_is_begun_again(
    stage: DocumentStage, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    await died(stage, monkeypatch, "tasks")
    if change == "the link":
        stage.sql("UPDATE syncline_documents.link SET number = number + 1")
    elif change == "the declaration":
        stage.sql(f"UPDATE syncline_documents.verification SET scope = replace(scope, '[{FORM}', '[0')")
    else:
        await verify(stage, "tasks")
        assert stage.sql(UNDER_WAY) == []
    (one,) = (await verify(stage, "tasks", resume=True)).entities
    assert (one.records, one.resumed) == (DOCUMENTS, [])


async def test_a_verification_whose_process_lives_is_not_taken_away(
    stage: DocumentStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await died(stage, monkeypatch, "tasks")
    stage.sql("UPDATE syncline_documents.verification SET claimed_until = now() + interval '1 h'")
    passes = DocumentPasses(stage.database, ttl=timedelta(seconds=-1.5))
    ((scope,),) = stage.sql("SELECT scope FROM syncline_documents.verification")
    with pytest.raises(SynclineError, match="another process is verifying tasks"):
        await passes.resume("tasks", scope)
    await passes.close()


async def test_what_was_claimed_before_the_clock_was_set_back_is_free_soon(
    stage: DocumentStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await died(stage, monkeypatch, "tasks")
    stage.sql(
        "INSERT INTO syncline_documents.verification (origin, collection, scope, claimed_by) VALUES ('worker', '', '', 'dead')"
    )
    ahead = "UPDATE syncline_documents.verification SET claimed_until = now() + interval '1 h'"
    far = "SELECT count(*) FROM syncline_documents.verification WHERE claimed_until > now() + interval '20 s'"
    passes, rounds = DocumentPasses(stage.database, ttl=timedelta(seconds=-1.5)), DocumentRounds(stage.database)
    ((scope,),) = stage.sql("SELECT scope FROM syncline_documents.verification WHERE origin = 'command'")
    for asking in (lambda: passes.resume("tasks", scope), lambda: passes.forget(["tasks"]), rounds.claim):
        stage.sql(ahead)
        with contextlib.suppress(SynclineError):
            assert await asking() is None
        assert stage.sql(far) == [(0,)]
    await passes.close()
    await rounds.close()


async def test_a_proof_of_the_future_puts_no_pass_off(stage: DocumentStage) -> None:
    await verify(stage, "tasks")
    rounds = DocumentRounds(stage.database)
    assert 0 <= (await rounds.ages())["tasks"] < 60
    stage.sql("UPDATE syncline_documents.certificate SET made_at = now() + interval '1 h'")
    assert await rounds.ages() == {}
    await rounds.close()


def test_the_command_goes_on_and_says_what_system_a_says(stage: DocumentStage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no worker is running" in stage.call("verify")
    asyncio.run(died(stage, monkeypatch, "tasks"))
    found = stage.json("verify", "tasks", "--resume")
    assert (found["exitStatus"], found["workers"], found["queue"]) == (0, 0, 0)
    assert [(one["records"], len(one["resumed"])) for one in found["entities"]] == [(DOCUMENTS, 1)]
    assert "--resume does not go with --sample" in stage.call("verify", "--resume", "--sample", "5", status=3)
    damage(stage)
    (tasks, notes) = stage.json("verify", "--sample", "100", status=1)["entities"]
    assert (tasks["mode"], tasks["divergent"], notes["divergent"]) == (
        "sample",
        {"different": 2, "missing": 1},
        {"different": 2, "extra": 1, "missing": 1},
    )


@contextlib.asynccontextmanager
async def verifying(stage: DocumentStage, *, workers: int = 1, **settings: Any) -> AsyncIterator[None]:
    """Have workers that verify, and do nothing else."""
    asked = VerifySettings(**{"period": timedelta(hours=1), "rate": 1_000_000} | settings)
    async with opened(replace(stage.documents, verify=asked)) as link:
        tasks = [
            asyncio.create_task(ContinuousVerification(link, f"worker {number}").run()) for number in range(workers)
        ]
        try:
            yield
        finally:
            assert not await end(*tasks, seconds=PATIENCE)
            for task in tasks:
                assert task.cancelled(), task.exception()


async def proved(stage: DocumentStage, count: int) -> list[Any]:
    await until(lambda: len(stage.sql(PROVED)) >= count, seconds=60, what=f"{count} certificates")
    return stage.sql(PROVED)


async def test_workers_verify_every_collection_once_in_a_period(stage: DocumentStage) -> None:
    async with verifying(stage, workers=3):
        assert sorted(await proved(stage, 2)) == [("notes", "equal", DOCUMENTS), ("tasks", "equal", DOCUMENTS)]
        turn = "SELECT collection FROM syncline_documents.verification"
        await until(lambda: stage.sql(turn) == [("",)], seconds=30, what="nobody's turn")
        assert len(stage.sql(PROVED)) == 2, "one at a time, and once"
        stage.sql(
            "UPDATE syncline_documents.certificate SET made_at = made_at - interval '2 h' WHERE collection = 'notes'"
        )
        assert [name for name, *_ in (await proved(stage, 3))[2:]] == ["notes"]


async def test_divergence_is_told_until_a_pass_finds_none_and_nothing_is_repaired(stage: DocumentStage) -> None:
    damage(stage)
    stage.sql("UPDATE syncline_documents.copy SET done_at = NULL WHERE collection = 'notes'")
    async with verifying(stage, period=timedelta(microseconds=1)):
        assert {name for name, *_ in await proved(stage, 2)} == {"tasks"}, "the other one is being copied"
        found = (await read_status(stage.documents)).whole
        (alert,) = [one for one in found.alerts if one.name == "Diverged"]
        assert alert.message.startswith("tasks: 2 different, 1 missing, as of ")
        (proof,) = found.certificates
        assert (proof["entity"], proof["divergent"]) == ("tasks", {"different": 2, "missing": 1})
        assert stage.sql("SELECT count(*) FROM postgres_tasks WHERE n = 99") == [(2,)]
        await asyncio.to_thread(stage.call, "repair", "tasks")
        await asyncio.to_thread(
            stage.work, lambda: stage.sql("SELECT count(*) FROM postgres_tasks WHERE n = 99") == [(0,)]
        )
        await until(
            lambda: "equal" in {verdict for _, verdict, _ in stage.sql(PROVED)}, seconds=60, what="a clean pass"
        )
    assert "Diverged" not in [one.name for one in (await read_status(stage.documents)).whole.alerts]


async def test_another_worker_goes_on_where_a_dead_one_was_and_one_that_is_stopped_gives_its_turn_back(
    stage: DocumentStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(stage)
    save, stuck = Passing.save, asyncio.Event()

    async def hangs(self: Passing) -> None:
        await save(self)
        stuck.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(Passing, "save", hangs)
        async with verifying(stage):
            await asyncio.wait_for(stuck.wait(), 30)
            ((name, records, _),) = stage.sql(UNDER_WAY)
            assert records == DOCUMENTS
        ((_, _, free),) = stage.sql(UNDER_WAY)
        assert free, "a worker that is stopped gives its turn back"
    async with verifying(stage):
        await proved(stage, 2)
    assert sorted(stage.sql(PROVED)) == [("notes", "divergent", DOCUMENTS), ("tasks", "divergent", DOCUMENTS)]
    assert name in NAMES


async def test_a_collection_that_cannot_be_verified_stands_back_and_says_why(stage: DocumentStage) -> None:
    stage.sql("ALTER TABLE postgres_tasks DROP COLUMN n")
    async with verifying(stage, period=timedelta(microseconds=1)):
        assert {name for name, *_ in await proved(stage, 2)} == {"notes"}
        failed = "SELECT collection FROM syncline_documents.verify_failed"
        await until(lambda: stage.sql(failed) == [("tasks",)], seconds=30, what="it is noted")
        found = (await read_status(stage.documents)).whole
        assert [one.name for one in found.alerts if one.name == "VerifyFailed"] == ["VerifyFailed"]
    stage.sql("ALTER TABLE postgres_tasks ADD COLUMN n integer")
    told = await asyncio.to_thread(stage.call, "status", status=1)
    assert "VerifyFailed: tasks: cannot be verified: the tables of tasks are not as declared" in " ".join(told.split())
    await asyncio.to_thread(stage.call, "verify", "tasks", status=1)
    assert stage.sql(failed) == [], "a pass that comes to its end settles it"


@pytest.fixture
def backup(stage: DocumentStage) -> None:
    """The notes are complete: MongoDB's are of another moment than their rows."""
    phases = {"_id": "phases", "gates": [], "collections": [{"name": "notes", "phase": "complete"}]}
    stage.mongo["syncline_phases"].replace_one({"_id": "phases"}, phases, upsert=True)


async def test_a_backup_is_not_verified_by_workers(stage: DocumentStage, backup: None) -> None:
    async with verifying(stage, period=timedelta(microseconds=1)):
        assert {name for name, *_ in await proved(stage, 2)} == {"tasks"}


def test_a_backup_is_left_out_aloud_and_refused_where_it_is_asked_for(stage: DocumentStage, backup: None) -> None:
    assert "left out, being complete: notes" in stage.call("verify")
    said = " ".join(stage.call("verify", "notes", status=3).split())
    assert "notes: complete: MongoDB is a backup of the moment when it was closed, and is not compared" in said
    assert "syncline phase back notes" in said


def test_a_worker_verifies_where_it_is_told_to(stage: DocumentStage) -> None:
    stage.declare(f'{DECLARED}[verify]\ncontinuously = true\nperiod = "1h"\n')
    stage.work(lambda: len(stage.sql(PROVED)) == 2)
    assert stage.json("config", "show")["verify"]["continuously"] is True
    assert sorted(stage.sql(PROVED)) == [("notes", "equal", DOCUMENTS), ("tasks", "equal", DOCUMENTS)]
