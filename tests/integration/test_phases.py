"""The phases of collections: kept in both databases, changed by commands, followed by processes."""

from __future__ import annotations

import contextvars
import json
import multiprocessing
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pymongo import ReadPreference
from pymongo.read_concern import ReadConcern
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.errors import PhaseError, PhaseUnknownError, SourceUnavailableError
from syncline.model.documents.query_shapes import QueryShape
from syncline.phases import FixedPhases, JournalPhases, Phase, epoch
from syncline.phases.changing import Control
from syncline.phases.enabled import default_phase
from syncline.phases.epoch import one_epoch
from syncline.phases.evidence import Evidence, gathered
from syncline.phases.in_mongodb import MARKS, InMongoDB
from syncline.phases.in_postgresql import InPostgreSQL
from syncline.phases.repositories.abstract import writes
from syncline.phases.repositories.phased import phased
from syncline.phases.shadow import BlockingShadowReads
from syncline.phases.shadow.report import Mismatch, Outcome, Report
from syncline.phases.shadow.rules import Read, Rules
from syncline.phases.standing import Standing

NOBODY = "postgresql://127.0.0.1:1/nobody"
FILE = """
[collections.tasks]
columns = { title = "text" }
[collections."odd.$name"]
columns = { name = "text" }
[collections.labels]
columns = { name = "text" }
"""
LONG = timedelta(seconds=60)


class Both:
    """Both databases of a file, and the command."""

    def __init__(self, mongodb: str, postgresql: str, folder: Path) -> None:
        (folder / "syncline.toml").write_text(FILE)
        self.urls = {"MONGODB_URL": mongodb, "DATABASE_URL": postgresql}
        self.config = ["--config", str(folder / "syncline.toml")]
        self.mongodb, self.postgresql = InMongoDB(mongodb), InPostgreSQL(postgresql)
        self.control = Control(self.mongodb, self.postgresql, Phase.DUAL_WRITE)

    def __call__(self, *arguments: object, status: int = 0, **variables: str) -> str:
        words = ["phase", *map(str, arguments), *self.config]
        result = CliRunner().invoke(app, words, env={"DUAL_WRITE_ENABLED": "", **self.urls, **variables})
        assert result.exit_code == status, result.output + repr(result.exception)
        return " ".join(result.output.split())

    def json(self, *arguments: object, **variables: str) -> Any:
        return json.loads(self(*arguments, "--json", **variables))

    def forced(self, *arguments: object) -> Any:
        return self.json("advance", *arguments, "--force", "--reason", "a test")

    def at(self, phase: Phase, percent: float = 0.0) -> int:
        """Put the tasks into a phase, as if there had been evidence."""
        self.postgresql.prepare()
        number = max((one.number for one in self.control.standings(["tasks"]).values()), default=0) + 1
        standings = {"tasks": Standing(phase, percent, number, datetime.now(UTC))}
        self.postgresql.put(standings)
        self.mongodb.put(standings)
        return number

    def phases(self, lease: timedelta = LONG, **options: Any) -> JournalPhases:
        return JournalPhases(*self.urls.values(), lease=lease, env={}, **options)


@pytest.fixture
def both(mongo_url, mongo_db, database, tmp_path):
    one = Both(mongo_url.replace("/?", f"/{mongo_db}?"), database, tmp_path)
    yield one
    one.mongodb.close()
    one.postgresql.close()


