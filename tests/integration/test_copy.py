"""The initial copy between two PostgreSQL databases, beside writers, killed anywhere: both end equal."""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from syncline.copying.copier import RETRIES, Copier
from syncline.copying.progress import Progress, Sizes
from syncline.engines.postgres.copying import carrier as carrier_module
from syncline.engines.postgres.copying.carrier import SqlCarrier
from syncline.engines.postgres.target.target import SqlTarget
from syncline.errors import CopyError, SynclineError, TargetRefusedError, TargetUnavailableError
from syncline.model.entity import Fields
from syncline.ports.copying import Copied, Range, RangeLostError
from tests import engines
from tests.acceptance.values import TYPES, random_pair
from tests.copying import entity, pair
from tests.relay import PATIENCE, until

ITEM = "CREATE TABLE item (id bigint PRIMARY KEY, name text, qty int NOT NULL DEFAULT 0)"


@pytest.fixture
def other(postgres):
    with engines.fresh_database(postgres.url) as url:
        yield url


@pytest.fixture
async def items(database, other, monkeypatch):
    async with pair(database, other, ITEM, [entity("item")]) as made:
        made.sql("ALTER TABLE item DISABLE TRIGGER USER")
        made.sql("INSERT INTO item SELECT n, 'n' || n, n FROM generate_series(1, 1000) AS n")
        made.sql("ALTER TABLE item ENABLE TRIGGER USER; ANALYZE item")
        yield made


async def test_rows_are_copied_in_ranges_beside_writers_and_then_relayed(items) -> None:
    """Marks wait while the table is copied, and are read when it is declared."""
    dice = random.Random(3)

    def written(*_: object) -> None:
        for _ in range(3):
            one = dice.randint(1, 1000)
            items.sql("DELETE FROM item WHERE id = %s", one)
            items.sql("UPDATE item SET id = id + 1000, qty = -1 WHERE id = %s", dice.randint(1, 1000))
            items.sql("INSERT INTO item VALUES (%s, 'new') ON CONFLICT DO NOTHING", dice.randint(-10, 3000))

    async with items.worker():
        (progress,) = await items.copy(on_progress=written)
        assert (progress.finished, progress.done) == (True, progress.ranges)
        assert progress.ranges >= 8
        await items.settled()
        items.sql("UPDATE item SET qty = qty + 1")
        await items.settled()


class Killed(Exception):  # noqa: N818
    """A copier ends here."""


def killed_at(point: str, number: int) -> Callable[[SqlCarrier], SqlCarrier]:
    """Have a carrier end at a point of a range: its connections are cut, as those of a killed process."""

    def wrap(carrier: SqlCarrier) -> SqlCarrier:
        poured, carried = carrier._poured, carrier.carry

        def pour(source: Any, target: Any, plan: Any, part: Range, tell: Any) -> Copied:
            if part.number == number and point == "before the copy":
                raise Killed
            copied = poured(source, target, plan, part, tell)
            if part.number == number and point == "before it is done":
                raise Killed
            return copied

        def carry(plan: Any, part: Range, tell: Any) -> Copied:
            def told(rows: int, size: int) -> None:
                if part.number == number and point == "in the middle" and rows:
                    raise Killed
                tell(rows, size)

            copied = carried(plan, part, told)
            if part.number == number and point == "after it is done":
                raise Killed
            return copied

        carrier._poured, carrier.carry = pour, carry  # type: ignore[method-assign]
        return carrier

    return wrap


@pytest.mark.parametrize("point", ["before the copy", "in the middle", "before it is done", "after it is done"])
async def test_a_killed_copy_goes_on_at_the_cost_of_one_range(items, point) -> None:
    carried: list[int] = []

    def counted(carrier: SqlCarrier) -> SqlCarrier:
        carry = carrier.carry

        def noted(plan: Any, part: Range, tell: Any) -> Copied:
            carried.append(part.number)
            return carry(plan, part, tell)

        carrier.carry = noted  # type: ignore[method-assign]
        return carrier

    with pytest.raises(Killed):
        await items.copy(wrap=killed_at(point, 4))
    items.sql("UPDATE item SET name = 'later' WHERE id % 7 = 0")
    items.sql("DELETE FROM item WHERE id % 11 = 0")
    (progress,) = await items.copy(wrap=counted)
    assert carried == list(range(5 if point == "after it is done" else 4, progress.ranges + 1))
    assert progress.left == 0
    async with items.worker():
        await items.settled()


