"""Every source keeps the contract."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from syncline.engines.cockroach.past import STALENESS
from syncline.engines.opening import open_source
from syncline.ports import Source
from syncline.testing.contract import SourceContract
from tests.cockroach.server import Simulator
from tests.relay import relayed


@contextlib.asynccontextmanager
async def session(url: str) -> AsyncIterator[Source]:
    found = await open_source(url, worker=str(uuid4()))
    try:
        yield found
    finally:
        await found.close()


class TestPostgres(SourceContract):
    @pytest.fixture
    async def url(self, database: str) -> AsyncIterator[str]:
        async with relayed(database):
            yield database

    @pytest.fixture
    async def source(self, url: str) -> AsyncIterator[Source]:
        async with session(url) as found:
            yield found

    @pytest.fixture
    async def other(self, url: str) -> AsyncIterator[Source]:
        async with session(url) as found:
            yield found


class TestCockroach(TestPostgres):
    @pytest.fixture
    async def url(self, cockroach: Simulator) -> AsyncIterator[str]:
        async with relayed(cockroach.url):
            yield cockroach.url

    async def visible(self) -> None:
        await asyncio.sleep(STALENESS.total_seconds() + 0.3)
