"""Both databases of a Django project: a PostgreSQL that is frozen holds up no request for long."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from syncline.config.documents import Documents
from syncline.contrib.django import DocumentDatabases
from syncline.errors import ConfigError
from syncline.phases import FixedPhases, Phase
from syncline.phases.repositories import PostgresRepository
from syncline.phases.shadow import BlockingShadowReads, Outcome, Read
from syncline.telemetry.metrics import AppMetrics
from tests.dual_write import TASKS

LOGGED_IN = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x19client_encoding\0UTF8\0S\0\0\0\x18server_version\x0016.4\0Z\0\0\0\x05I"


class Frozen:
    """A PostgreSQL that lets everybody in and answers nothing."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.asked = 0
        self.first = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        port = self._listening.getsockname()[1]
        return f"postgresql://me@127.0.0.1:{port}/none?sslmode=disable&gssencmode=disable"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._open.append(self._listening.accept()[0])
                threading.Thread(target=self._serve, args=(self._open[-1],), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        with contextlib.suppress(OSError):
            one.recv(4096)
            one.sendall(LOGGED_IN)
            while (said := one.recv(4096)) and not said.startswith(b"X"):
                self.asked += 1
                self.first.set()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)  # else `accept` goes on
        self._listening.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


class Tasks:
    """In MongoDB."""

    collection_name, is_async = "tasks", False

    def __init__(self, collection: Any, mapping: Any) -> None: ...

    def get(self, id_: str) -> str:
        return f"{id_} in MongoDB"


class PostgresTasks(PostgresRepository):
    collection_name = "tasks"


@pytest.fixture
def frozen() -> Iterator[Frozen]:
    server = Frozen()
    yield server
    server.close()


class Ahead:
    """A writer of which nothing is left."""

    def is_behind(self, repository: Any) -> bool:
        return False


@pytest.fixture
def databases(frozen: Frozen) -> Iterator[Callable[..., DocumentDatabases]]:
    made = []

    def make(phases: FixedPhases | None, **options: Any) -> DocumentDatabases:
        declared = Documents((TASKS,), None, {"source": "mongodb://127.0.0.1:1/none", "target": frozen.url})
        made.append(DocumentDatabases(declared, frozen.url, phases=phases, writer=Ahead(), env={}, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def repository(databases: DocumentDatabases) -> Any:
    over: Any = (Tasks, PostgresTasks)
    return databases.repository(*over)


def test_a_frozen_postgresql_holds_up_one_read_of_a_ramp_and_mongodb_answers(databases, frozen):
    tasks, answers = repository(databases(FixedPhases(Phase.RAMP, percent=100), answer_seconds=0.2)), []
    work = threading.Thread(target=lambda: answers.extend(tasks.get(str(n) * 24) for n in range(3)), daemon=True)
    work.start()
    work.join(60)
    assert answers == [f"{str(n) * 24} in MongoDB" for n in range(3)]
    assert frozen.asked == 1


def test_shadow_reads_take_no_connection_from_requests(databases, frozen):
    both = databases(FixedPhases(Phase.SHADOW), pool_size=1, answer_seconds=0.2)
    with both.connection():
        assert repository(both).get("a" * 24) == f"{'a' * 24} in MongoDB"
        assert frozen.first.wait(60)


def test_all_repositories_share_the_threads_of_shadow_reads_and_they_end_with_the_manager(databases):
    def threads() -> int:
        return sum(one.name == "syncline-shadow" for one in threading.enumerate())

    def ended() -> bool:
        ends = time.monotonic() + 60
        while threads() and time.monotonic() < ends:
            time.sleep(0.01)
        return not threads()

    assert ended()  # those of other tests
    both = databases(FixedPhases(Phase.SHADOW), answer_seconds=0.2)
    for _ in range(3):
        repository(both).get("a" * 24)
    assert threads() == 8
    both.close()
    assert ended()


def test_what_a_repository_can_be_asked_is_declared_to_the_evidence(databases):
    both = databases(FixedPhases(Phase.SHADOW))
    repository(both)
    assert dict(both.shadow.report.take()) == {("tasks", "get", Outcome.EQUAL): 0}


def test_shadow_reads_are_counted_for_prometheus_from_0_on_for_what_a_repository_can_be_asked(databases):
    counts = AppMetrics()
    both = databases(FixedPhases(Phase.SHADOW), metrics=counts)
    repository(both)
    both.shadow.report.add(Read("tasks", "get", "x"), Outcome.EQUAL)

    def counted(outcome: str) -> float | None:
        labels = {"collection": "tasks", "method": "get", "outcome": outcome}
        found: float | None = counts.registry.get_sample_value("syncline_shadow_comparisons_total", labels)
        return found

    assert [counted(one) for one in ("equal", "mismatch", "error", "shed")] == [1, 0, 0, None]


def test_the_counts_of_a_reader_of_ones_own_are_the_evidence(databases, monkeypatch):
    given: list[Any] = []

    class Phases:
        def __init__(self, *_: Any, report: Any, **__: Any) -> None:
            given.append(report)

        def start(self) -> Phases:
            return self

    monkeypatch.setattr(sys.modules[DocumentDatabases.__module__], "JournalPhases", Phases)
    reads = BlockingShadowReads()
    assert databases(None, shadow=reads).phases
    assert given == [reads.report]


def test_paths_are_not_masked_in_vain(databases):
    with pytest.raises(ConfigError, match="masked="):
        databases(FixedPhases(Phase.SHADOW), shadow=BlockingShadowReads(), masked={"users": ["password_hash"]})


def test_masked_paths_reach_the_reader(databases):
    both = databases(FixedPhases(Phase.SHADOW), masked={"users": ["password_hash"]})
    assert both.shadow.reads.rules.hidden("users") == ("password_hash",)