def test_a_collection_goes_by_phases_and_back_and_everything_is_written_down(both):
    assert [one["phase"] for one in both.json("status")["collections"]] == ["off"] * 3
    held = both("advance", "tasks", status=3)
    assert "the step to dual_write is held back: tasks: its tables are not prepared: `syncline install`" in held
    assert "--force needs a reason" in both("advance", "tasks", "--force", status=3)
    lacks = "its tables are not prepared: `syncline install`"
    told = both.forced("tasks", "odd.$name")
    assert told.pop("waitedSeconds") >= 0
    assert told == {
        "collections": ["tasks", "odd.$name"], "was": "off", "phase": "dual_write", "percent": 0, "number": 1, "done": True,
        "against": [f"tasks: {lacks}", f"odd.$name: {lacks}"],
    }  # fmt: skip
    for phase in ("shadow", "ramp"):
        assert both.forced("tasks")["phase"] == phase
    assert both.forced("tasks", "--percent", 12.5)["percent"] == 12.5
    shown = {one["collection"]: one for one in both.json("status")["collections"]}
    assert [shown["tasks"][name] for name in ("phase", "percent", "number")] == ["ramp", 12.5, 4]
    assert shown["odd.$name"]["phase"] == "dual_write"
    assert both.json("back", "tasks", "--percent", 5)["percent"] == 5
    assert [both.json("back", "tasks")["phase"] for _ in range(3)] == ["shadow", "dual_write", "off"]
    assert "off is the first phase" in both("back", "tasks", status=3)
    told = both.json("history", "tasks")
    assert [(one["was"], one["phase"]) for one in told] == [
        ("dual_write", "off"), ("shadow", "dual_write"), ("ramp", "shadow"), ("ramp", "ramp"),
        ("ramp", "ramp"), ("shadow", "ramp"), ("dual_write", "shadow"), ("off", "dual_write"),
    ]  # fmt: skip
    assert told[-1]["reason"] == "a test"
    assert told[-1]["against"] == [f"tasks: {lacks}", f"odd.$name: {lacks}"], "a group goes together"
    assert told[0]["against"] == []
    assert "off → dual_write" in both("history", "tasks")


def test_a_dry_run_and_a_check_change_nothing(both):
    both.postgresql.prepare()
    told = both.json("advance", "tasks", "--dry-run")
    assert (told["phase"], told["done"], len(told["against"])) == ("dual_write", False, 1)
    assert both("check", "tasks", status=1).startswith("tasks: off → dual_write NO tasks: its tables are not prepared")
    assert "would go: tasks" in both("advance", "tasks", "--dry-run")
    assert both.postgresql.read() == both.mongodb.read() == {}


REFUSED: list[tuple[list[Any], str]] = [
    (["advance", "nothing"], "there is no collection 'nothing'"),
    (
        ["advance", "tasks", "labels"],
        "a group goes together, and these are not: tasks in ramp (40 %), labels in off",
    ),
    (["advance", "tasks"], "the step to live is held back"),
    (["advance", "tasks", "--percent", 40], "the ramp is at 40 % already"),
    (["advance", "tasks", "--percent", 101], "between 0 and 100 percent, not 101"),
    (["advance", "labels", "--percent", 5], "dual_write has no percentage"),
    (["back", "tasks", "--percent", 40], "cannot go back to 40 %"),
    (["back", "labels", "--percent", 40], "off cannot go back to 40 %"),
    (["status", "--link", "other"], "a file with [collections] is one link, without a name"),
]


def test_what_is_no_step_is_refused_in_words(both):
    both.at(Phase.RAMP, 40)
    before = both.postgresql.read()
    for words, said in REFUSED:
        assert said in both(*words, status=3), words
    assert both.postgresql.read() == before


@pytest.mark.parametrize(
    ("text", "phase"),
    [("", "off"), ("false", "off"), ("true", "dual_write"), ("on", "dual_write"), (" YES ", "dual_write")],
)
def test_a_variable_says_the_phase_of_new_collections(text, phase):
    assert default_phase({"DUAL_WRITE_ENABLED": text}) == phase


def test_the_command_knows_the_variable(both):
    assert both.json("status", "tasks", DUAL_WRITE_ENABLED="1")["collections"][0]["phase"] == "dual_write"


def test_the_variable_says_yes_or_no(both):
    assert "DUAL_WRITE_ENABLED=perhaps: one of true, " in both("status", status=3, DUAL_WRITE_ENABLED="perhaps")


def test_a_process_that_says_no_does_not_start_where_postgresql_is_written(both):
    both.at(Phase.SHADOW)
    phases = JournalPhases(*both.urls.values(), env={"DUAL_WRITE_ENABLED": "false"})
    with pytest.raises(PhaseError, match=r"tasks \(shadow\)\n  `syncline phase back tasks`"):
        phases.start()
    assert both.mongodb.processes() == []
    both.at(Phase.OFF)
    with JournalPhases(*both.urls.values(), env={"DUAL_WRITE_ENABLED": "false"}) as phases:
        assert phases.of("tasks") is Phase.OFF


