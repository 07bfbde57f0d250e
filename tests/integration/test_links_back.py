"""A way and its way back run side by side, and a chain goes on from there: nothing is lost, and nothing comes back."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from pymongo import MongoClient

from syncline.capture.postgres.put_back import put_back
from syncline.config import load
from syncline.insight import reach
from syncline.model.link import Link, entered
from tests import engines
from tests.integration.test_links import Place, wait

TABLE = "CREATE TABLE item (id bigint PRIMARY KEY, name text, qty int NOT NULL DEFAULT 0)"
CHANGES = 10_000
KILLS = 3
TOGETHER = 50
DESPITE = ("--despite-reverse", "nobody writes there")
FILE = """
[worker]
lease_seconds = 2
renew_seconds = 0.25
grace_seconds = 5
max_batch_age_seconds = 2
poll_seconds = 600
[links.there]
source.url = "{one}"
target.url = "{two}"
target.timeout_seconds = 2
entities.item.table = "item"
[links.back]
reverse_of = "there"
source.url = "{two}"
target.url = "{one}"
target.timeout_seconds = 2
entities.item.table = "item"
[links.on]
source.url = "{two}"
target.url = "{mongo}"
target.database = "{name}"
target.timeout_seconds = 2
entities.item.table = "item"
"""


class Sides(Place):
    """Two databases with a way, a way back and a chain to a MongoDB."""

    def __init__(self, one: str, two: str, client: Any, mongo: str, name: str, folder: Any) -> None:
        super().__init__(one, client, mongo, name, folder, {})
        self.config.write_text(FILE.format(one=one, two=two, mongo=mongo, name=name), "utf-8")
        self.urls = one, two
        for url in self.urls:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(TABLE)

    def items(self, url: str) -> dict[int, tuple[str, int]]:
        with psycopg.connect(url) as connection:
            return {id_: (name, qty) for id_, name, qty in connection.execute("SELECT * FROM item").fetchall()}

    def chained(self) -> dict[int, tuple[str, int]]:
        return {one["_id"]: (one["name"], one["qty"]) for one in self.mongo["item"].find()}

    def marks(self, url: str, link: str) -> int:
        """Count the marks that a link's triggers ever made."""
        with psycopg.connect(url) as connection:
            query = f"SELECT CASE WHEN is_called THEN last_value / 512 ELSE 0 END FROM syncline_{link}.outbox_seq_seq"
            row = connection.execute(query).fetchone()
            assert row is not None
            return int(row[0])

    def tasks(self, url: str, link: str) -> list[tuple[str]]:
        with psycopg.connect(url) as connection:
            return connection.execute(f"SELECT kind FROM syncline_{link}.task ORDER BY id").fetchall()

    def settled(self) -> bool:
        one, two = map(self.items, self.urls)
        return one == two == self.chained()


