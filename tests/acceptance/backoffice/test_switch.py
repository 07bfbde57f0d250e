"""The tables of DATA move to a server of their own and back under traffic: no request fails, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from syncline.embedded.postgres import PrivatePostgres
from tests import engines
from tests.acceptance.backoffice.system import ADMIN, HOME, Person, System, prepared, serving
from tests.acceptance.backoffice.test_imports import HEADER
from tests.integration.split_case import variables
from tests.relay import PATIENCE

PAUSE = ("--pause", "60s")
UNHURRIED = {"SYNCLINE_WORKER__LEASE_SECONDS": "25"}
"""A worker that gets no processor for a while still has its lanes."""
FORCED = (*PAUSE, "--force", "--reason", "a test")


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Operator:
    """Types the commands of a move, each in a process of its own."""

    def __init__(self, primary: str, data: str) -> None:
        self.single = {**variables(primary, None), "DATA_DATABASE_URL": data}
        self.split = variables(primary, data)

    async def begin(self, *arguments: str, env: dict[str, str]) -> asyncio.subprocess.Process:
        clean = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
        return await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("syncline")),
            "split",
            *arguments,
            cwd=HOME,
            env={**clean, **env, **UNHURRIED, "PYTHONPATH": str(HOME)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def __call__(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        process = await self.begin(*arguments, env=env or self.split)
        out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()

    def _wait_for_workers(self) -> None:
        for variable, schema in (("PRIMARY", "syncline_move_data"), ("DATA", "syncline_move_data_back")):
            with psycopg.connect(self.split[f"{variable}_DATABASE_URL"], autocommit=True) as connection:
                until(lambda: connection.execute(f"SELECT 1 FROM {schema}.lane WHERE owner IS NOT NULL").fetchone())  # noqa: B023

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        process = await self.begin("follow", env=self.split)
        try:
            await asyncio.to_thread(self._wait_for_workers)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            await process.communicate()


class Traffic:
    """People who write by every route of DATA, and read what they have written."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.codes: list[str] = []
        self.rates = 0
        self.failures: list[BaseException] = []
        self._stop = asyncio.Event()

    @contextlib.asynccontextmanager
    async def flowing(self, people: int = 4) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._go(number)) for number in range(people)]
        try:
            yield
        finally:
            self._stop.set()
            await asyncio.gather(*tasks)

    async def some_more(self) -> None:
        before = len(self.codes)
        while len(self.codes) < before + 8 and not self.failures:
            await asyncio.sleep(0.01)

    async def _go(self, number: int) -> None:
        person = await Person(self.app, ADMIN).log_in()
        try:
            for count in itertools.count():
                if self._stop.is_set():
                    return
                await self._visit(person, f"P{number}N{count}")
        except BaseException as error:  # noqa: BLE001  the test shows it
            self.failures.append(error)

    async def _visit(self, person: Person, code: str) -> None:
        made = await person.post("/api/carriers", {"code": code, "name": code})
        self.codes.append(code)
        await person.patch(f"/api/carriers/{made['id']}", {"name": f"{code} changed"})
        await person.put(f"/api/delivery/rates/{made['id']}/EU/1000", {"price": "4.90", "days": 2})
        content, headers = f"{HEADER}{code},EU,5000,9.90,3\n".encode(), {"Content-Type": "text/csv"}
        run = (await person.send("POST", "/api/imports?name=x", status=201, content=content, headers=headers)).json()
        assert (await person.post(f"/api/imports/{run['id']}/commit", status=200))["state"] == "committed"
        self.rates += 2
        await person.get("/api/delivery/offers?zone=EU&grams=10")
        assert len(await person.get(f"/api/delivery/rates/{made['id']}")) == 2


async def test_a_switch_and_its_way_back_fail_no_request(
    postgres: PrivatePostgres, second_postgres: PrivatePostgres
) -> None:
    with engines.fresh_database(postgres.url) as primary, engines.fresh_database(second_postgres.url) as data:
        await asyncio.to_thread(prepared, System(primary, primary))
        syncline = Operator(primary, data)
        await syncline("copy", "--rate", "0", env=syncline.single)
        async with syncline.following(), serving(System(primary, data).app(write_seconds=PATIENCE)) as app:
            traffic = Traffic(app)
            async with traffic.flowing():
                for command in (("switch", *FORCED), ("back", *PAUSE), ("switch", *FORCED)):
                    await traffic.some_more()
                    await syncline(*command)
                    await traffic.some_more()
            assert traffic.failures == []
            system = System(primary, data)
            found = {code for (code,) in system.ask("data", "SELECT code FROM carriers WHERE name LIKE '% changed'")}
            assert found == {*traffic.codes}
            assert system.ask("data", "SELECT count(*) FROM delivery_rates") == [(traffic.rates,)]
            created = "SELECT count(*) FROM data_audit_entries WHERE action = 'carrier.created'"
            assert system.ask("data", created) == [(len(traffic.codes),)]


pytestmark = pytest.mark.engines
