"""Marks in blocks: many keys in a row, each with its number; a part that is acknowledged leaves exactly the rest."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from syncline.capture.postgres import functions
from syncline.config.settings import HistorySettings
from syncline.engines.opening import open_source
from syncline.model.entity import Embed, TableName
from syncline.model.mark import LANES, Mark, lane_mask, there_may_be_more
from syncline.ports import Acknowledgement, Rejection, Source
from syncline.postgres.sql import script
from syncline.tokens.freshness import Freshness
from syncline.tokens.token import make
from tests.integration.capture_case import Case
from tests.integration.capture_case import entity as plain
from tests.relay import ITEM, ITEMS, Relay, relayed

MANY = "INSERT INTO item SELECT n, 'n' || n FROM generate_series(1, 1000) AS n"
ALL = lane_mask(range(LANES))
HOUR = timedelta(hours=1)
WAITING = "SELECT seq, key FROM syncline.waiting ORDER BY seq"
IN_BLOCKS = "SELECT count(*), coalesce(sum(size), 0) FROM syncline.block"


@pytest.fixture
def case(database: str) -> Iterator[Case]:
    embeds = (Embed("parts", TableName("public", "part"), ("item",)),)
    with Case(database, [plain("item", "item", embeds=embeds)]) as made:
        made.sql(ITEMS, "CREATE TABLE part (id bigint PRIMARY KEY, item bigint, n int)")
        made.install()
        made.forget()
        yield made


@pytest.fixture
async def relay(database: str, mongo_url: str, mongo_db: str) -> AsyncIterator[Relay]:
    async with relayed(database, (mongo_url, mongo_db), entities=[ITEM], ddl=ITEMS) as found:
        yield found


@pytest.fixture
async def source(relay: Relay) -> AsyncIterator[Source]:
    worker = str(uuid4())
    found = await open_source(relay.url, worker=worker)
    await found.journal.lanes.renew(name="test", version="0", ttl=HOUR, confirmed=0, report={})
    await found.journal.lanes.acquire(list(range(LANES)), above=0)
    yield found
    await found.close()


async def _acknowledge(source: Source, marks: list[Mark], **more: Any) -> set[int]:
    epoch, history = more.pop("epoch", None), more.pop("history", False)
    epochs = {lane: row.epoch for lane, row in (await _renewed(source)).items()}
    leases = {lane: epoch or epochs[lane] for lane in {mark.lane for mark in marks}}
    return await source.marks.acknowledge(Acknowledgement(marks, leases, **more), grace=HOUR, history=history)


async def _renewed(source: Source) -> Any:
    return (await source.journal.lanes.renew(name="test", version="0", ttl=HOUR, confirmed=0, report={})).lanes


async def _marks(source: Source, limit: int = 10_000, after: int = 0) -> list[Mark]:
    return [Mark(*row) for row in await source.marks.read(after=after, lanes=ALL, limit=limit)]


# -- capture


def test_a_statement_of_many_rows_marks_each_key_once_in_few_rows(case: Case) -> None:
    case.sql(MANY)

    (rows, keys) = case.sql(IN_BLOCKS)[0]
    assert (keys, case.sql("SELECT count(*) FROM syncline.outbox")) == (1000, [(0,)])
    assert rows <= LANES
    assert sorted(case.marks()) == sorted(("item", str(n), "I") for n in range(1, 1001))
    found = case.sql("SELECT count(DISTINCT seq), count(DISTINCT key), count(DISTINCT tx) FROM syncline.waiting")
    assert found == [(1000, 1000, 1)]
    assert case.sql("SELECT count(*) FROM syncline.waiting WHERE lane <> syncline.lane_of(entity, key)") == [(0,)]
    assert case.sql(
        "SELECT count(*) FROM syncline.block WHERE seqs <> '{}' OR seq - first + 1 <> size OR size <> cardinality(keys)"
    ) == [(0,)]


@pytest.mark.parametrize(
    "statement", [MANY, "SELECT syncline.mark(1::smallint, ARRAY(SELECT generate_series(1, 1000)::text), 'B')"]
)
def test_one_number_is_drawn_for_a_block_and_no_key_has_one_above_it(case: Case, statement: str) -> None:
    """The floor, and whoever waits for what was marked before, go by the last number that was drawn."""
    drawn = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM syncline.outbox_seq_seq"
    ((before,),) = case.sql(drawn)
    case.sql(statement)
    ((after,),) = case.sql(drawn)
    ((blocks,),) = case.sql("SELECT count(*) FROM syncline.block")
    ((step,),) = case.sql("SELECT seqincrement FROM pg_sequence WHERE seqrelid = 'syncline.outbox_seq_seq'::regclass")
    assert after - before == blocks * step
    numbers = [number for (number,) in case.sql("SELECT seq FROM syncline.waiting")]
    assert before < min(numbers)
    assert max(numbers) <= after
    case.sql("INSERT INTO item VALUES (0)")
    assert case.sql("SELECT key FROM syncline.waiting ORDER BY seq DESC LIMIT 1") == [("0",)]


def test_a_block_has_no_more_keys_than_one_number_stands_for() -> None:
    assert int(re.findall(r"INCREMENT BY (\d+)", script("schema.sql"))[0]) >= functions.BLOCK
    assert re.findall(r"/ (\d+) \+ 1 AS parts", script("schema.sql")) == [str(functions.BLOCK)]


def test_a_handful_of_rows_is_marked_one_by_one(case: Case) -> None:
    case.sql(f"INSERT INTO item SELECT n FROM generate_series(1, {functions.FEW - 1}) AS n")
    assert case.sql(IN_BLOCKS) == [(0, 0)]
    assert case.sql("SELECT count(*) FROM syncline.outbox") == [(functions.FEW - 1,)]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE item SET qty = 7", {(str(n), "U") for n in range(1, 1001)}),
        ("DELETE FROM item", {(str(n), "D") for n in range(1, 1001)}),
        (
            "UPDATE item SET id = id + 5000 WHERE id > 500",
            {(str(n), "D") for n in range(501, 1001)} | {(str(n + 5000), "U") for n in range(501, 1001)},
        ),
        (
            "INSERT INTO part SELECT n, n % 400 + 1 FROM generate_series(1, 1200) AS n",
            {(str(n), "U") for n in range(1, 401)},
        ),
        (
            "SELECT syncline.mark(1::smallint, ARRAY(SELECT id::text FROM item), 'B')",
            {(str(n), "B") for n in range(1, 1001)},
        ),
    ],
)
def test_every_kind_of_statement_marks_its_keys(case: Case, statement: str, expected: set[tuple[str, str]]) -> None:
    case.sql(MANY)
    case.forget()
    case.sql(statement)
    assert {(key, hint) for _, key, hint in case.marks()} == expected
    assert len(case.marks()) == len(expected)
    assert case.sql(IN_BLOCKS)[0][0] > 0


@pytest.mark.parametrize(
    ("type_", "key"),
    [("int", "n"), ("uuid", "md5(n::text)::uuid"), ("text", "'key ' || n"), ("date", "'2000-01-01'::date + n")],
)
def test_a_bulk_update_marks_the_one_key_that_has_moved(database: str, type_: str, key: str) -> None:
    with Case(database, [plain("moved", "moved")]) as case:
        case.sql(f"CREATE TABLE moved (id {type_} PRIMARY KEY, n int)")
        case.install()
        case.sql(f"INSERT INTO moved SELECT {key}, n FROM generate_series(1, 600) AS n")
        before = {key for (key,) in case.sql("SELECT id::text FROM moved")}
        ((gone,),) = case.sql("SELECT id::text FROM moved WHERE n = 300")
        case.forget()
        case.sql("UPDATE moved SET n = n + 1000")
        assert sorted((key, hint) for _, key, hint in case.marks()) == sorted((key, "U") for key in before)
        case.forget()
        case.sql(f"UPDATE moved SET id = CASE WHEN n = 1300 THEN {key} ELSE id END")
        now = {key for (key,) in case.sql("SELECT id::text FROM moved")}
        assert before - now == {gone}
        assert sorted((key, hint) for _, key, hint in case.marks()) == sorted(
            [*((key, "U") for key in now), (gone, "D")]
        )


def test_blocks_of_neighbouring_numbers_have_keys_of_neighbouring_rows(case: Case) -> None:
    """Both databases find rows that stand together in less time than rows from all over a table."""
    case.sql("INSERT INTO item SELECT n FROM generate_series(1, 65000) AS n")
    found = case.sql("SELECT lane, keys FROM syncline.block ORDER BY seq")
    assert len(found) > LANES
    first = found[:LANES]
    assert {lane for lane, _ in first} == set(range(LANES))
    rest = [int(key) for lane, keys in found[LANES:] for key in keys]
    assert min(rest) > 65000 / 4


def test_what_is_rolled_back_leaves_no_block(case: Case) -> None:
    with case.conn.transaction(force_rollback=True):
        case.sql(MANY)
    assert case.sql(IN_BLOCKS) == [(0, 0)]


def test_a_statement_is_taken_in_slices_and_blocks_are_bounded(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "SLICE", 300)
    monkeypatch.setattr(functions, "BLOCK", 2)
    functions._bodies_of.cache_clear()
    try:
        with Case(database, [plain("item", "item")]) as case:
            case.sql(ITEMS)
            case.install()
            case.forget()
            case.sql(MANY)
            assert sorted(int(key) for _, key, _ in case.marks()) == list(range(1, 1001))
            assert case.sql("SELECT count(DISTINCT seq) FROM syncline.waiting") == [(1000,)]
            assert case.sql("SELECT max(size) FROM syncline.block") == [(2,)]
            case.forget()
            case.sql("UPDATE item SET id = id + 5000 WHERE id > 350")
            moved = {(str(n), "D") for n in range(351, 1001)} | {(str(n + 5000), "U") for n in range(351, 1001)}
            assert sorted((key, hint) for _, key, hint in case.marks()) == sorted(moved)
            assert case.sql("SELECT count(*) FROM syncline.outbox") == [(0,)]
    finally:
        functions._bodies_of.cache_clear()


ODD = {
    "a CHECK": "ALTER TABLE syncline.block ADD CHECK (size = 0)",
    "a trigger that swallows": "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
    "CREATE TRIGGER no BEFORE INSERT ON syncline.block FOR EACH ROW EXECUTE FUNCTION no()",
    "another column": "ALTER TABLE syncline.block ADD must text NOT NULL DEFAULT NULL",
    "gone": "DROP TABLE syncline.block CASCADE",
    "in_blocks gone": "DROP FUNCTION syncline.in_blocks()",
    "a rule": "CREATE RULE no AS ON INSERT TO syncline.block DO INSTEAD NOTHING",
    "row-level security": "ALTER TABLE syncline.block ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
}


@pytest.mark.parametrize("odd", ODD)
def test_where_blocks_are_odd_keys_are_marked_one_by_one(case: Case, odd: str) -> None:
    case.sql(ODD[odd], MANY)
    assert case.sql("SELECT count(*) FROM syncline.outbox") == [(1000,)]


def test_the_release_before_is_given_single_marks(case: Case) -> None:
    case.sql(
        "CREATE OR REPLACE FUNCTION syncline.in_blocks() RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false'", MANY
    )
    case.sql("SELECT syncline.mark(1::smallint, ARRAY(SELECT id::text FROM item), 'B')")
    assert case.sql("SELECT count(*) FROM syncline.outbox") == [(2000,)]
    assert case.sql(IN_BLOCKS) == [(0, 0)]


# -- reading and acknowledging


def _keys(marks: Iterable[Mark]) -> list[str]:
    return [key for mark in marks for key in mark.all_keys]


def _some(block: Mark, step: slice) -> Mark:
    return block._replace(keys=block.all_keys[step], whole=False)


async def test_blocks_are_read_whole_and_in_the_order_of_their_last_numbers_however_few_at_a_time(
    relay: Relay, source: Source
) -> None:
    relay.sql("INSERT INTO item SELECT n FROM generate_series(2001, 2010) AS n")
    relay.sql(MANY)
    relay.sql("INSERT INTO item SELECT n FROM generate_series(3001, 3010) AS n")
    found: list[Mark] = []
    while some := await _marks(source, limit=7, after=found[-1].seq if found else 0):
        assert there_may_be_more(some, 7) or some[-1].key == "3010"
        found += some
    assert [mark.seq for mark in found] == sorted({mark.seq for mark in found})
    assert sorted(_keys(found)) == sorted(key for _, key in relay.sql(WAITING))
    blocks = relay.sql("SELECT seq, keys FROM syncline.block ORDER BY seq")
    assert [(mark.seq, mark.keys) for mark in found if mark.keys is not None] == blocks


async def risen(floor: Any) -> None:
    """Have the floor as high as it may be, once whoever could have drawn a number has ended; nothing is waiting."""
    await floor.advance()
    async with asyncio.timeout(60):
        while floor._candidate is not None:
            await floor.advance()
            await asyncio.sleep(0.01)
    floor.seen(None)


async def test_the_floor_is_below_the_first_mark_ever(source: Source, relay: Relay) -> None:
    """A sequence that nobody has drawn from says the number that it will give."""
    relay.sql("ALTER SEQUENCE syncline.outbox_seq_seq RESTART")
    floor = source.marks.floor()
    assert floor is not None
    await risen(floor)
    relay.sql(MANY)
    assert len(_keys(await _marks(source, after=floor.value))) == 1000


async def test_blocks_of_few_keys_are_read_together(source: Source, relay: Relay) -> None:
    relay.sql("INSERT INTO item SELECT n FROM generate_series(1, 300) AS n")
    assert relay.value("SELECT max(size) FROM syncline.block") < 25
    assert 100 <= len(_keys(await _marks(source, limit=100))) < 125


async def test_no_floor_is_above_numbers_that_sessions_keep_for_later(source: Source, relay: Relay) -> None:
    """Another tool gave the sequence a cache: who drew first writes last."""
    relay.sql("ALTER SEQUENCE syncline.outbox_seq_seq CACHE 20")
    floor = source.marks.floor()
    assert floor is not None
    with psycopg.connect(relay.url, autocommit=True) as early:
        early.execute("INSERT INTO item VALUES (1)")
        relay.sql("INSERT INTO item VALUES (2)")
        relay.sql("DELETE FROM syncline.outbox")
        await risen(floor)
        early.execute("INSERT INTO item VALUES (3)")
        assert _keys(await _marks(source, after=floor.value)) == ["3"]

        relay.sql("ALTER SEQUENCE syncline.outbox_seq_seq CACHE 1")
        drawn = await floor.drawn()
        early.execute("INSERT INTO item VALUES (4)")
        assert drawn > 0
        assert _keys(await _marks(source, after=drawn)) == ["4"], "what sessions kept is given up with the cache"


async def test_of_rows_and_blocks_none_is_passed_by_where_the_others_fill_the_room(
    relay: Relay, source: Source
) -> None:
    """What a read has left must be above its last mark: from there the next one goes on."""
    for first in range(1, 40, 10):
        relay.sql("INSERT INTO item SELECT n FROM generate_series(%s::int, %s::int) AS n", first, first + 9)
        relay.sql(
            "SELECT syncline.mark(1::smallint, ARRAY(SELECT (1000 * %s + n)::text FROM generate_series(1, 256) AS n), 'B')",
            first,
        )
    waiting = sorted(key for _, key in relay.sql(WAITING))
    for limit in (1, 9, 12, 100, 300):
        found: list[Mark] = []
        while some := await _marks(source, limit=limit, after=found[-1].seq if found else 0):
            found += some
        assert sorted(_keys(found)) == waiting


async def test_no_floor_is_above_a_block_that_waits(relay: Relay, source: Source) -> None:
    """Of three that were made at the same time the last to end has the lowest number; blocks go by their last ones."""
    for numbers in ([*range(501, 531)], [*range(531, 561)], [20, 561]):
        relay.sql(
            "INSERT INTO syncline.block (seq, first, entity, lane, hint, seqs, keys, size)"
            " SELECT max(n), min(n), 1, 1, 'U', array_agg(n ORDER BY n), array_agg(n::text ORDER BY n), count(*)"
            " FROM unnest(%s::bigint[]) AS n",
            numbers,
        )
    relay.sql("SELECT setval('syncline.outbox_seq_seq', 561)")
    floor = source.marks.floor()
    assert floor is not None
    while not floor.value:
        await floor.advance()
        floor.seen((await _marks(source, limit=25, after=floor.value))[0].seq)
        await asyncio.sleep(0.01)
    assert "20" in _keys(await _marks(source, after=floor.value))


@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("which", [slice(None, None, 3), slice(None, 5), slice(5, None)])
async def test_what_is_acknowledged_of_a_block_goes_and_the_rest_waits_as_it_was(
    relay: Relay, source: Source, which: slice, history: bool
) -> None:
    relay.sql(MANY)
    before = relay.sql("SELECT * FROM syncline.waiting ORDER BY seq")
    marks = await _marks(source)
    part = [_some(block, which) for block in marks]
    done = set(_keys(part))
    numbers = {key: seq for seq, key in relay.sql(WAITING)}

    await _acknowledge(source, part, history=history)

    key = 7  # of a row of the view
    assert relay.sql("SELECT * FROM syncline.waiting ORDER BY seq") == [row for row in before if row[key] not in done]
    assert relay.value("SELECT sum(size) FROM syncline.block") == len(before) - len(done)
    whole = "size = cardinality(keys) AND cardinality(seqs) IN (0, size) AND first = coalesce(seqs[1], first)"
    assert relay.value(f"SELECT bool_and({whole}) FROM syncline.block")
    gaps = relay.value("SELECT count(*) FROM syncline.block WHERE seqs <> '{}'")
    assert gaps > 0 if which.step else gaps == 0
    applied = relay.sql("SELECT seq, key FROM syncline.history ORDER BY seq")
    assert applied == (sorted((numbers[key], key) for key in done) if history else [])

    await _acknowledge(source, part, history=history)  # repeated, since nobody knows whether it was done
    assert relay.value("SELECT sum(size) FROM syncline.block") == len(before) - len(done)
    assert relay.value("SELECT count(*) FROM syncline.history") == len(applied)

    await _acknowledge(source, marks, history=history)  # as they were read: what is there now goes
    assert relay.value("SELECT count(*) FROM syncline.block") == 0
    assert relay.value("SELECT count(*) FROM syncline.history") == (len(before) if history else 0)


@pytest.mark.parametrize("history", [False, True])
async def test_parts_whole_blocks_and_single_marks_are_acknowledged_together(
    relay: Relay, source: Source, history: bool
) -> None:
    relay.sql(MANY)
    relay.sql("UPDATE item SET qty = 1 WHERE id = 5")
    whole, parted, *_, single = await _marks(source)
    parts = [_some(parted, slice(0, 2)), _some(parted, slice(2, 5)), _some(parted, slice(1, 3))]
    done = {*_keys([whole, *parts])}

    await _acknowledge(source, [whole, *parts, single], history=history)

    assert {key for _, key in relay.sql(WAITING)} == {str(n) for n in range(1, 1001)} - done
    assert relay.value("SELECT count(*) FROM syncline.outbox") == 0
    if history:
        assert relay.value("SELECT count(*) FROM syncline.history") == len(done) + 1


async def test_of_two_that_acknowledge_parts_at_once_each_leaves_what_the_other_has_left(
    relay: Relay, source: Source
) -> None:
    relay.sql(MANY)
    block = (await _marks(source))[0]
    with psycopg.connect(relay.url) as other:
        other.execute(
            "UPDATE syncline.block SET first = first + 1, keys = keys[2:], size = size - 1 WHERE seq = %s", (block.seq,)
        )
        acknowledging = asyncio.create_task(_acknowledge(source, [_some(block, slice(-1, None))]))
        await asyncio.sleep(0.3)
        assert not acknowledging.done()
        other.commit()
        await acknowledging
    left = relay.value("SELECT keys FROM syncline.block WHERE seq = %s", block.seq)
    assert left == list(block.all_keys[1:-1])


@pytest.mark.parametrize("whole", [True, False])
async def test_a_block_stays_as_it_is_when_the_lease_is_lost(relay: Relay, source: Source, whole: bool) -> None:
    relay.sql(MANY)
    marks = await _marks(source)
    assert await _acknowledge(source, [mark._replace(whole=whole) for mark in marks], epoch=99) == set()
    assert relay.value("SELECT count(*) FROM syncline.waiting") == 1000


async def test_a_rejected_key_is_parked_alone(relay: Relay, source: Source) -> None:
    relay.sql(MANY)
    marks = await _marks(source)
    bad = marks[0].all_keys[3]
    number = relay.value("SELECT seq FROM syncline.waiting WHERE key = %s", bad)
    entity_id = relay.value("SELECT id FROM syncline.entity")
    await _acknowledge(source, marks[:5], rejected=[(entity_id, Rejection(bad, "too_large", "no"))])
    assert relay.parked() == {bad: "too_large"}
    assert relay.value("SELECT seq FROM syncline.parked") == number
    assert relay.value("SELECT count(*) FROM syncline.waiting") == 1000 - len(_keys(marks[:5]))


async def test_a_token_is_synced_when_none_of_its_keys_waits(relay: Relay, source: Source) -> None:
    with relay.conn.transaction():
        relay.sql(MANY)
        tx = int(relay.value("SELECT pg_current_xact_id()::text"))
    token = make(relay.value("SELECT left(installation::text, 8) FROM syncline.meta"), [tx])
    *marks, last = await _marks(source)
    freshness = Freshness(relay.url)
    try:
        assert not await freshness.synced(token, timeout=0)
        await _acknowledge(source, [*marks, _some(last, slice(1, None))])
        assert not await freshness.synced(token, timeout=0)
        await _acknowledge(source, [_some(last, slice(0, 1))])
        assert await freshness.synced(token)
    finally:
        await freshness.close()


# -- the worker, and what people see


async def test_a_worker_brings_what_blocks_mark(relay: Relay) -> None:
    relay.history = HistorySettings()
    async with relay.worker():
        relay.sql("INSERT INTO item SELECT n, 'n' || n FROM generate_series(1, 20000) AS n")
        relay.sql("UPDATE item SET qty = qty + 1 WHERE id % 2 = 0")
        relay.sql("UPDATE item SET id = id + 100000 WHERE id BETWEEN 1 AND 600")
        relay.sql("DELETE FROM item WHERE id % 5 = 0")
        await relay.equal(deferred=True)
    assert relay.value("SELECT count(*) FROM syncline.block") == 0
    changes = relay.value("SELECT count(*) FROM syncline.changes")
    assert changes == relay.value("SELECT count(*) FROM syncline.history") == 20000 + 10000 + 1200 + 4000


async def test_a_block_is_a_row_a_key_for_people(relay: Relay) -> None:
    relay.sql(MANY)
    rows = relay.sql('SELECT event_type, aggregate_id, processed FROM "Outbox" ORDER BY id')
    assert sorted(rows) == sorted(("item.created", str(n), False) for n in range(1, 1001))
