"""Connections to the other side are there before the switch: no request has to open them after it."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from syncline.split.databases import Databases
from syncline.split.switching.install import uninstall
from tests.integration.split_case import variables
from tests.relay import until
from tests.switch_stage import ITEMS, NEW, OLD, databases, staged

pytestmark = pytest.mark.engines
OLDER = """
    SELECT count(*), count(*) FILTER (WHERE a.backend_start < g.opened_at)
    FROM pg_stat_activity AS a, syncline_gate.gate AS g WHERE a.pid = ANY(%s)
"""
PID = "SELECT pg_backend_pid()"


@pytest.fixture
def urls(postgres, second_postgres):
    with databases(postgres, second_postgres) as urls:
        yield urls


def backends(url: str, name: str) -> int:
    """Count an application's sessions."""
    with psycopg.connect(url) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"
        return connection.execute(query, [name]).fetchone()[0]


def opened_before(url: str, pids: list[int]) -> bool:
    with psycopg.connect(url) as connection:
        found, older = connection.execute(OLDER, [pids]).fetchone()
        return found == older == len(pids)


def application(urls: dict[str, str], name: str) -> Databases:
    given = {
        side: f"{url}&application_name={name}" if "?" in url else f"{url}?application_name={name}"
        for side, url in urls.items()
    }
    return Databases.from_environment(None, variables(given[OLD], given[NEW]), dotenv=None)


class Requests:
    """Several at a time, by one way."""

    def __init__(self, app: Databases, way: str) -> None:
        self.app, self.way = app, way
        sessions = app.session_factory()
        asessions = app.async_session_factory()
        self._sessions, self._asessions = sessions, asessions

    async def __call__(self) -> list[int]:
        """Give the server processes that have answered."""
        barrier = asyncio.Barrier(3)
        return await asyncio.gather(*(getattr(self, f"_{self.way}")(barrier) for _ in range(3)))

    async def _psycopg(self, barrier: asyncio.Barrier) -> int:
        async with self.app.data.aconnection() as connection:
            await barrier.wait()
            return (await (await connection.execute(PID)).fetchone())[0]

    async def _asyncio(self, barrier: asyncio.Barrier) -> int:
        async with self._asessions() as session:
            pid: Any = await session.scalar(text(PID), bind_arguments={"database": "data"})
            await barrier.wait()
            return pid

    async def _thread(self, barrier: asyncio.Barrier) -> int:
        manager = self.app.data.connection()
        connection = await asyncio.to_thread(manager.__enter__)
        await barrier.wait()
        pid = connection.execute(PID).fetchone()[0]
        await asyncio.to_thread(manager.__exit__, None, None, None)
        return pid

    async def _session(self, barrier: asyncio.Barrier) -> int:
        with self._sessions() as session:
            pid = await asyncio.to_thread(session.scalar, text(PID), bind_arguments={"database": "data"})
            await barrier.wait()
            return pid


@pytest.mark.parametrize("way", ["psycopg", "asyncio", "thread", "session"])
async def test_the_first_requests_after_a_switch_find_open_connections(urls, way):
    async with staged(urls, linked=False) as stage, application(urls, f"app-{way}") as app:
        requests = Requests(app, way)
        assert len({*await requests()}) == 3
        await until(lambda: backends(urls[NEW], f"app-{way}") >= 3, what="the other side is at hand")
        await stage.switch(NEW)
        await until(lambda: app.serving("data") == NEW)
        assert opened_before(urls[NEW], await requests())


async def test_what_was_kept_ready_is_let_go_when_nothing_moves_any_more(urls):
    """The gates go one after the other: the side that serves is not mistaken for the other one in between."""
    async with staged(urls, linked=False) as stage, application(urls, "app") as app:
        await stage.switch(NEW)
        await Requests(app, "psycopg")()
        other = app.primary._server
        await until(lambda: other._async_kept == 3)
        for side in (NEW, OLD):
            await uninstall(stage.gates[side], [ITEMS])
            app._following.look_again("data")
            assert app.serving("data") == NEW
        await until(lambda: other._async_kept == 0)
