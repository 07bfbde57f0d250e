"""Every target keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from pymongo import MongoClient

from syncline.embedded.postgres import PrivatePostgres
from syncline.engines.memory.target import MemoryTarget
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.postgres.target.target import SqlTarget
from syncline.model.entity import Entity
from syncline.ports import Document, Target
from syncline.testing import FaultyTarget
from syncline.testing.contract import TABLES, RowsContract, TargetContract
from tests.engines import fresh_database


class TestMemoryTarget(TargetContract):
    @pytest.fixture
    def target(self) -> Target:
        return MemoryTarget()

    async def put_foreign(self, target: MemoryTarget, entity: Entity, record: Document) -> None:
        target.store(entity, record)


class TestFaultyTarget(TargetContract):
    """Left alone, it changes nothing."""

    @pytest.fixture
    def target(self) -> Target:
        return FaultyTarget(MemoryTarget())

    async def put_foreign(self, target: FaultyTarget, entity: Entity, record: Document) -> None:
        target.target.store(entity, record)


class TestMongoTarget(TargetContract):
    @pytest.fixture
    async def target(self, mongo_url: str, mongo_db: str) -> AsyncIterator[Target]:
        self.where = (mongo_url, mongo_db)
        target = MongoTarget(mongo_url, mongo_db)
        yield target
        await target.close()

    async def put_foreign(self, target: Target, entity: Entity, record: Document) -> None:
        url, name = self.where
        with MongoClient(url) as client:
            client[name][entity.collection].insert_one(dict(record))


@pytest.fixture(scope="module")
def tables(postgres: PrivatePostgres) -> Iterator[str]:
    """One database for all of a suite: emptied, it is as good as a new one."""
    with fresh_database(postgres.url) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(TABLES)
        yield url


class TestSqlTarget(RowsContract):
    @pytest.fixture
    async def target(self, tables: str) -> AsyncIterator[Target]:
        with psycopg.connect(tables, autocommit=True) as connection:
            connection.execute("TRUNCATE things, people, pairs, kinds; DROP SCHEMA IF EXISTS syncline_target CASCADE")
        target = SqlTarget(tables)
        await target.prepare([self.things])
        yield target
        await target.close()
