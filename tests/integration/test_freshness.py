"""The read-your-writes token, from the commit to the answer."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from syncline.capture.sqlalchemy.commits import attach_tokens
from syncline.embedded.postgres import PrivatePostgres
from syncline.errors import NotInstalledError, TokenError
from syncline.tokens import freshness as module
from syncline.tokens import outlook
from syncline.tokens.freshness import Freshness
from syncline.tokens.token import INFO, UNKNOWN, make, merge, parse
from tests.cockroach.server import Simulator
from tests.integration.capture_case import Case, entity
from tests.relay import AT_ONCE, PATIENCE


def driver_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture
def case(database: str) -> Iterator[Case]:
    with Case(database, [entity("todo", "todo")]) as case:
        case.sql("CREATE TABLE todo (id bigint PRIMARY KEY)")
        case.install()
        yield case


@pytest.fixture
def sessions(case: Case) -> Iterator[sessionmaker[Session]]:
    engine = create_engine(driver_url(case.url))
    factory = sessionmaker(engine)
    attach_tokens(factory)
    yield factory
    engine.dispose()


def write(session: Session, id_: int) -> str:
    session.execute(text("INSERT INTO todo VALUES (:id)"), {"id": id_})
    session.commit()
    token: str = session.info[INFO]
    return token


# --- the token ---


def test_a_commit_that_wrote_has_the_token_of_its_transaction(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        token = write(session, 1)
    [(installation, tx)] = case.sql(
        "SELECT (SELECT installation::text FROM syncline.meta), tx::text FROM syncline.waiting"
    )
    assert parse(token) == {installation[:8]: {int(tx)}}


def test_a_commit_that_only_read_keeps_the_token_and_one_that_wrote_replaces_it(
    sessions: sessionmaker[Session],
) -> None:
    with sessions() as session:
        session.execute(text("SELECT 1"))
        session.commit()
        assert INFO not in session.info
        first = write(session, 1)
        session.execute(text("SELECT 1"))
        session.commit()
        assert session.info[INFO] == first
        assert write(session, 2) != first


def test_a_rollback_makes_no_token(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        session.execute(text("INSERT INTO todo VALUES (1)"))
        session.rollback()
        session.commit()
        assert INFO not in session.info


def test_a_commit_that_fails_makes_no_token(case: Case, sessions: sessionmaker[Session]) -> None:
    case.sql("CREATE TABLE part (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)", "INSERT INTO part VALUES (1)")
    with sessions() as session:
        session.execute(text("INSERT INTO part VALUES (1)"))
        with pytest.raises(Exception, match="duplicate key"):
            session.commit()
        session.rollback()
        session.commit()
        assert INFO not in session.info


def test_a_savepoint_makes_no_token_before_the_commit(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        with session.begin_nested():
            session.execute(text("INSERT INTO todo VALUES (1)"))
        assert INFO not in session.info
        session.commit()
        assert INFO in session.info


def test_async_sessions_have_it_too(case: Case) -> None:
    async def main() -> None:
        engine = create_async_engine(driver_url(case.url))
        factory = async_sessionmaker(engine)
        attach_tokens(factory)
        async with factory() as session:
            await session.execute(text("INSERT INTO todo VALUES (1)"))
            await session.commit()
            token = session.info[INFO]
        freshness = Freshness(engine)
        assert not await freshness.synced(token, 0.02)
        case.forget()
        assert await freshness.synced(token, PATIENCE)
        await engine.dispose()

    asyncio.run(main())


def test_a_database_without_syncline_still_commits_and_nobody_believes_its_tokens(database: str, case: Case) -> None:
    case.uninstall()
    engine = create_engine(driver_url(database))
    factory = sessionmaker(engine)
    attach_tokens(factory)
    with factory() as session:
        token = write(session, 1)
    engine.dispose()
    case.install()
    assert asked(Freshness(database), token, 0.01) is False


def test_an_application_that_goes_on_is_believed_after_a_reinstallation(
    case: Case, sessions: sessionmaker[Session]
) -> None:
    with sessions() as session:
        first = write(session, 1)
        case.uninstall()
        assert set(parse(write(session, 2))) == {UNKNOWN}
        case.install()
        token = write(session, 3)
        case.forget()
        assert (asked(Freshness(case.url), first, 0.01), asked(Freshness(case.url), token, PATIENCE)) == (False, True)


# --- the answer ---


def asked(freshness: Freshness, token: str | None, timeout: float | timedelta) -> bool:
    async def main() -> bool:
        try:
            return await freshness.synced(token, timeout)
        finally:
            await freshness.close()

    return asyncio.run(main())


def test_false_while_its_marks_are_there_and_true_when_they_are_gone(
    case: Case, sessions: sessionmaker[Session]
) -> None:
    with sessions() as session:
        token = write(session, 1)
        write(session, 2)
    assert asked(Freshness(case.url), token, timedelta(milliseconds=20)) is False
    case.sql("DELETE FROM syncline.outbox WHERE key = '1'")
    assert asked(Freshness(case.url), token, PATIENCE) is True


def test_it_waits_for_the_worker(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        token = write(session, 1)

    async def main() -> bool:
        freshness = Freshness(case.url)
        waiting = asyncio.create_task(freshness.synced(token, PATIENCE))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await asyncio.to_thread(case.forget)
        try:
            return await waiting
        finally:
            await freshness.close()

    started = time.monotonic()
    assert asyncio.run(main())
    assert time.monotonic() - started < AT_ONCE


def test_a_truncate_is_waited_for(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        session.execute(text("TRUNCATE todo"))
        session.commit()
        token = session.info[INFO]
    assert asked(Freshness(case.url), token, 0) is False
    case.forget()
    assert asked(Freshness(case.url), token, PATIENCE) is True


def test_a_parked_change_is_false_at_once(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        token = write(session, 1)
    case.sql(
        "INSERT INTO syncline.parked (first_tx, tx, seq, entity, lane, hint, key, created_at, code, error) "
        "SELECT tx, tx, seq, entity, lane, hint, key, at, 'too_large', 'x' FROM syncline.waiting"
    )
    case.forget()
    started = time.monotonic()
    assert asked(Freshness(case.url), token, PATIENCE) is False
    assert time.monotonic() - started < AT_ONCE


def test_an_older_change_of_a_parked_record_is_false_too(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        older = write(session, 1)
    case.sql(
        "INSERT INTO syncline.parked (first_tx, tx, seq, entity, lane, hint, key, created_at, code, error) "
        "SELECT tx, (tx::text::bigint + 10)::text::xid8, seq, entity, lane, hint, key, at, 'too_large', 'x' "
        "FROM syncline.waiting"
    )
    case.forget()
    assert asked(Freshness(case.url), older, 0) is False


def test_every_transaction_of_a_merged_token_counts(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        one, two = write(session, 1), write(session, 2)
    case.sql("DELETE FROM syncline.outbox WHERE key = '1'")
    assert asked(Freshness(case.url), one, PATIENCE) is True
    assert asked(Freshness(case.url), merge(one, two), 0) is False


def test_what_is_not_found_in_a_queue_that_goes_on_counts_as_waiting(
    case: Case, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEPTH", 3)
    with sessions() as session:
        token = write(session, 1)
        for id_ in range(2, 6):
            write(session, id_)
    assert asked(Freshness(case.url), token, 0) is False
    case.sql("DELETE FROM syncline.outbox WHERE key < '4'")
    assert asked(Freshness(case.url), token, PATIENCE) is True


def test_nothing_to_wait_for_is_true_without_asking() -> None:
    assert asked(Freshness("postgresql://nowhere.invalid/x"), "", 0) is True
    assert asked(Freshness("postgresql://nowhere.invalid/x"), None, 0) is True


def test_a_token_of_another_installation_is_false(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        token = write(session, 1)
    case.forget()
    assert asked(Freshness(case.url), make("00000001", [5]), 1) is False
    assert asked(Freshness(case.url), merge(token, make("00000001", [5])), 1) is False


def test_a_malformed_token_is_an_error() -> None:
    with pytest.raises(TokenError, match="not a token"):
        asked(Freshness("postgresql://nowhere.invalid/x"), "hello", 0)


def test_no_installation_is_an_error(database: str) -> None:
    with pytest.raises(NotInstalledError):
        asked(Freshness(database), make("00000001", [5]), PATIENCE)


def refused_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"postgresql://u@127.0.0.1:{listener.getsockname()[1]}/x"


def test_a_source_that_is_down_is_false_within_the_timeout() -> None:
    started = time.monotonic()
    assert asked(Freshness(refused_port()), make("00000001", [5]), 0.3) is False
    assert time.monotonic() - started < AT_ONCE


@pytest.mark.parametrize("through", ["url", "engine"])
def test_a_source_that_never_answers_is_false_within_the_timeout(through: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"postgresql://u@127.0.0.1:{listener.getsockname()[1]}/x"

        async def main() -> bool:
            source: Any = url if through == "url" else create_async_engine(driver_url(url))
            return await Freshness(source).synced(make("00000001", [5]), 0.3)

        started = time.monotonic()
        assert asyncio.run(main()) is False
        assert time.monotonic() - started < AT_ONCE


def test_a_query_that_hangs_is_false_within_the_timeout(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        token = write(session, 1)
    with psycopg.connect(case.url) as blocker:
        blocker.execute("LOCK TABLE syncline.outbox IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        assert asked(Freshness(case.url), token, 0.2) is False
        assert time.monotonic() - started < AT_ONCE


def test_a_source_that_was_restarted_is_asked_anew(private_postgres: PrivatePostgres) -> None:
    with Case(private_postgres.url, [entity("todo", "todo")]) as case:
        case.sql("CREATE TABLE todo (id bigint PRIMARY KEY)")
        case.install()
        [(installation,)] = case.sql("SELECT installation::text FROM syncline.meta")

    async def main() -> None:
        freshness = Freshness(private_postgres.url)
        token = make(installation, [5])
        assert await freshness.synced(token, PATIENCE)
        await asyncio.to_thread(private_postgres.stop)
        assert not await freshness.synced(token, 0.1)
        await asyncio.to_thread(private_postgres.start)
        assert await freshness.synced(token, PATIENCE)
        await freshness.close()

    asyncio.run(main())


def test_a_source_that_freezes_is_false_within_the_timeout(private_postgres: PrivatePostgres) -> None:
    with Case(private_postgres.url, [entity("todo", "todo")]) as case:
        case.sql("CREATE TABLE todo (id bigint PRIMARY KEY)")
        case.install()
        [(installation,)] = case.sql("SELECT installation::text FROM syncline.meta")

    async def main() -> float:
        freshness = Freshness(private_postgres.url)
        token = make(installation, [5])
        assert await freshness.synced(token, PATIENCE)
        private_postgres.freeze()
        started = time.monotonic()
        try:
            assert not await freshness.synced(token, 0.2)
            assert not await freshness.synced(token, 0.2)
            return time.monotonic() - started
        finally:
            private_postgres.thaw()
            await freshness.close()

    assert asyncio.run(main()) < AT_ONCE


def test_many_readers_at_once(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        token = write(session, 1)
    case.forget()

    async def main() -> None:
        freshness = Freshness(case.url)
        assert all(await asyncio.gather(*(freshness.synced(token, PATIENCE) for _ in range(40))))
        assert len(freshness._outlook._own._idle) <= outlook.IDLE
        await freshness.close()

    asyncio.run(main())


def test_with_a_pool_of_the_application(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        token = write(session, 1)

    @asynccontextmanager
    async def pool() -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        async with await psycopg.AsyncConnection.connect(case.url, row_factory=psycopg.rows.dict_row) as connection:
            yield connection

    assert asked(Freshness(pool), token, 0) is False
    case.forget()
    assert asked(Freshness(pool), token, PATIENCE) is True


def test_without_an_event_loop(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        token = write(session, 1)
    freshness = Freshness(case.url)
    assert freshness.synced_blocking(token, 0.02) is False
    case.forget()
    assert freshness.synced_blocking(token, PATIENCE) is True
    asyncio.run(freshness.close())


def test_events_tokens_and_freshness_do_not_need_sqlalchemy() -> None:
    code = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "import syncline, syncline.capture.events, syncline.tokens.token, syncline.tokens.freshness"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- CockroachDB: no token is ever synced, and none is an error ---


@pytest.fixture
def cockroach_url(cockroach: Simulator) -> str:
    with psycopg.connect(cockroach.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE todo (id bigint PRIMARY KEY)")
    return cockroach.url.replace("postgresql://", "cockroachdb+psycopg://", 1)


def test_on_cockroachdb_a_commit_has_a_token_that_asks_for_nothing_that_is_applied(cockroach_url: str) -> None:
    async def main() -> None:
        engine = create_async_engine(cockroach_url)
        factory = async_sessionmaker(engine)
        attach_tokens(factory)
        async with factory() as session:
            await session.execute(text("INSERT INTO todo VALUES (1)"))
            await session.commit()
            assert not await Freshness(engine).synced(session.info[INFO], PATIENCE)
        await engine.dispose()

    started = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - started < AT_ONCE, "there is nothing to wait for"


@pytest.mark.parametrize("through", ["url", "engine", "pool"])
def test_on_cockroachdb_the_token_of_another_installation_is_false(
    cockroach: Simulator, cockroach_url: str, through: str
) -> None:
    @asynccontextmanager
    async def pool() -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        async with await psycopg.AsyncConnection.connect(cockroach.url) as connection:
            yield connection

    source: Any = {"url": cockroach.url, "pool": pool, "engine": create_async_engine(cockroach_url)}[through]
    assert asked(Freshness(source), make("00000001", [5]), 1) is False
