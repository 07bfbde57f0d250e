"""A process from its start to its end, and one whose PRIMARY is behind a pooler."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from dataclasses import replace
from typing import Any

import pytest
from backoffice.app import create_app
from backoffice.callers import Caller
from fastapi import FastAPI

from syncline.cache import ListenedRevocations, PolledRevocations
from syncline.errors import NamedDatabaseError
from syncline.split import Databases
from tests.acceptance.backoffice.conftest import Join
from tests.acceptance.backoffice.system import HOME, SETTINGS, Person, System
from tests.acceptance.backoffice.test_access import ended
from tests.acceptance.backoffice.test_imports import HEADER, upload
from tests.acceptance.backoffice.test_records import carrier
from tests.bouncer import bouncer, version


async def until(what: Any) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 60
    while not await what():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def test_a_process_settles_imports_while_it_lives(system: System, app: FastAPI, admin: Person):
    me = await admin.get("/api/auth/me")
    caller = Caller(1, me["userId"], me["email"], "", 1, "", True, frozenset(), dt.datetime.now(dt.UTC))
    import_id = await app.state.services.imports.begin(caller, "left alone", "csv", None)
    system.ask("primary", "UPDATE import_runs SET changed_at = now() - interval '1 hour' WHERE id = %s", import_id)
    process = system.app(settle_seconds=0.05)
    async with process.router.lifespan_context(process):
        path = f"/api/imports/{import_id}"

        async def failed() -> bool:
            return (await admin.get(path))["state"] == "failed"

        await until(failed)
        await admin.at(process).get(path)


async def test_a_process_with_swapped_urls_does_not_start(system: System):
    if not system.split:
        pytest.skip("in single mode there is one")
    process = System(system.data, system.primary).app()
    with pytest.raises(NamedDatabaseError, match="PRIMARY_DATABASE_URL"):
        async with process.router.lifespan_context(process):
            pass


async def test_behind_a_pooler_revocations_are_polled_and_imports_work(
    system: System, app: FastAPI, admin: Person, join: Join
):
    """PgBouncer in transaction mode, and no URL that leads past it."""
    version()
    with bouncer(system.primary) as url:
        pooled = replace(system, primary=f"{url}{'&' if '?' in url else '?'}pgbouncer=true&connection_limit=5")
        if not system.split:
            pooled.data = pooled.primary
        databases = Databases.from_environment(HOME / "syncline.toml", pooled.environment, dotenv=None)
        process = create_app(SETTINGS, databases)
        services = process.state.services
        assert isinstance(services.callers._revocations, PolledRevocations)
        assert isinstance(app.state.services.callers._revocations, ListenedRevocations)
        async with services.open():
            ann, there = await join("users.read"), admin.at(process)
            visitor = ann.at(process)

            async def kept() -> bool:
                before = services.callers.counts.hit
                await visitor.get("/api/users?limit=1")
                return bool(services.callers.counts.hit > before)

            await until(kept)
            code = (await carrier(there))["code"]
            run = await upload(there, f"{HEADER}{code},EU,1000,4.90,2\n")
            assert (await there.post(f"/api/imports/{run['id']}/commit", status=200))["state"] == "committed"
            assert (await there.get("/api/health"))["databases"]["primary"]["pool"]["size"] == 5
            await ann.send("POST", "/api/auth/logout", status=204)
            await ended(visitor, "/api/users?limit=1", 401)
