"""Mappings, targets and verifications that are broken on purpose; copied beside the example and run there."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import psycopg
from bson.decimal128 import Decimal128
from pymongo import DeleteOne, ReplaceOne

import syncline.testing.mapping.pair as pairs
from syncline.engines.mongo.documents import documents
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.mongo.writes import CODEC
from syncline.ports import Report
from syncline.testing.mapping import MappingContract

HERE = Path(__file__).parent
TOML = (HERE / "syncline.toml").read_text()


class Shop(MappingContract):
    config = "syncline.toml"
    schema = "schema.sql"
    rows_per_table = 6
    target_class: type[MongoTarget] = MongoTarget

    def row(self, table, number, random):
        return {"number": f"C-{number:06}"} if table == "public.customer" else {}

    def open_target(self, settings):
        return self.target_class(settings.target.url, settings.target.database)


def config(name: str, text: str) -> str:
    (HERE / name).write_text(text)
    return name


class Dropping(MongoTarget):
    async def apply(self, batch):
        return await super().apply(replace(batch, inserts=batch.inserts[1:], upserts=batch.upserts[1:]))


class TestDropsAWrite(Shop):
    target_class = Dropping


class Keeping(MongoTarget):
    async def apply(self, batch):
        return await super().apply(replace(batch, deletes=[]))


class TestDropsDeletes(Shop):
    target_class = Keeping


class Unfenced(MongoTarget):
    async def apply(self, batch):
        writes = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in documents(batch, batch.states)]
        writes += [DeleteOne({"_id": one.id}) for one in batch.deletes]
        collection = self._client.get_database(self._database.name, codec_options=CODEC)[batch.entity.collection]
        await collection.bulk_write(writes)
        return Report()


class TestNoFence(Shop):
    target_class = Unfenced


class Rounding(MongoTarget):
    async def apply(self, batch):
        for state in batch.states:
            for name, value in state.body.items():
                if isinstance(value, Decimal128) and value.to_decimal().is_finite():
                    state.body[name] = Decimal128(str(round(value.to_decimal())))
        return await super().apply(batch)


class TestRounds(Shop):
    target_class = Rounding


class Floating(MongoTarget):
    async def apply(self, batch):
        for state in batch.states:
            for line in state.body.get("lines", ()):
                line["number"] = float(line["number"])
        return await super().apply(batch)


class TestChangesTypes(Shop):
    target_class = Floating


class TestForgetsAColumn(Shop):
    include = 'include = ["email", "number", "level", "credit", "created_at"]\nexclude = ["password"]'
    config = config("forgets.toml", TOML.replace('exclude = ["password"]', include))


class TestComputesTheTime(Shop):
    seen = '[entities.customer.computed]\nseen = { sql = "clock_timestamp()::text", type = "text" }\n'
    config = config("time.toml", TOML + seen)


class TestStricterThanTheSource(Shop):
    config = config("strict.toml", TOML.replace("keys = { email = 1 }", "keys = { level = 1 }"))
    rows_per_table = 12


class TestBlindVerify(Shop):
    def play(self, pair, scenario):
        async def blind(settings, patience):
            report = await real(settings, patience)
            for one in report.entities:
                one.findings.clear()
                one.counts.clear()
            return report

        real, pairs.prove = pairs.prove, blind
        try:
            super().play(pair, scenario)
        finally:
            pairs.prove = real


class TestMissesACapture(Shop):
    @contextlib.contextmanager
    def opened(self, mapping, seed, name):
        with super().opened(mapping, seed, name) as pair:
            with psycopg.connect(pair.source, autocommit=True) as conn:
                conn.execute("ALTER TABLE customer DISABLE TRIGGER USER")
                conn.execute("ALTER TABLE purchase DISABLE TRIGGER USER")
            yield pair


class TestCannotGuess(Shop):
    def row(self, table, number, random):
        return {}


class TestNoSuchTable(Shop):
    config = config("nowhere.toml", TOML + '[entities.nowhere]\ncollection = "nowhere"\n')


class TestBrokenSchema(Shop):
    schema = config("broken.sql", "CREATE TABLE a (id int PRIMARY KEY);\nCREATE TABEL b ();\n")