def test_processes_go_by_one_phase_of_new_collections(both):
    given = {"DUAL_WRITE_ENABLED": "true"}
    for _ in range(2):
        with JournalPhases(*both.urls.values(), env=given) as phases:
            assert phases.of("tasks") is Phase.DUAL_WRITE
    other = JournalPhases(*both.urls.values(), env={})
    with pytest.raises(PhaseError, match="are in dual_write for the other processes, and in off here"):
        other.start()
    with pytest.raises(PhaseUnknownError):
        other.of("tasks")
    assert both.mongodb.processes() == []
    assert both.json("status", "tasks")["collections"][0]["phase"] == "dual_write"
    assert both.forced("tasks")["phase"] == "shadow"
    assert both.mongodb.default() is Phase.DUAL_WRITE


def test_a_process_follows_and_a_change_waits_for_it(both):
    both.at(Phase.SHADOW)
    with both.phases(timedelta(seconds=4)) as phases:
        assert phases.of("tasks") is Phase.SHADOW
        assert phases.of("labels") is Phase.OFF
        assert not phases.reads_postgresql("tasks", "x")
        both.forced("tasks", "--percent", 50)
        assert phases.of("tasks") is Phase.RAMP
        assert phases.percent("tasks") == 50
        fixed = FixedPhases(Phase.RAMP, percent=50)
        assert all(phases.reads_postgresql("tasks", k) == fixed.reads_postgresql("tasks", k) for k in "abcdefgh")
        shown = both.json("status", "tasks")
        assert shown["collections"][0]["behind"] == []
        assert [one["name"] for one in shown["processes"]] == [phases.process]
        assert both.json("back", "tasks")["waitedSeconds"] >= 0
        assert phases.of("tasks") is Phase.SHADOW
    assert both.mongodb.processes() == []


def test_a_request_goes_by_one_phase_and_a_change_waits_for_it(both, monkeypatch):
    monkeypatch.setattr(epoch, "HOLD_SECONDS", LONG.total_seconds())
    both.at(Phase.RAMP, 100)
    with both.phases(timedelta(seconds=4)) as phases:
        change = both.control.backward(["tasks"], None)
        with one_epoch() as request:
            assert phases.reads_postgresql("tasks", "x")
            change = both.control.take_back(change)
            while contextvars.Context().run(phases.of, "tasks") is not Phase.SHADOW:  # who is in no request
                time.sleep(0.01)
            assert [one.name for one in both.control.behind(change.number)] == [phases.process]
            assert phases.reads_postgresql("tasks", "x")
        assert request.number == change.number - 1
        both.control.wait(change.number)
        assert not phases.reads_postgresql("tasks", "x")


def test_a_process_that_is_frozen_is_waited_for_until_its_lease_has_run_out(both):
    number = both.at(Phase.RAMP, 50)
    both.mongodb.beat("frozen", number, 1.0)
    change = both.control.backward(["tasks"], None)
    change = both.control.take_back(change)
    seen: list[str] = []
    both.control.wait(change.number, lambda behind: seen.extend(one.name for one in behind))
    assert set(seen) == {"frozen"}
    assert both.mongodb.processes() == []


def test_the_lease_is_noted_before_the_phases_are_read(both):
    """Who changes a phase right after it was read has to find the lease."""
    found: list[int] = []

    class Watched(InMongoDB):
        def read_all(self) -> Any:
            said = super().read_all()
            found.append(len(self.processes()))
            return said

    both.at(Phase.RAMP, 50)
    place = Watched(both.urls["MONGODB_URL"])
    with JournalPhases(place, InPostgreSQL(both.urls["DATABASE_URL"]), lease=LONG, env={}):
        assert found[0] == 1


def test_without_postgresql_a_process_starts_and_a_step_back_is_made(both):
    both.at(Phase.RAMP, 50)
    both.urls["DATABASE_URL"] = NOBODY
    with both.phases(timedelta(seconds=4)) as phases:
        assert phases.of("tasks") is Phase.RAMP
        assert "PostgreSQL's journal does not have it yet" in both("back", "tasks")
        assert phases.of("tasks") is Phase.SHADOW
        assert both.json("status", "tasks")["collections"][0]["phase"] == "shadow"
        both("advance", "tasks", "--force", "--reason", "x", status=3)
        assert phases.of("tasks") is Phase.SHADOW