async def test_marks_and_sweeps_wait_while_a_table_is_copied_and_others_go_on(database, other, monkeypatch) -> None:
    ddl = f"{ITEM}; CREATE TABLE tag (id int PRIMARY KEY)"
    async with pair(database, other, ddl, [entity("item"), entity("tag")]) as made:
        made.sql("INSERT INTO item SELECT n FROM generate_series(1, 300) AS n")
        async with made.worker():
            await made.settled()
            with pytest.raises(Killed):
                async with made.copier(wrap=killed_at("before the copy", 1)) as (copier, plans):
                    await copier.run([plan for plan in plans if plan.name == "item"], replace=True)
            made.sql("DELETE FROM item WHERE id = 7; INSERT INTO tag VALUES (1)")
            made.sql(
                "INSERT INTO syncline.task (kind, entity, reason) SELECT kind, id, 'test'"
                " FROM syncline.entity, unnest(ARRAY['sweep', 'backfill']) AS kind ORDER BY name, kind DESC"
            )
            left = "SELECT e.name, t.kind FROM syncline.task AS t JOIN syncline.entity AS e ON e.id = t.entity"
            await until(lambda: made.sql(left) == [("item", "sweep")], what="the other tasks are done")
            await until(lambda: made.count("tag") == 1, what="the other table's mark is applied")
            waiting = "SELECT DISTINCT e.name FROM syncline.waiting AS o JOIN syncline.entity AS e ON e.id = o.entity"
            await until(lambda: made.sql(waiting) == [("item",)], what="only the copied table's marks wait")
            await made.copy(names=["item"])
            await made.settled()


ASKED = "INSERT INTO syncline.task (kind, entity, reason) SELECT %s, id, 'install' FROM syncline.entity WHERE name = %s"
LEFT = "SELECT e.name, t.kind FROM syncline.task AS t JOIN syncline.entity AS e ON e.id = t.entity ORDER BY t.id"


@pytest.mark.parametrize("cancelled", [False, True])
async def test_what_the_installation_has_asked_for_is_done_by_the_copy(database, other, cancelled) -> None:
    """A worker that has begun with it loses it; it does it when the copy is given up."""
    ddl = f"{ITEM}; CREATE TABLE tag (id int PRIMARY KEY)"
    async with pair(database, other, ddl, [entity("item"), entity("tag")]) as made:
        made.sql("INSERT INTO item SELECT n FROM generate_series(1, 300) AS n; DELETE FROM syncline.outbox")
        made.sql("DELETE FROM syncline.block")
        made.sql(ASKED, "backfill", "item")
        made.sql(ASKED, "sweep", "item")
        made.sql(
            "UPDATE syncline.task SET claimed_by = gen_random_uuid(), claimed_until = now() + '1 hour' WHERE kind = 'backfill'"
        )
        with pytest.raises(Killed):
            await made.copy(names=["item"], wrap=killed_at("before the copy", 1))
        made.sql(ASKED, "backfill", "tag")
        async with made.worker():
            await until(lambda: ("tag", "backfill") not in made.sql(LEFT), what="the other table's task is done")
            assert made.sql(LEFT) == [("item", "backfill"), ("item", "sweep")]
            async with made.copier() as (copier, plans):
                wanted = [plan for plan in plans if plan.name == "item"]
                await copier.cancel(wanted) if cancelled else await copier.run(wanted)
            assert cancelled or made.sql(LEFT) == []
            await made.settled()


async def test_marks_that_were_passed_over_are_read_when_the_table_is_declared(database, other, monkeypatch) -> None:
    monkeypatch.setattr("syncline.relay.reader.FLOOR_SECONDS", 0.01)
    ddl = f"{ITEM}; CREATE TABLE tag (id int PRIMARY KEY)"
    async with (
        pair(database, other, ddl, [entity("item"), entity("tag")]) as made,
        made.worker() as worker,
    ):
        with pytest.raises(Killed):
            await made.copy(names=["item"], wrap=killed_at("before the copy", 1))
        made.sql("INSERT INTO item VALUES (1)")
        marked = made.value("SELECT max(seq) FROM syncline.waiting")
        for number in range(100_000):
            made.sql("INSERT INTO tag VALUES (%s)", number)
            await asyncio.sleep(0.005)
            floor = worker._pump._reader._floor if worker._pump else None
            if floor is not None and floor.value > marked:
                break
        await made.copy(names=["item"])
        await made.settled()


