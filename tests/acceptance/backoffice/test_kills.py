"""A process that is killed between the transactions of an import: whoever comes next settles it, one way only."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from backoffice.callers import Caller
from backoffice.imports.staging import GivenUpError
from backoffice.imports.transform import Transform
from fastapi import FastAPI

from tests.acceptance.backoffice.system import HOME, Person, System
from tests.acceptance.backoffice.test_imports import HEADER, upload
from tests.acceptance.backoffice.test_records import carrier

AT_ONCE = dt.timedelta()


async def killed(system: System, code: str, user_id: int) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.acceptance.backoffice.killed"]
    process = await asyncio.create_subprocess_exec(
        *command,
        code,
        str(user_id),
        env={**os.environ, **system.environment, "PYTHONPATH": f"{HOME}:{HOME.parents[1]}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return [json.loads(line) for line in out.splitlines() if line.startswith(b"{")]


def settled_as(one: dict[str, Any]) -> tuple[str | None, str | None, int]:
    """Say how a try must end: the run's state, the batch's, and prices; ``None``: there is none."""
    done = one["commit"] - (one["when"] == "before")  # so many transactions of the act were committed
    match one["act"], done:
        case "stage", 0:
            return None, None, 0
        case "stage", 1:
            return "failed", "dropped", 0
        case "stage", _:
            return "staged", "staged", 0
        case _, 0:
            return "staged", "staged", 0
        case "commit", _:
            return "committed", "committed", 1
    return "discarded", "dropped", 0


async def test_every_kill_is_settled_one_way(system: System, app: FastAPI, other: FastAPI, admin: Person):
    made = await carrier(admin)
    tries = await killed(system, made["code"], (await admin.get("/api/auth/me"))["userId"])
    assert [one["signal"] for one in tries] == [signal.SIGKILL] * 12
    here, there = app.state.services.imports, other.state.services.imports
    settled = await asyncio.gather(here.settle(AT_ONCE), there.settle(AT_ONCE))
    settled.append(await here.settle(AT_ONCE))  # of one that the other was at just then
    assert set().union(*settled)
    assert await here.settle(AT_ONCE) == []
    for one in tries:
        run = system.ask("primary", "SELECT id, state FROM import_runs WHERE name = %s", f"try {one['number']}")
        batch = run and system.ask("data", "SELECT state FROM import_batches WHERE import_id = %s", run[0][0])
        rates = system.ask("data", "SELECT count(*) FROM delivery_rates WHERE zone = %s", f"T{one['number']}")
        found = (run[0][1] if run else None, batch[0][0] if batch else None, rates[0][0])
        assert found == settled_as(one), one
    left = system.ask("data", "SELECT DISTINCT state FROM import_batches JOIN import_rows USING (import_id)")
    assert left in ([("staged",)], [])


async def test_who_was_thought_dead_cannot_come_after(system: System, app: FastAPI, admin: Person):
    """The slow process has said in PRIMARY that it stages; it is settled as failed; then it goes on."""
    code, me = (await carrier(admin))["code"], await admin.get("/api/auth/me")
    imports = app.state.services.imports
    caller = Caller(1, me["userId"], me["email"], "", 1, "", True, frozenset(), dt.datetime.now(dt.UTC))
    import_id = await imports.begin(caller, "slow", "csv", None)
    assert await imports.settle(AT_ONCE) == [import_id]
    row = {"carrier": code, "zone": "EU", "to_grams": "1000", "price": "4.90", "days": "2"}
    with pytest.raises(GivenUpError):
        await imports.stage(import_id, lambda: iter([(2, row)]), Transform([]))
    run = await admin.get(f"/api/imports/{import_id}")
    assert (run["state"], run["message"]) == ("failed", "it was interrupted; upload the file again")
    assert system.ask("data", "SELECT count(*) FROM import_rows WHERE import_id = %s", import_id) == [(0,)]


async def test_who_is_at_it_is_left_alone(system: System, app: FastAPI, admin: Person):
    """A batch that is locked is somebody's who lives: nobody else settles it."""
    code = (await carrier(admin))["code"]
    run = await upload(admin, f"{HEADER}{code},EU,1000,4.90,2\n")
    system.ask("primary", "UPDATE import_runs SET state = 'committing' WHERE id = %s", run["id"])
    services = app.state.services
    async with services.sessions.begin() as session:
        await services.imports._locked(session, run["id"])
        assert await services.imports.settle(AT_ONCE) == []
    assert await services.imports.settle(dt.timedelta(hours=1)) == []
    assert await services.imports.settle(AT_ONCE) == [run["id"]]
    assert (await admin.get(f"/api/imports/{run['id']}"))["state"] == "committed"