def test_what_was_changed_without_postgresql_is_brought_there_by_the_next_change(both):
    both.at(Phase.RAMP, 50)
    away = Control(both.mongodb, InPostgreSQL(NOBODY), Phase.OFF)
    assert away.take_back(away.backward(["tasks"], None), reason="slow").missed
    assert both.postgresql.read()["tasks"].phase is Phase.RAMP
    assert both.json("status", "tasks")["collections"][0]["phase"] == "shadow"
    both.forced("labels")
    assert both.postgresql.read()["tasks"].phase is Phase.SHADOW
    (told,) = both.json("history", "tasks")
    assert (told["was"], told["phase"], told["reason"]) == ("ramp", "shadow", "slow")
    assert both.mongodb.pending() == []
    assert both.forced("tasks")["phase"] == "ramp"


def test_without_mongodb_a_phase_before_live_is_not_known(both):
    both.at(Phase.RAMP, 50)
    phases = JournalPhases(InMongoDB("mongodb://127.0.0.1:1/nothing", seconds=0.2), both.urls["DATABASE_URL"], env={})
    with phases, pytest.raises(PhaseUnknownError, match="the phase of tasks is not known: MongoDB was not heard"):
        phases.of("tasks")


def test_from_live_on_postgresql_alone_says_the_phase(both):
    both.at(Phase.LIVE)
    with JournalPhases(
        InMongoDB("mongodb://127.0.0.1:1/nothing", seconds=0.2), both.urls["DATABASE_URL"], env={}
    ) as phases:
        assert phases.of("tasks") is Phase.LIVE
        assert phases.reads_postgresql("tasks", "x")


def test_without_both_a_process_does_not_start():
    phases = JournalPhases(InMongoDB("mongodb://127.0.0.1:1/nothing", seconds=0.2), NOBODY, env={})
    with pytest.raises(PhaseUnknownError, match="127"):
        phases.start()


def test_what_is_known_holds_as_long_as_the_lease(both):
    both.at(Phase.RAMP, 50)
    gone = threading.Event()

    class Lost(InMongoDB):
        def beat(self, process: str, number: int, lease_seconds: float, *, gate: int = 0) -> None:
            if gone.is_set():
                raise SourceUnavailableError("gone")
            super().beat(process, number, lease_seconds, gate=gate)

    place = Lost(both.urls["MONGODB_URL"])
    with JournalPhases(place, InPostgreSQL(both.urls["DATABASE_URL"]), lease=timedelta(seconds=0.5), env={}) as phases:
        gone.set()
        ends = time.monotonic() + 30
        while time.monotonic() < ends and known(phases):
            time.sleep(0.01)
        with pytest.raises(PhaseUnknownError, match="MongoDB was not heard: gone"):
            phases.of("tasks")
        gone.clear()
        while time.monotonic() < ends and "tasks" not in known(phases):
            time.sleep(0.01)
        assert known(phases) == {"tasks": Phase.RAMP}


def test_a_lease_runs_out_while_the_machine_sleeps(both, monkeypatch):
    number = both.at(Phase.RAMP, 50)
    with both.phases() as phases:
        assert phases.of("tasks") is Phase.RAMP
        assert phases.holds("tasks", 0)
        monkeypatch.setattr(both.mongodb.__class__, "beat", _unheard)
        real = time.clock_gettime
        monkeypatch.setattr(
            time, "clock_gettime", lambda which: real(which) + LONG.total_seconds() * (which == time.CLOCK_BOOTTIME)
        )
        with pytest.raises(PhaseUnknownError, match="MongoDB was not heard"):
            phases.of("tasks")
        assert not phases.holds("tasks", 0)
    assert number == 1


def test_a_process_that_leaves_goes_by_nothing_any_more_before_it_says_so(both):
    both.at(Phase.RAMP, 50)
    held: list[bool] = []

    class Leaving(InMongoDB):
        def leave(self, process: str) -> None:
            held.append(phases.holds("tasks", 0))
            super().leave(process)

    phases = JournalPhases(Leaving(both.urls["MONGODB_URL"]), both.urls["DATABASE_URL"], lease=LONG, env={}).start()
    assert phases.holds("tasks", 0)
    phases.close()
    assert held == [False]


def _unheard(*_: Any, **__: Any) -> None:
    raise SourceUnavailableError("gone")