async def test_a_walk_over_marks_that_wait_for_the_only_tables_copy_ends(items, monkeypatch) -> None:
    """Nothing is read, so nothing else would have the floor rise: each wake would walk over all of them."""
    monkeypatch.setattr("syncline.relay.reader.FLOOR_SECONDS", 0.01)
    monkeypatch.setattr("syncline.relay.reader.LONG_WALK_SECONDS", 0.0)
    async with items.worker() as worker:
        with pytest.raises(Killed):
            await items.copy(wrap=killed_at("before the copy", 1))
        items.sql("INSERT INTO item VALUES (1001)")
        marked = items.value("SELECT max(seq) FROM syncline.waiting")

        def is_above() -> bool:
            items.sql("UPDATE item SET qty = qty + 1 WHERE id = 1001")
            floor = worker._pump._reader._floor if worker._pump else None
            return floor is not None and floor.value > marked

        await until(is_above)
        await items.copy()
        await items.settled()


async def test_what_was_read_before_the_copy_began_is_not_written_any_more(items, monkeypatch) -> None:
    """A worker has read a state and freezes; the row goes, the copy begins and ends; then it goes on."""
    read, going = asyncio.Event(), asyncio.Event()
    apply = SqlTarget.apply

    async def frozen(self: SqlTarget, batch: Any) -> Any:
        if not going.is_set():
            read.set()
            await going.wait()
        return await apply(self, batch)

    monkeypatch.setattr(SqlTarget, "apply", frozen)
    async with items.worker():
        items.sql("UPDATE item SET name = 'read' WHERE id = 5")
        await asyncio.wait_for(read.wait(), PATIENCE)
        items.sql("DELETE FROM item WHERE id = 5")
        async with items.copier() as (copier, plans):
            begin = copier._begin

            async def begun(wanted: Any) -> None:
                await begin(wanted)
                going.set()
                await until(lambda: items.seen.drops, what="the batch is dropped")
                assert items.count("item") == 0

            monkeypatch.setattr(Copier, "_begin", lambda _, wanted: begun(wanted))
            await copier.run(plans)
        await items.settled()


async def test_a_frozen_copier_cannot_commit_after_another_one_has_begun_its_range(items, monkeypatch) -> None:
    """It has read a row, which is deleted before the second one reads; its transaction is ended, not waited for."""
    monkeypatch.setattr(carrier_module, "WAIT_SECONDS", 0.3)
    items.sql("DELETE FROM item WHERE id > 1")
    pour = carrier_module.pour
    read, going = threading.Event(), threading.Event()

    def slow(source: Any, query: bytes, target: Any, write: bytes, tell: Any) -> tuple[int, int]:
        """Read everything, and write it much later, as large buffers on the way would."""
        if read.is_set():
            return pour(source, query, target, write, tell)
        with source.cursor().copy(query) as copy:
            data = b"".join(bytes(part) for part in copy)
        read.set()
        going.wait(PATIENCE)
        try:
            with target.cursor().copy(write) as copy:
                copy.write(data)
        except psycopg.Error as error:
            error.of_target = True
            raise
        return 1, len(data)

    monkeypatch.setattr(carrier_module, "pour", slow)
    async with items.copier() as (first, plans), items.copier() as (second, _):
        freezing = asyncio.create_task(first.run(plans))
        await until(read.is_set, what="the first one has read")
        await first.ranges._connection.close()  # the copy's own lock is the server's to give back
        items.sql("DELETE FROM item")
        await second.run(plans)
        async with items.worker():
            await items.drained()
            going.set()
            (failed,) = await asyncio.gather(freezing, return_exceptions=True)
            assert isinstance(failed, SynclineError | RangeLostError)
            await items.settled()
        assert items.count("item") == 0


