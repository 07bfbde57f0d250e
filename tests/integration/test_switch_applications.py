"""Applications under the switch: whole transactions are run again on the side that serves; nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Self

import psycopg
import pytest
from fastapi import Depends, FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy import func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from syncline.clock import boottime
from syncline.contrib.fastapi import problem_details
from syncline.contrib.fastapi.writes import Writes
from syncline.errors import GateClosedError, MovedError, UnknownOutcomeError
from syncline.split.databases import Databases
from syncline.split.switching import following
from syncline.split.switching.gate import Verb
from tests.bouncer import bouncer
from tests.integration.split_case import variables
from tests.switch_stage import NEW, OLD, Stage, databases, staged

pytestmark = pytest.mark.engines
LONG = timedelta(seconds=60)
PATIENT = timedelta(seconds=120)
INSERT = "INSERT INTO items (writer, n) VALUES (%s, %s)"


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    writer: Mapped[int]
    n: Mapped[int]


@pytest.fixture
def urls(postgres, second_postgres):
    with databases(postgres, second_postgres) as urls:
        yield urls


@contextlib.contextmanager
def application(primary: str, data: str | None) -> Iterator[Databases]:
    with Databases.from_environment(None, variables(primary, data), dotenv=None) as opened:
        opened.declare("data", Base)
        yield opened


class Writers:
    """Threads that write one number after another, each by its own way, and readers that only read."""

    def __init__(self, app: Databases) -> None:
        self.app = app
        self.acknowledged: Counter[tuple[int, int]] = Counter()
        self.failures: list[Exception] = []
        self._stop = threading.Event()
        ways = [self._psycopg, self._session, self._psycopg, self._asyncio]
        self._threads = [threading.Thread(target=self._go, args=[w, way]) for w, way in enumerate(ways)]
        self._threads.append(threading.Thread(target=self._go, args=[99, self._read]))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    async def some_more(self) -> None:
        """Wait until each way has written again."""
        before = Counter(writer for writer, _ in self.acknowledged)
        while not self.failures:
            now = Counter(writer for writer, _ in list(self.acknowledged))
            if all(now[writer] > before[writer] + 2 for writer in range(4)):
                return
            await asyncio.sleep(0.01)

    def _go(self, writer, way) -> None:
        n = 0
        while not self._stop.is_set():
            n += 1
            try:
                way(writer, n)
            except Exception as error:  # noqa: BLE001  counted
                self.failures.append(error)
                return
            if writer < 99:
                self.acknowledged[writer, n] += 1

    def _psycopg(self, writer: int, n: int) -> None:
        self.app.run(lambda c: c.execute(INSERT, [writer, n]), self.app.data.connection, deadline=PATIENT)

    def _session(self, writer: int, n: int) -> None:
        def work(session) -> None:
            session.scalar(select(func.count()).select_from(Item).where(Item.writer == writer))
            session.add(Item(writer=writer, n=n))

        self.app.run(work, self.app.session_factory().begin, deadline=PATIENT)

    def _asyncio(self, writer: int, n: int) -> None:
        async def write() -> None:
            async with Databases(self.app.configured) as app:
                app.declare("data", Base)
                await app.arun(lambda c: c.execute(INSERT, [writer, n]), app.data.aconnection, deadline=PATIENT)

        asyncio.run(write())

    def _read(self, _: int, __: int) -> None:
        with self.app.data.connection() as connection:
            connection.execute("SELECT count(*) FROM items").fetchone()
        self._stop.wait(0.005)


@pytest.mark.slow
@pytest.mark.parametrize("pooled", [False, True], ids=["direct", "through PgBouncer"])
async def test_writers_go_on_through_switches_and_backs(urls, pooled):
    """0 lost, 0 doubled, 0 failed; reads never refused; every process follows without a restart."""
    with contextlib.ExitStack() as stack:
        seen = dict(urls)
        if pooled:
            seen = {side: stack.enter_context(bouncer(url)) + "&pgbouncer=true" for side, url in urls.items()}
        async with staged(urls) as stage:
            with application(seen[OLD], seen[NEW]) as app, Writers(app) as writers:
                for number in range(4 if pooled else 8):
                    await writers.some_more()
                    await stage.switch((NEW, OLD)[number % 2])
                await writers.some_more()
            assert writers.failures == []
            await stage.quiet()
            assert stage.rows(OLD) == stage.rows(NEW)
            written = Counter((writer, n) for _, writer, n in stage.rows(OLD))
            assert written == writers.acknowledged


async def test_a_refused_transaction_runs_again_whole_on_the_side_that_serves(urls):
    async with staged(urls) as stage:
        with application(urls[OLD], urls[NEW]) as app:
            assert app.serving("data") == "primary"
            places = []

            def work(connection) -> int:
                places.append(connection.info.host)
                if len(places) == 1:  # the switch comes between its read and its write
                    connection.execute("SELECT * FROM items")
                    switched.set()
                    opened.wait()
                connection.execute(INSERT, [1, len(places)])
                return len(places)

            switched, opened = threading.Event(), threading.Event()
            running = asyncio.create_task(asyncio.to_thread(app.run, work, app.data.connection))
            await asyncio.to_thread(switched.wait)
            await stage.switch(NEW)
            opened.set()
            assert await running == 2
            assert places[0] != places[1]
            assert app.serving("data") == "data"
            assert [row[1:] for row in stage.rows(NEW)] == [(1, 2)]


async def test_reads_follow_without_any_write(urls, monkeypatch):
    async with staged(urls) as stage:
        with application(urls[OLD], urls[NEW]) as app:
            assert app.serving("data") == "primary"
            await stage.switch(NEW)
            monkeypatch.setattr(following, "boottime", lambda: boottime() + 1)  # a second later, of sleep perhaps
            assert app.serving("data") == "data"
            with app.data.connection() as connection:
                assert connection.execute("SELECT current_database()").fetchone()[0] in urls[NEW]
            with app.session_factory()() as session:
                assert session.connection(bind_arguments={"mapper": Item}).engine.url is not None
                assert session.scalar(select(func.current_database()), bind_arguments={"database": "data"}) in urls[NEW]


async def test_single_mode_is_refused_while_the_other_side_serves(urls):
    async with staged(urls) as stage:
        with application(urls[OLD], None) as running:
            running.check()
            running.run(lambda c: c.execute(INSERT, [1, 1]), running.data.connection)
            await stage.switch(NEW)
            sentence = (
                r"(?s)^the tables of data are written in a database of their own.*`syncline split back data`[^\n]*$"
            )
            with application(urls[OLD], None) as app:
                for use in (app.check, app.data.connection, lambda: app.session_factory()().get(Item, 1)):
                    with pytest.raises(MovedError, match=sentence):
                        use()
                with app.primary.connection() as connection:  # what has not moved is where it was
                    connection.execute("SELECT 1")
            with pytest.raises(MovedError):  # and who was there before is told at its next write
                running.run(lambda c: c.execute(INSERT, [1, 2]), running.data.connection)
            await stage.switch(OLD)
        with application(urls[OLD], None) as app:
            app.check()
            app.run(lambda c: c.execute(INSERT, [1, 3]), app.data.connection)


@pytest.fixture
async def stage(urls):
    async with staged(urls, linked=False) as stage:
        yield stage


@pytest.fixture
def app(stage: Stage):
    with application(stage.urls[OLD], stage.urls[NEW]) as app:
        yield app


async def test_a_gate_that_stays_closed_is_an_error_that_may_be_tried_again(stage, app):
    await stage.gates[OLD].change(1, Verb.CLOSE, LONG)
    with pytest.raises(GateClosedError) as closed:
        app.run(lambda c: c.execute(INSERT, [1, 1]), app.data.connection, deadline=timedelta(milliseconds=50))
    assert closed.value.retryable
    assert stage.rows(OLD) == []


async def test_a_commit_of_unknown_outcome_is_not_done_again(stage, app):
    """The server went away in the middle of the COMMIT."""
    with psycopg.connect(stage.urls[OLD], autocommit=True) as connection:
        connection.execute("""
            CREATE FUNCTION goes() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(60); RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER goes AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION goes()
        """)
    calls = []

    def work(handle) -> None:
        calls.append(handle)
        handle.add(Item(writer=1, n=1)) if hasattr(handle, "add") else handle.execute(INSERT, [1, 1])

    for using in (app.data.connection, app.session_factory().begin):
        calls.clear()
        with pytest.raises(UnknownOutcomeError, match="may be written, or not") as unknown:
            app.run(work, using)
        assert not unknown.value.retryable
        assert len(calls) == 1


async def test_other_errors_are_not_run_again(stage, app):
    calls = []

    def work(connection) -> None:
        calls.append(1)
        connection.execute("INSERT INTO items VALUES (1, 1, 1), (1, 1, 1)")

    with pytest.raises(psycopg.errors.UniqueViolation):
        app.run(work, app.data.connection)
    assert calls == [1]


async def test_a_lost_connection_before_the_commit_is_no_unknown_outcome(stage, app):
    def work(connection) -> None:
        connection.execute(INSERT, [1, 1])
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(psycopg.OperationalError):
        app.run(work, app.data.connection)


async def test_the_work_cannot_commit_half_of_itself(stage, app):
    def work(connection) -> None:
        connection.execute(INSERT, [1, 1])
        connection.commit()

    with pytest.raises(psycopg.ProgrammingError, match="commit"):
        app.run(work, app.data.connection)
    assert stage.rows(OLD) == []


async def test_what_cannot_be_serialized_is_run_again(stage, app):
    with psycopg.connect(stage.urls[OLD]) as other:
        other.execute("INSERT INTO items VALUES (1, 0, 0)")
        other.commit()
        attempts = []

        def work(connection) -> None:
            attempts.append(1)
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            connection.execute("SELECT * FROM items")
            if len(attempts) == 1:
                other.execute("UPDATE items SET n = 5")
                other.commit()
            connection.execute("UPDATE items SET n = n + 1")

        app.run(work, app.data.connection)
    assert (len(attempts), stage.rows(OLD)) == (2, [(1, 0, 6)])


async def test_a_route_of_fastapi_writes_on_the_side_that_serves(stage, app):
    api, writes = FastAPI(), Writes(app, app.async_session_factory().begin, deadline=timedelta(milliseconds=300))
    depends = Depends(writes)
    problem_details(api)

    @api.post("/items/{n}", status_code=201)
    async def create(n: int, write: Any = depends) -> int:
        async def work(session: Any) -> int:
            session.add(Item(writer=7, n=n))
            await session.flush()
            return n

        return await write.run(work)

    async with AsyncClient(transport=ASGITransport(api), base_url="http://app") as client:
        assert (await client.post("/items/1")).status_code == 201
        await stage.gates[OLD].change(1, Verb.CLOSE, LONG)
        answer = await client.post("/items/2")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        await stage.gates[OLD].change(1, Verb.LINK, LONG)
        await stage.gates[NEW].change(1, Verb.OPEN, LONG)
        assert (await client.post("/items/3")).status_code == 201
    assert [row[2] for row in stage.rows(OLD)] == [1]
    assert [row[2] for row in stage.rows(NEW)] == [3]
    await app.aclose()
