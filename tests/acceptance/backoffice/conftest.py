"""One system a mode for all tests of a process: they make people and records of their own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from fastapi import FastAPI

from syncline.embedded.postgres import PrivatePostgres
from syncline.testing import boundary as plugin
from tests import engines
from tests.acceptance.backoffice.system import ADMIN, Person, System, prepared, serving

HERE = Path(__file__).parent

Join = Callable[..., Awaitable[Person]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all async tests here in the loop of the application."""
    for item in items:
        if HERE in item.path.parents and isinstance(item, pytest.Function) and item.get_closest_marker("asyncio"):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def second_postgres() -> Iterator[PrivatePostgres]:
    """The server of DATA."""
    with engines.running_postgres() as server:
        yield server


@pytest.fixture(scope="session", params=["single", "split"])
def servers(request: pytest.FixtureRequest, postgres: PrivatePostgres) -> Iterator[System]:
    """One empty database, or two on two servers."""
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(engines.fresh_database(postgres.url))
        data = primary
        if request.param == "split":
            second: PrivatePostgres = request.getfixturevalue("second_postgres")
            data = stack.enter_context(engines.fresh_database(second.url))
        yield System(primary, data)


@pytest.fixture(scope="session")
def system(servers: System) -> System:
    """Both databases with their tables and an administrator."""
    prepared(servers)
    return servers


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def app(system: System) -> AsyncIterator[FastAPI]:
    """The application."""
    async with serving(system.app()) as app:
        yield app


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def other(system: System) -> AsyncIterator[FastAPI]:
    """Another instance of it, as another process would be: its pools are its own, and a session cache that forgets nothing
    by itself, so that what it forgets was revoked."""
    app = system.app()
    app.state.services.callers._ttl = 86_400
    async with serving(app):
        yield app


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def admin(app: FastAPI) -> Person:
    """The administrator of the seed."""
    return await Person(app, ADMIN).log_in()


@pytest.fixture
def join(app: FastAPI, admin: Person) -> Join:
    """Make somebody who has logged in, with a role of their own that has these permissions."""

    async def make(*permissions: str) -> Person:
        person = Person(app)
        role = await admin.post("/api/roles", {"name": f"role of {person.email}", "permissions": list(permissions)})
        new = {"email": person.email, "name": "Somebody", "password": "correct horse battery", "roleId": role["id"]}
        person.id = (await admin.post("/api/users", new))["id"]
        return await person.log_in()

    return make


@pytest.fixture(autouse=True)
def boundary(request: pytest.FixtureRequest) -> Iterator[None]:
    """The plugin of the boundary guard is on, and finds nothing: nothing crosses, and nothing is hidden from it."""
    plugin.pytest_configure(request.config)
    yield
    found = request.config.stash[plugin._found]
    plugin.pytest_unconfigure()
    assert found == {}