def test_the_phases_are_read_at_the_primary_whatever_the_url_says():
    place = InMongoDB("mongodb://127.0.0.1:1/shop?readPreference=secondary&readConcernLevel=local")
    read = (place._phases.read_preference, place._phases.read_concern)
    place.close()
    assert read == (ReadPreference.PRIMARY, ReadConcern("majority"))


def known(phases: JournalPhases) -> dict[str, Phase]:
    try:
        return {"tasks": phases.of("tasks")}
    except PhaseUnknownError:
        return {}


def test_a_forked_process_follows_the_phases_under_a_name_of_its_own(both):
    both.at(Phase.RAMP, 50)
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()

    with both.phases() as phases:
        child = fork.Process(target=lambda: (theirs.send((phases.of("tasks"), phases.process)), theirs.recv()))
        child.daemon = True
        child.start()
        assert ours.poll(60)
        phase, name = ours.recv()
        assert phase is Phase.RAMP
        assert name != phases.process
        assert {one.name for one in both.mongodb.processes()} == {name, phases.process}
        ours.send("end")
        child.join(60)
        assert phases.of("tasks") is Phase.RAMP


async def test_asyncio_uses_the_same(both):
    both.at(Phase.SHADOW)
    async with both.phases() as phases:
        assert phases.of("tasks") is Phase.SHADOW