class Writer:
    """Changes rows with ids of its own, and counts what it has changed."""

    def __init__(self, url: str, parity: int) -> None:
        self.changed = self._highest = 0
        self._url, self._parity, self._random = url, parity, random.Random(parity)

    def write(self, until: int) -> None:
        """Write until so much is changed."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            while self.changed < until:
                highest = self._highest
                kind = self._random.choice(("INSERT", "UPDATE", "UPDATE", "DELETE"))
                ids = [self._random.randrange(highest + 1) * 2 + self._parity for _ in range(TOGETHER)]
                if kind == "INSERT":
                    ids = [number * 2 + self._parity for number in range(highest, highest + TOGETHER)]
                    self._highest += TOGETHER
                    found = connection.execute("INSERT INTO item SELECT i, 'new' FROM unnest(%s::bigint[]) i", (ids,))
                elif kind == "UPDATE":
                    found = connection.execute("UPDATE item SET name = 'old', qty = qty + 1 WHERE id = ANY(%s)", (ids,))
                else:
                    found = connection.execute("DELETE FROM item WHERE id = ANY(%s)", (ids[:10],))
                self.changed += found.rowcount


@pytest.fixture
def sides(postgres, mongo_url, mongo_db, tmp_path) -> Iterator[Sides]:
    with (
        engines.fresh_database(postgres.url) as one,
        engines.fresh_database(postgres.url) as two,
        MongoClient(mongo_url) as client,
    ):
        yield Sides(one, two, client, mongo_url, mongo_db, tmp_path)


def test_a_way_and_its_way_back_do_not_echo_while_workers_are_killed(sides: Sides) -> None:
    """The marks are those of the writers' own changes, on both sides; the chain takes everything."""
    one, two = sides.urls
    sides.run("install", "--yes", "--no-backfill")
    writers = [Writer(one, 0), Writer(two, 1)]
    with ThreadPoolExecutor(2) as pool:
        for part in range(1, KILLS + 2):
            before = sides.chained()
            writing = [pool.submit(writer.write, CHANGES * part // (KILLS + 1)) for writer in writers]
            with sides.worker() as process:
                if part <= KILLS:
                    wait(lambda before=before: sides.chained() != before)  # it works: it is amid batches
                    process.kill()
                for one_of_them in writing:
                    one_of_them.result()
                if part > KILLS:
                    wait(sides.settled)
    assert sides.marks(one, "there") == writers[0].changed
    assert sides.marks(two, "back") == writers[1].changed
    assert sides.marks(two, "on") >= writers[1].changed + len(sides.items(two)) // 3


def test_a_table_is_copied_and_verified_and_repaired_in_the_schema_of_its_link(sides: Sides) -> None:
    one, two = sides.urls
    sides.sql("INSERT INTO item SELECT n, 'item ' || n FROM generate_series(1, 500) AS n")
    sides.run("install", "--yes", "--no-backfill")
    sides.run("copy", "--link", "there", *DESPITE)
    assert sides.items(one) == sides.items(two)
    with sides.worker("--link", "there"):
        sides.run("verify", "--link", "there")
        with psycopg.connect(two, autocommit=True) as connection:
            connection.execute("UPDATE item SET qty = 7 WHERE id = 3")
        sides.run("verify", "--link", "there", ok=1)
        sides.run("repair", "--link", "there", *DESPITE)
        wait(lambda: sides.items(one) == sides.items(two))
    assert sides.marks(two, "back") == 1, "what was done by hand; neither the copy nor the repair"
    sides.run("copy", "--replace", "--link", "there", *DESPITE)
    assert sides.items(one) == sides.items(two)
    assert sides.marks(two, "back") == 1, "clearing the table is the link's own doing, too"


def test_what_is_put_back_passes_over_what_it_passed_over(sides: Sides) -> None:
    """A worker whose file does not know of the way back takes it from what is installed."""
    sides.run("install", "--yes", "--no-backfill", "--link", "there")
    bodies = "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'syncline_there'::regnamespace ORDER BY 1, 2"
    before = sides.sql(bodies)
    sides.sql("DROP TRIGGER syncline_there_1_insert ON item; DROP FUNCTION syncline_there.capture_1_update CASCADE")
    assert asyncio.run(_put_back(sides)) == {}
    assert sides.sql(bodies) == before
    assert sides.sql("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'item'::regclass") == [(4,)]


async def _put_back(sides: Sides) -> Any:
    settings = load(sides.config, link="there")
    async with reach.source(settings.source, purpose="test") as source:
        with entered(Link("there")):
            return await put_back(source, settings.entities, capture="triggers", wake=True)


def test_a_way_back_that_is_added_has_nothing_marked(sides: Sides) -> None:
    """A backfill or a sweep of the one way would write over, or delete, what the other has not brought yet."""
    one, two = sides.urls
    whole = sides.config.read_text("utf-8")
    sides.config.write_text(whole.partition("[links.back]")[0], "utf-8")
    sides.sql("INSERT INTO item VALUES (1, 'old')")
    sides.run("install", "--yes")
    assert sides.tasks(one, "there") == [("backfill",)]
    sides.config.write_text(whole, "utf-8")
    planned = json.loads(sides.run("install", "--dry-run", "--json", "--link", "there"))
    assert any("replace function" in change for change in planned["changes"])
    assert planned["warnings"] == []
    for link in ("there", "back"):
        told = json.loads(sides.run("install", "--yes", "--json", "--link", link))
        assert (told["installed"], told["backfill"]) == (True, [])
    assert sides.tasks(one, "there") == [("backfill",)]
    assert sides.tasks(two, "back") == []
    sides.run("install", "--yes", "--link", "on")
    assert sides.tasks(two, "on") == [("backfill",)], "a link without a way back is brought up to date by itself"