async def test_rows_are_refused_by_name_and_other_tables_are_copied(database, other, monkeypatch) -> None:
    here = f"{ITEM}; CREATE TABLE tag (id int PRIMARY KEY, item bigint REFERENCES item)"
    there = here.replace("name text", "name text CHECK (name <> 'n77')")
    async with pair(database, other, here, [entity("item"), entity("tag")], there=there) as made:
        made.sql("INSERT INTO item SELECT n, 'n' || n FROM generate_series(1, 300) AS n; INSERT INTO tag VALUES (1)")
        item, tag = await made.copy()
        assert (tag.finished, tag.held) == (False, "item"), "declared together with what it refers to"
        assert made.count("tag") == 1
        assert not item.finished
        assert item.error is not None
        assert re.search(r"item: .*\"item_name_check\".*range 1, .*line 77", item.error.message)
        made.there.execute("ALTER TABLE item DROP CONSTRAINT item_name_check")
        item, tag = await made.copy()
        assert (item.finished, tag.finished) == (True, True)
        async with made.worker():
            await made.settled()


ORDERS = (
    "CREATE TABLE tag (id int PRIMARY KEY); CREATE TABLE orders (id int PRIMARY KEY);"
    "CREATE TABLE line (id int PRIMARY KEY, orders int NOT NULL REFERENCES orders ON DELETE CASCADE)"
)


@pytest.fixture
async def orders(database, other):
    """A table of one range, and one of several that refers to it; and one of its own."""
    async with pair(database, other, ORDERS, [entity("tag"), entity("orders"), entity("line")]) as made:
        made.sql("INSERT INTO tag VALUES (1); INSERT INTO orders SELECT n FROM generate_series(1, 50) AS n")
        made.sql("INSERT INTO line SELECT n, n % 50 + 1 FROM generate_series(1, 300) AS n; ANALYZE line")
        yield made


UNDECLARED = (
    "SELECT array_agg(e.name::text ORDER BY e.name) FROM syncline.copy AS c JOIN syncline.entity AS e ON e.id = c.entity"
    " WHERE c.copied_at IS NULL"
)


async def test_tables_that_foreign_keys_join_are_declared_together(orders) -> None:
    """An order that was deleted can go only after its lines, whose marks wait while they are copied."""
    with pytest.raises(Killed):
        await orders.copy(wrap=killed_at("before the copy", 2))
    assert orders.value(UNDECLARED) == ["line", "orders"]
    async with orders.worker():
        orders.sql("DELETE FROM orders WHERE id = 7")
        with pytest.raises(CopyError, match="line: being copied, too"):
            await orders.copy(names=["orders"])
        assert all(progress.finished for progress in await orders.copy())
        await orders.settled()


async def test_an_order_waits_for_its_lines_that_are_copied_alone_however_long_that_takes(orders, monkeypatch) -> None:
    monkeypatch.setattr("syncline.relay.conflicts.STUCK_SECONDS", 0.1)
    await orders.copy(names=["tag", "orders"])
    with pytest.raises(Killed):
        await orders.copy(names=["line"], wrap=killed_at("before the copy", 3))
    async with orders.worker():
        orders.sql("DELETE FROM orders WHERE id = 7")
        tries = lambda: len([done for done in orders.seen.batches if done.entity == "orders"])  # noqa: E731
        await until(lambda: tries() >= 8 or orders.parked(), what=lambda: f"{tries()} tries")
        assert orders.parked() == {}
        await orders.copy(names=["line"])
        await orders.settled()


async def test_who_begins_anew_loses_no_row_that_a_delete_takes_along(orders) -> None:
    await orders.copy(names=["orders"])
    with pytest.raises(Killed):
        await orders.copy(names=["line"], wrap=killed_at("before the copy", 3))
    await orders.copy(replace=True)
    assert orders.difference() == []


async def test_a_table_to_which_rows_of_others_refer_is_not_emptied(orders, monkeypatch) -> None:
    await orders.copy()
    with pytest.raises(CopyError, match=r"rows of public\.line in the target refer"):
        await orders.copy(names=["orders"], replace=True)
    assert orders.value(UNDECLARED) is None
    assert orders.difference() == []
    orders.there.execute("DELETE FROM line")
    begin = Copier._begin

    async def begun(self: Copier, wanted: Any) -> None:
        await begin(self, wanted)
        orders.there.execute("INSERT INTO line VALUES (1, 1)")

    monkeypatch.setattr(Copier, "_begin", begun)
    with pytest.raises(CopyError, match=r"rows of public\.line in the target refer"):
        await orders.copy(names=["orders"], replace=True)
    assert (orders.count("line"), orders.count("orders")) == (1, 50)


