"""One system for all tests of a process: they make people of their own and leave the others alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr

from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.postgres import PrivatePostgres
from tests import engines
from tests.acceptance.studybuddy.system import Person, System, serving

HERE = Path(__file__).parent

Join = Callable[[], Awaitable[Person]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all async tests here in the loop of the application."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.engines)
            if isinstance(item, pytest.Function) and item.get_closest_marker("asyncio"):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def system(
    postgres: PrivatePostgres, mongo: PrivateMongo, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """Both databases on the shared servers, and a worker."""
    with engines.fresh_database(postgres.url) as database, engines.fresh_mongo_database(mongo.url) as name:
        system = System(database, mongo.url, name, tmp_path_factory.mktemp("studybuddy"))
        with system.worker():
            yield system


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def app(system: System) -> AsyncIterator[FastAPI]:
    """The application."""
    async with serving(system.app()) as app:
        yield app


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def app_without_mongodb(system: System) -> AsyncIterator[FastAPI]:
    """Another instance of it, which cannot reach MongoDB: PostgreSQL answers."""
    nowhere = "mongodb://127.0.0.1:9/nowhere"
    async with serving(system.app(mongodb_url=SecretStr(nowhere), mongodb_seconds=0.2)) as app:
        yield app


@pytest.fixture
def join(app: FastAPI) -> Join:
    """Make a new user, logged in."""
    return lambda: Person(app).join()


@pytest_asyncio.fixture(loop_scope="session")
async def ann(join: Join) -> Person:
    """Make a user."""
    return await join()


@pytest_asyncio.fixture(loop_scope="session")
async def bob(join: Join) -> Person:
    """Make another user."""
    return await join()


@pytest_asyncio.fixture(loop_scope="session")
async def eve(join: Join) -> Person:
    """Make a third user, who has no business with the others."""
    return await join()
