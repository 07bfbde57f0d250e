"""Fixtures that every test may ask for. Engines are started on first use, one of each per pytest-xdist worker."""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import hypothesis
import pytest
import structlog

from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.postgres import BINARIES_VARIABLE, PrivatePostgres
from tests import engines, leftovers, programs
from tests.cockroach.server import Simulator, simulator

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # a shell's background job: commands under test would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A test never fails on a clock: examples may take as long as a busy machine makes them take.
hypothesis.settings.register_profile("syncline", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("syncline")

POSTGRES_FIXTURES = frozenset({"postgres", "second_postgres", "database", "private_postgres"})
ENGINE_FIXTURES = POSTGRES_FIXTURES | {"mongo", "mongo_url", "mongo_db", "private_mongo"}
LEFT: list[str] = []
"""What nobody will end any more, of all tests."""
UNMARKED = "/a/test/that/starts/a/server/needs/the/mark/engines"


def pytest_configure() -> None:
    """Have every process that tests start tell whose it is; let none compile what another one has, or wait for a disk."""
    os.environ[leftovers.OWNER] = str(os.getpid())
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    engines.in_memory()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses an engine, so that ``-m "not engines"`` needs no thought from who writes a test.

    ``postgresql`` is what ``make matrix`` runs on every release: what has such a fixture, and what says ``engines`` itself.
    What needs a newer PostgreSQL than the one that is there is skipped, and the reason names both.
    """
    here = programs.server_major()
    if changing := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(
            f"a test's name has an address in it, which each process has another one of: {changing[0]}"
        )
    for item in items:
        for needed, feature in (marker.args for marker in item.iter_markers("postgres")):
            if here is not None and here < needed:
                item.add_marker(pytest.mark.skip(reason=f"{feature}: PostgreSQL {needed}, and this is {here}"))
        fixtures = frozenset(getattr(item, "fixturenames", ()))
        if POSTGRES_FIXTURES & fixtures or item.get_closest_marker("engines"):
            item.add_marker(pytest.mark.postgresql)
        if ENGINE_FIXTURES & fixtures:
            item.add_marker(pytest.mark.engines)
        if inspect.iscoroutinefunction(getattr(item, "obj", None)):
            item.fixturenames.insert(0, "no_task_is_left")  # type: ignore[attr-defined]
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)  # long ones at the end keep one process alone


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Hide the server from a test that is not marked: it would be missing where every release is tested."""
    with pytest.MonkeyPatch.context() as patched:
        if item.get_closest_marker("postgresql") is None:
            patched.setenv(BINARIES_VARIABLE, UNMARKED)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    """Let what a fixture of several tests has started be none of theirs, whichever of them asked for it first."""
    with contextlib.nullcontext() if fixturedef.scope == "function" else leftovers.serving_several():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, Any, Any]:
    """Look after the last test for processes that nobody will end any more: what is found has its test's name."""
    done = yield
    if nextitem is None:
        item.user_properties += [(leftovers.LEFT, one) for one in leftovers.orphans()]
    return done


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Gather what processes of tests have found at their end."""
    if report.when == "teardown":
        LEFT.extend(f"{report.nodeid}: {what}" for name, what in report.user_properties if name == leftovers.LEFT)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail where something is left that nobody will end."""
    if LEFT and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name what is left, test by test."""
    if LEFT:
        terminalreporter.section("left behind by tests")
        for one in LEFT:
            terminalreporter.line(one)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Fail a test that leaves settings, threads or processes behind: others would obey them, or share the machine."""
    before = leftovers.Before()
    yield
    left = before.settings_left() + before.left()
    assert not left, f"this test has left {', '.join(left)}"


@pytest.fixture
async def no_task_is_left() -> AsyncIterator[None]:
    """Fail a test that leaves tasks in its loop; every coroutine has this fixture, before all others of its own."""
    yield
    left = await leftovers.tasks_left()
    assert not left, f"this test has left {', '.join(left)}"


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command that a test runs in this process sets up logs, to a stream that is closed when the test ends."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivatePostgres]:
    """The shared server: do not kill it, and take ``database`` for your tables."""
    with engines.shared_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def second_postgres() -> Iterator[PrivatePostgres]:
    """Another shared server, for what has two of them; what holds for ``postgres`` holds for it."""
    with engines.running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mongo() -> Iterator[PrivateMongo]:
    """The shared server: do not kill it, and take ``mongo_db`` for your collections."""
    with engines.shared_mongo() as server:
        yield server


@pytest.fixture
def database(postgres: PrivatePostgres) -> Iterator[str]:
    """The URL of an empty PostgreSQL database of the test's own."""
    with engines.fresh_database(postgres.url) as url:
        yield url


@pytest.fixture
def cockroach(database: str) -> Iterator[Simulator]:
    """An empty database that behaves like CockroachDB; see ``tests.cockroach``."""
    with simulator(database) as simulated:
        yield simulated


@pytest.fixture
def mongo_url(mongo: PrivateMongo) -> str:
    """The URL of the shared MongoDB server."""
    return mongo.url


@pytest.fixture
def mongo_db(mongo: PrivateMongo) -> Iterator[str]:
    """The name of an empty MongoDB database of the test's own."""
    with engines.fresh_mongo_database(mongo.url) as name:
        yield name


@pytest.fixture
def private_postgres() -> Iterator[PrivatePostgres]:
    """A server of the test's own, running; it may be stopped, killed, frozen and started again."""
    with engines.running_postgres() as server:
        yield server


@pytest.fixture
def private_mongo() -> Iterator[PrivateMongo]:
    """A server of the test's own, running; it may be stopped, killed, frozen and started again."""
    with engines.running_mongo() as server:
        yield server