async def test_a_range_that_was_lost_to_another_copier_is_not_taken_for_done(items) -> None:
    def robbed(carrier: SqlCarrier) -> SqlCarrier:
        begun = carrier._begun

        def lost(target: Any, part: Range) -> int:
            attempt = begun(target, part)
            if part.number == 2:  # somebody else begins it, and ends before it is done
                items.there.execute(
                    "UPDATE syncline_target.copy_range SET attempt = attempt + 1 WHERE id = %s", [part.id]
                )
            return attempt

        carrier._begun = lost  # type: ignore[method-assign]
        return carrier

    with pytest.raises(CopyError, match="another copier has taken a range over"):
        await items.copy(wrap=robbed)
    assert items.value(UNDECLARED) == ["item"]
    (progress,) = await items.copy()
    assert progress.finished
    assert items.difference() == []


async def test_a_target_that_is_not_empty_is_refused_and_marks_are_read_again(items) -> None:
    items.there.execute("INSERT INTO item VALUES (5, 'other'), (5000, 'stray')")
    with pytest.raises(CopyError, match=r"not empty in the target: public\.item"):
        await items.copy()
    async with items.worker():
        items.sql("UPDATE item SET qty = 7 WHERE id = 5")
        await until(items.is_drained, what="marks are read")
        await items.copy(replace=True)
        await items.settled()


async def test_values_that_move_and_parents_that_are_late_are_left_to_the_relay(database, other, monkeypatch) -> None:
    """Ranges have snapshots of their own: a later one may hold a value that a row of an earlier one still has."""
    ddl = (
        "CREATE TABLE part (id int PRIMARY KEY, code text UNIQUE);"
        "CREATE TABLE line (id int PRIMARY KEY, part int NOT NULL REFERENCES part)"
    )
    async with pair(database, other, ddl, [entity("line"), entity("part")]) as made:
        made.sql("INSERT INTO part SELECT n, 'c' || n FROM generate_series(1, 400) AS n; ANALYZE part")
        made.sql("INSERT INTO line SELECT n, n FROM generate_series(1, 200) AS n; INSERT INTO line VALUES (400, 400)")
        made.sql(
            "DELETE FROM syncline.outbox; DELETE FROM syncline.block"
        )  # as if all that was long before the triggers
        moved = []

        def told(progress: Progress) -> None:
            if progress.done == 1 and not moved:
                moved.append(1)
                made.sql("UPDATE part SET code = NULL WHERE id = 1; UPDATE part SET code = 'c1' WHERE id = 400")
                made.sql("INSERT INTO part VALUES (0, 'zero'); INSERT INTO line VALUES (0, 0)")

        part, line = await made.copy(on_progress=told)
        assert (part.entity, part.left, line.left) == ("part", 1, 2)
        async with made.worker():
            await made.settled()


async def test_tables_that_refer_to_themselves_and_to_each_other(database, other, monkeypatch) -> None:
    ddl = (
        "CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree, leaf int);"
        "CREATE TABLE leaf (id int PRIMARY KEY, tree int REFERENCES tree);"
        "ALTER TABLE tree ADD FOREIGN KEY (leaf) REFERENCES leaf"
    )
    async with pair(database, other, ddl, [entity("tree"), entity("leaf")]) as made:
        made.sql("INSERT INTO tree SELECT n, CASE WHEN n < 300 THEN n + 1 END FROM generate_series(1, 300) AS n")
        made.sql("INSERT INTO leaf SELECT n, n FROM generate_series(1, 300) AS n; ANALYZE tree")
        made.sql("UPDATE tree SET leaf = 7 WHERE id = 3")
        async with made.copier() as (copier, plans):
            _, order = await copier.prospects(plans)
            assert [set(circle) for circle in order.circles] == [{"public.tree", "public.leaf"}]
            await copier.run(plans)
        async with made.worker():
            await made.settled()