def test_of_two_who_change_at_once_both_are_kept_and_the_higher_number_is_right(both):
    def put(name: str) -> None:
        place = InMongoDB(both.urls["MONGODB_URL"])
        for number in range(1, 8):
            place.put({name: Standing(Phase.SHADOW, 0.0, number), "both": Standing(Phase.RAMP, 1.0, number)})
        place.close()

    threads = [threading.Thread(target=put, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    both.mongodb.put({"both": Standing(Phase.OFF, 0.0, 3)})
    assert {name: (one.phase, one.number) for name, one in both.mongodb.read().items()} == {
        "one": (Phase.SHADOW, 7), "two": (Phase.SHADOW, 7), "both": (Phase.RAMP, 7),
    }  # fmt: skip


def test_a_plan_that_somebody_else_has_overtaken_is_not_made(both):
    both.at(Phase.DUAL_WRITE)
    first, second = (both.control.forward(["tasks"], None) for _ in range(2))
    both.control.advance(first)
    with pytest.raises(PhaseError, match="somebody else has changed a phase meanwhile"):
        both.control.advance(second)


def test_changes_of_two_who_planned_at_once_have_numbers_of_their_own(both):
    """Who has learned of the other one's change has not learned of this one."""
    both.at(Phase.RAMP, 50)
    back, on = both.control.backward(["tasks"], None), both.control.forward(["labels"], None)
    learned = both.control.advance(on).number
    both.mongodb.beat("app", learned, 60.0)
    made = both.control.take_back(back)
    assert made.number > learned
    assert [one.name for one in both.control.behind(made.number)] == ["app"]
    assert both.mongodb.read()["tasks"].phase is both.postgresql.read()["tasks"].phase is Phase.SHADOW
    assert {one.number for one in both.postgresql.history(None, 9)} == {learned, made.number}


def test_a_step_back_that_somebody_else_has_overtaken_is_refused(both):
    both.at(Phase.RAMP, 5)
    back = both.control.backward(["tasks"], None)
    both.control.advance(both.control.forward(["tasks"], 50))
    with pytest.raises(PhaseError, match=r"meanwhile: tasks is in ramp \(50 %\), not in ramp \(5 %\)"):
        both.control.take_back(back)
    assert both.mongodb.read()["tasks"].percent == 50
    assert both.mongodb.pending() == []


def test_shadow_reads_are_brought_to_the_journal_and_count_since_the_phase_began(both):
    both.at(Phase.SHADOW)
    report = Report()
    read = Read("tasks", "get", "1")
    report.add(read, Outcome.EQUAL)
    report.add(read, Outcome.MISMATCH, Mismatch(read, datetime.now(UTC), ()))
    with both.phases(report=report):
        ends = time.monotonic() + 30
        while not both.postgresql.rows("shadow", collection="tasks", mapping="") and time.monotonic() < ends:
            time.sleep(0.01)
    assert sorted(both.postgresql.rows("shadow", collection="tasks", mapping="")) == [
        ("get", "equal", 1),
        ("get", "mismatch", 1),
    ]
    both.at(Phase.DUAL_WRITE)
    both.at(Phase.SHADOW)
    assert both.postgresql.rows("shadow", collection="tasks", mapping="") == []


def test_what_queries_go_by_is_brought_to_the_journal_once_it_has_a_place_for_it(both):
    both.at(Phase.OFF)
    report = Report()
    query = QueryShape("tasks", ("owner", "status"), ("due",))
    with psycopg.connect(both.urls["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("DROP TABLE syncline_documents.query_shape")
    both.postgresql.asked([query])
    assert both.postgresql.queries() == []
    both.postgresql.prepare()
    for _ in range(2):
        report.asked(query)
    with both.phases(report=report):
        ends = time.monotonic() + 30
        while not (found := both.postgresql.queries()) and time.monotonic() < ends:
            time.sleep(0.01)
    assert found == [query]
    assert report.take_queries() == frozenset()


def test_methods_of_a_repository_that_nobody_calls_are_asked_for_in_each_phase(both):
    report = Report()
    both.at(Phase.DUAL_WRITE)
    reads = BlockingShadowReads(Rules(share=0), report)
    phased(Some(), Some(), FixedPhases(Phase.SHADOW), shadow=reads)  # type: ignore[type-var]
    with both.phases(timedelta(seconds=1), report=report):
        for _ in range(2):
            both.at(Phase.SHADOW)
            report.add(Read("tasks", "get", "1"), Outcome.EQUAL)
            ends = time.monotonic() + 60
            while len(both.postgresql.rows("shadow", collection="tasks", mapping="")) < 2 and time.monotonic() < ends:
                time.sleep(0.01)
            found = sorted(both.postgresql.rows("shadow", collection="tasks", mapping=""))
            assert [row[:2] for row in found] == [("get", "equal"), ("own", "equal")]
            assert found[1][2] == 0
    prepared(both.urls["DATABASE_URL"], (), mapped=True, rejected=False)
    found = gathered(both.control.standings(["tasks"]), Phase.RAMP, both.postgresql, Marked(), sleep=lambda _: None)
    assert "own 0" in "; ".join(one.told for one in found if not one.holds)


class Some:
    """A repository of a method that is called, one that is not, and one that writes."""

    collection_name = "tasks"

    def get(self, _id: str) -> None: ...
    def own(self) -> None: ...
    @writes
    def rename(self) -> None: ...


class Marked:
    """Marks as they are at the first look and the second."""

    def __init__(self, *looks: set[str]) -> None:
        self.looks = list(looks)

    def waiting(self, collection: str) -> frozenset[str]:
        return frozenset(self.looks.pop(0)) if self.looks else frozenset()


COUNTS = {("tasks", "get", Outcome.EQUAL): 9_900, ("tasks", "list", Outcome.CAUGHT_UP): 100}
LATER = datetime.now(UTC) + timedelta(days=1)
CERTIFY = """INSERT INTO syncline_documents.certificate (collection, as_of, documents, verdict, counts, mapping)
VALUES ('tasks', %s, 1, %s, '{}', %s)"""


CASES: list[tuple[dict[str, Any], str | None, str]] = [
    ({}, None, ""),
    ({"verified": ()}, "verified", "no verification yet"),
    ({"verified": ((LATER, "divergent", "x"),)}, "verified", "said divergent"),
    ({"verified": ((LATER, "divergent", "x"), (LATER, "equal", "x"))}, None, ""),
    ({"verified": ((LATER, "equal", "x"), (LATER - timedelta(hours=1), "divergent", "x"))}, None, ""),
    ({"verified": ((LATER, "equal", "x"), (LATER, "undecided", "x"))}, "verified", "said undecided"),
    ({"verified": ((LATER, "equal", "an older declaration"),)}, "verified", "no verification yet"),
    ({"verified": ((datetime(2020, 1, 1, tzinfo=UTC), "equal", "x"),)}, "verified", "before shadow began"),
    ({"marks": ({"a", "b"}, {"b"})}, "lag", "1 marks or more have waited for a second"),
    ({"marks": ({"a"}, {"b"})}, None, ""),
    (
        {"marks": (set(map(str, range(MARKS))), set(map(str, range(MARKS, 2 * MARKS))))},
        "lag",
        "10,000 marks or more wait",
    ),
    ({"rejected": True}, "rejected", "1 documents are rejected"),
    (
        {"counts": {("tasks", "get", Outcome.EQUAL): 9_999}},
        "shadowReads",
        "9,999 reads were compared; 10,000 are wanted",
    ),
    (
        {"counts": {**COUNTS, ("tasks", "list", Outcome.CAUGHT_UP): 99}},
        "shadowReads",
        "100 of each method: list 99",
    ),
    ({"counts": {**COUNTS, ("tasks", "exists", Outcome.EQUAL): 0}}, "shadowReads", "exists 0"),
    ({"counts": {**COUNTS, ("tasks", "get", Outcome.MISMATCH): 1}}, "mismatches", "1 shadow reads did not match"),
    ({"counts": {**COUNTS, ("tasks", "get", Outcome.SHED): 5_000}}, None, ""),
    ({"counts": {**COUNTS, ("tasks", "get", Outcome.UNSETTLED): 1}}, "unsettled", "1 shadow reads failed, or proved"),
    ({"counts": {**COUNTS, ("tasks", "get", Outcome.ERROR): 2}}, "unsettled", "2 shadow reads failed, or proved"),
    ({"read": "an older declaration"}, "shadowReads", "0 reads were compared"),
    ({"read": ""}, None, ""),
    ({"installed": False, "verified": ()}, "installed", "its tables are not prepared"),
]


def test_a_ramp_begins_with_evidence(both):
    for change, name, told in CASES:
        both.at(Phase.SHADOW)
        certificates = change.get("verified", ((LATER, "equal", "x"),))
        prepared(
            both.urls["DATABASE_URL"], certificates, mapped="installed" not in change, rejected="rejected" in change
        )
        both.postgresql.shadowed(change.get("counts", COUNTS), {"tasks": change.get("read", "x")})
        found = gathered(
            both.control.standings(["tasks"]),
            Phase.RAMP,
            both.postgresql,
            Marked(*change.get("marks", ())),
            sleep=lambda _: None,
        )
        assert failing(found)[:1] == ([] if name is None else [name]), change
        assert told in "; ".join(one.told for one in found if not one.holds)


def test_a_verification_from_before_a_percentage_is_told_so_with_the_command(both):
    both.at(Phase.RAMP, 25.0)
    prepared(
        both.urls["DATABASE_URL"], ((datetime(2020, 1, 1, tzinfo=UTC), "equal", "x"),), mapped=True, rejected=False
    )
    found = gathered(both.control.standings(["tasks"]), Phase.RAMP, both.postgresql, Marked(), sleep=lambda _: None)
    assert failing(found) == ["verified"]
    told = next(one.told for one in found if not one.holds)
    assert told.endswith("before ramp (25 %) began: `syncline verify`")


def failing(found: list[Evidence]) -> list[str]:
    return [one.name for one in found if not one.holds]


def prepared(url: str, certificates: Sequence[tuple[datetime, str, str]], *, mapped: bool, rejected: bool) -> None:
    """Make what a link keeps, as ``VersionedRows.prepare`` does."""
    from syncline.postgres.sql import blocks

    package = "syncline.engines.postgres.documents"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(blocks("versions.sql", package)["mapping"])
        connection.execute(blocks("rejections.sql", package)["rejected"])
        connection.execute(blocks("verifying.sql", package)["certificate"])
        names = ("mapping", "rejected", "certificate")
        connection.execute(f"TRUNCATE {', '.join(f'syncline_documents.{name}' for name in names)}")
        for one in certificates:
            connection.execute(CERTIFY, one)
        if mapped:
            connection.execute("INSERT INTO syncline_documents.mapping VALUES ('tasks', 'x')")
        if rejected:
            connection.execute(
                "INSERT INTO syncline_documents.rejected (collection, mongo_id, mark, reason) VALUES ('tasks', '1', 'm', 'NUL')"
            )


def test_the_oldest_marks_wait(both):
    from bson import ObjectId

    marks = [ObjectId() for _ in range(3)]
    collection = both.mongodb._phases.database["tasks"]
    collection.insert_many([{"_sync": {"v": 1, "mark": mark}} for mark in marks] + [{"_sync": {"v": 2}}, {}])
    assert both.mongodb.waiting("tasks") == {str(mark) for mark in marks}
