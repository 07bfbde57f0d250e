"""A server that hangs: it stops nobody whose tables it does not serve, and no forked process inherits what it held up."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select

from syncline.clock import boottime
from syncline.errors import NamedDatabaseUnavailableError
from syncline.split.databases import Databases
from syncline.split.switching import following, limited
from tests.integration.split_case import variables
from tests.relay import PATIENCE
from tests.switch_stage import NEW, OLD, databases, staged

pytestmark = pytest.mark.engines
BRIEF = 0.3


@pytest.fixture
def urls(postgres, private_postgres) -> Iterator[dict[str, str]]:
    with databases(postgres, private_postgres) as urls:
        yield urls


@pytest.fixture
def app(urls: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Databases]:
    monkeypatch.setattr(limited, "ANSWER_SECONDS", BRIEF)
    with Databases.from_environment(None, variables(urls[OLD], urls[NEW]), dotenv=None) as opened:
        yield opened


def in_time(work: Callable[[], Any]) -> Any:
    """Do something on a thread that need not end, and see that it has."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert found, "it waits for the server that hangs"
    return found[0]


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let what is known be old."""
    monkeypatch.setattr(following, "boottime", lambda: boottime() + seconds)


async def test_the_side_that_does_not_serve_is_not_asked(urls, app, private_postgres, monkeypatch):
    async with staged(urls, linked=False):
        assert app.serving("data") == OLD
        private_postgres.freeze()
        try:
            monkeypatch.setattr(following.Following, "_read", _noting(asked := []))
            later(monkeypatch, 1)
            assert (in_time(lambda: app.serving("data")), {*asked}) == (OLD, {OLD})
        finally:
            private_postgres.thaw()


def _noting(asked: list[str]) -> Callable[..., Any]:
    was = following.Following._read

    def read(self: Any, side: str, address: Any) -> Any:
        asked.append(side)
        return was(self, side, address)

    return read


async def test_tables_that_do_not_move_are_served_while_the_server_of_those_that_do_hangs(
    urls, app, private_postgres, monkeypatch
):
    async with staged(urls) as stage:
        await stage.switch(NEW)
        assert (app.serving("data"), app.serving("primary")) == (NEW, OLD)
        private_postgres.freeze()
        try:
            with app._following._lock:  # somebody asks the server that hangs
                later(monkeypatch, 61)
                assert in_time(lambda: app.serving("primary")) == OLD
            assert in_time(lambda: app.serving("data")) == NEW, "as it was known last"
        finally:
            private_postgres.thaw()


async def test_an_answer_is_not_waited_for_for_ever(urls, private_postgres, monkeypatch):
    monkeypatch.setattr(limited, "ANSWER_SECONDS", BRIEF)
    connection = limited.LimitedConnection.connect(urls[NEW], autocommit=True)
    try:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        private_postgres.freeze()
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            in_time_raised(lambda: connection.execute("SELECT 1"))
    finally:
        private_postgres.thaw()
        connection.close()


def in_time_raised(work: Callable[[], Any]) -> None:
    def attempt() -> Exception | None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  raised where the test asks for it
            return error
        return None

    def given() -> tuple[Exception | None]:
        return (attempt(),)

    (error,) = in_time(given)
    if error is not None:
        raise error


async def test_where_no_server_answers_it_is_said(urls, app, private_postgres):
    """At the first question, when nothing is known yet."""
    private_postgres.freeze()
    try:
        with pytest.raises(NamedDatabaseUnavailableError, match="does not answer in time"):
            in_time_raised(lambda: app.serving("data"))
    finally:
        private_postgres.thaw()


async def test_a_session_that_only_reads_follows_from_one_statement_to_the_next(urls, app):
    async with staged(urls) as stage:
        with app.session_factory(reading=True)() as session, app.session_factory()() as whole:
            given = {"bind_arguments": {"database": "data"}}
            assert session.scalar(select(func.current_database()), **given) in urls[OLD]
            assert whole.scalar(select(func.current_database()), **given) in urls[OLD]
            await stage.switch(NEW)
            app._following.look_again()
            assert session.scalar(select(func.current_database()), **given) in urls[NEW]
            assert whole.scalar(select(func.current_database()), **given) in urls[OLD], "its transaction began there"


def test_a_borrower_leaves_nothing_of_its_transactions_behind(urls, app):
    with app.primary.connection() as connection:
        connection.read_only, connection.isolation_level = True, psycopg.IsolationLevel.SERIALIZABLE
        pid = connection.info.backend_pid
    with app.primary.connection() as connection:
        assert connection.info.backend_pid == pid
        assert (connection.read_only, connection.isolation_level) == (None, None)
        connection.execute("CREATE TABLE made ()")


async def test_nor_one_with_asyncio(urls, app):
    async with app.primary.aconnection() as connection:
        await connection.set_read_only(True)
        pid = connection.info.backend_pid
    async with app.primary.aconnection() as connection:
        assert connection.info.backend_pid == pid
        await connection.execute("CREATE TABLE made ()")


@pytest.mark.parametrize("way", ["connection", "session"])
def test_a_forked_process_has_connections_of_its_own(urls, app, way):
    sessions = app.session_factory()

    def pid() -> int:
        if way == "connection":
            with app.data.connection() as connection:
                return connection.execute("SELECT pg_backend_pid()").fetchone()[0]
        with sessions() as session:
            return session.scalar(select(func.pg_backend_pid()), bind_arguments={"database": "data"})

    def work() -> None:
        assert not {pid(), pid()} & parents
        app.close()

    parents = {pid()}
    with app._following._lock:  # a thread of the parent asks
        child = multiprocessing.get_context("fork").Process(target=work, daemon=True)
        child.start()
        child.join(PATIENCE)
    ended = child.exitcode
    child.kill()
    child.join()
    assert ended == 0
    assert pid()  # the parent's connections are as they were