async def test_every_type_composite_keys_and_other_orders_of_columns(database, other, monkeypatch) -> None:
    columns = ", ".join(f"c{number} {type_}" for number, type_ in enumerate(TYPES))
    types = (
        "CREATE TYPE mood AS ENUM ({}); CREATE DOMAIN price AS numeric(12,2);"
        "CREATE TYPE pair AS (a int, b text[]); CREATE TABLE item ({})"
    )
    here = types.format(
        "'sad', 'so-so', 'überglücklich'",
        f"gone int, k2 text, k1 int, {columns}, drop_me int, twice int GENERATED ALWAYS AS (k1 * 2) STORED,"
        "auto bigint GENERATED ALWAYS AS IDENTITY (START 50), old text, small int, PRIMARY KEY (k1, k2)",
    )
    backwards = ", ".join(reversed([f"c{number} {type_}" for number, type_ in enumerate(TYPES)]))
    there = types.format(
        "'überglücklich', 'so-so', 'sad'",
        f"k1 int, k2 text, new text, {backwards}, twice int GENERATED ALWAYS AS (k1 * 2) STORED,"
        "auto bigint GENERATED ALWAYS AS IDENTITY, small int, PRIMARY KEY (k2, k1)",
    )
    fields = Fields(exclude=("drop_me",), rename={"old": "new"})
    dice = random.Random(11)
    async with pair(database, other, here, [entity("item", fields=fields)], there=there) as made:
        made.sql("ALTER TABLE item DROP COLUMN gone; ALTER TABLE item ADD odd pair")  # documents have no form for it
        made.there.execute("ALTER TABLE item ADD odd pair")
        named = ", ".join(["k1, k2, old, small, odd", *(f"c{number}" for number in range(len(TYPES)))])
        values = ", ".join(
            [
                "%s",
                "%s",
                "%s",
                "1",
                "%s::text::pair",
                *(f"%s::text::{type_.removesuffix(' NOT NULL')}" for type_ in TYPES),
            ]
        )
        for number in range(60):
            odd = dice.choice(('(1,"{a,\\"b c\\",NULL}")', "(,)", None))
            drawn = [random_pair(one, dice)[0] for one in TYPES]
            key = (number % 7, f"b'\\ {number}")
            made.sql(f"INSERT INTO item ({named}) VALUES ({values})", *key, f"o{number}", odd, *drawn)
        made.sql("DELETE FROM syncline.outbox; DELETE FROM syncline.block; ANALYZE item")
        read = "SELECT to_jsonb(t) - 'old' - 'drop_me' - 'new' || jsonb_build_object('n', t.{}) FROM item AS t ORDER BY k1, k2"
        for change in ("", "ALTER TABLE item ALTER small TYPE bigint"):  # the second time values travel as texts
            if change:
                made.there.execute(change)
            async with made.copier(sizes=Sizes(rows=20, bytes=1 << 30)) as (copier, plans):
                (prospect,), _ = await copier.prospects(plans)
                assert prospect.destination.binary is not bool(change), prospect.destination.why_text
                (progress,) = await copier.run(plans, replace=True)
            assert progress.ranges >= 3
            assert made.sql(read.format("old")) == made.there.execute(read.format("new")).fetchall()


async def test_a_target_that_stays_away_ends_the_copy_and_a_full_disk_at_once(items, monkeypatch) -> None:
    monkeypatch.setattr("syncline.copying.copier.FIRST_PAUSE_SECONDS", 0.01)
    tries = []

    def away(error: Exception) -> Callable[[SqlCarrier], SqlCarrier]:
        def carry(*_: object) -> Copied:
            tries.append(1)
            raise error

        def wrap(carrier: SqlCarrier) -> SqlCarrier:
            carrier.carry = carry  # type: ignore[method-assign]
            return carrier

        return wrap

    with pytest.raises(TargetUnavailableError):
        await items.copy(wrap=away(TargetUnavailableError("away")))
    assert len(tries) == RETRIES
    with pytest.raises(TargetRefusedError):
        await items.copy(wrap=away(TargetRefusedError("disk full")))
    assert len(tries) == RETRIES + 1
    (progress,) = await items.copy(parallel=3)
    assert progress.finished
    assert items.difference() == []
