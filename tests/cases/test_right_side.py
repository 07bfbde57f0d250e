"""A link runs only from the side that holds the truth: while its way back serves, nothing makes its target what its source is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from syncline.backfill.runner import Runner
from syncline.capture.postgres.install import InstallOptions, install, plan
from syncline.cli.main import app
from syncline.config import load
from syncline.contrib.fastapi import Syncline
from syncline.engines.postgres.marking import SqlMarking
from syncline.engines.postgres.plans import compile_plans
from syncline.errors import ReverseServesError
from syncline.model.canonical import MISSING
from syncline.model.entity import TableName
from syncline.model.link import Link, entered
from syncline.ports import DESPITE, Serving
from syncline.postgres.connection import connect
from syncline.postgres.loaders import register_loaders
from syncline.relay.rows_in_the_way import RowsInTheWay
from syncline.split.switching.gate import Gate, Mode
from syncline.split.switching.install import install as put_gate
from syncline.verify.repair import Repairer
from syncline.verify.report import Finding, Kind
from syncline.web.page.jobs import Jobs
from syncline.web.page.table_works import TableWorks
from syncline.wiring.sides import opened_sides
from tests import engines
from tests.copying import Pair, entity, pair
from tests.relay import until
from tests.switch_stage import address

ITEM = "CREATE TABLE item (id bigint PRIMARY KEY, name text)"
FILE = """
[links.there]
source.url = "{one}"
target.url = "{two}"
entities.item.table = "item"
[links.back]
reverse_of = "there"
source.url = "{two}"
target.url = "{one}"
entities.item.table = "item"
"""
SECRET = "a secret of the operators"
WAYS = [
    ("backfill",),
    ("backfill", "item", "--where", "id = 1"),
    ("backfill", "item", "--keys", "{keys}"),
    ("copy",),
    ("copy", "--replace"),
    ("repair",),
    ("resync", "--no-wait"),
]


class Both:
    """Two databases with a way and its way back; each side has a record of its own that the other one has not yet."""

    def __init__(self, one: str, two: str, folder: Path) -> None:
        self.one, self.two = one, two
        self.config, self.keys = folder / "syncline.toml", folder / "keys"
        self.config.write_text(FILE.format(one=one, two=two), "utf-8")
        self.keys.write_text("1\n", "utf-8")
        for url in (one, two):
            self.sql(url, ITEM)
        self.run("install", "--yes", "--no-backfill")
        self.sql(one, "INSERT INTO item VALUES (1, 'here')")
        self.sql(two, "INSERT INTO item VALUES (2, 'there')")

    def sql(self, url: str, statement: str) -> list[Any]:
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def run(self, *arguments: str, ok: int = 0) -> str:
        given = [argument.format(keys=self.keys) for argument in arguments]
        result = CliRunner().invoke(app, [*given, "-c", str(self.config)])
        assert result.exit_code == ok, result.output + repr(result.exception)
        return result.output

    def left(self) -> tuple[list[Any], list[Any], list[Any]]:
        """What the other side's record, and the work that is asked for, have become."""
        return (
            self.sql(self.two, "SELECT * FROM item"),
            self.sql(self.one, "SELECT kind FROM syncline_there.task"),
            self.sql(self.one, "SELECT key, hint::text FROM syncline_there.outbox WHERE hint <> 'I'"),
        )


@pytest.fixture
def other(postgres) -> Iterator[str]:
    with engines.fresh_database(postgres.url) as url:
        yield url


@pytest.fixture
def both(database, other, tmp_path) -> Both:
    return Both(database, other, tmp_path)


def test_every_command_is_refused_by_name_and_says_what_to_do(both) -> None:
    """Until the operator says why it is right: then it is done, and the reason stays."""
    before = both.left()
    for way in WAYS:
        said = both.run(*way, "--link", "there", ok=3)
        assert "refused while the link back serves" in said, way
        assert "--despite-reverse" in said
        assert "syncline status --link back" in said
        assert both.left() == before, way
    both.run("repair", "--dry-run", "--link", "there", ok=1)
    assert "`syncline status --link back`" in both.run("verify", "--patience", "0", "--link", "there", ok=1)
    reason = "nobody writes there today"
    both.run("backfill", "item", "--despite-reverse", " ", "--link", "there", ok=3)
    both.run("backfill", "item", "--keys", "{keys}", "--despite-reverse", reason, "--link", "there")
    assert ("1", "B") in both.left()[2]
    both.run("resync", "--no-wait", "--despite-reverse", reason, "--link", "there")
    assert {
        tuple(row) for row in both.sql(both.one, "SELECT options->>'despite_reverse' FROM syncline_there.task")
    } == {(reason,)}
    both.run("resync", "--cancel", "--link", "there")
    both.run("repair", "--despite-reverse", reason, "--link", "there", ok=2)
    both.run("copy", "--replace", "--despite-reverse", reason, "--link", "there")
    assert both.left()[0] == [(1, "here")]
    traces = both.sql(both.one, "SELECT message FROM syncline_there.notice WHERE name = 'DespiteReverse' ORDER BY id")
    assert [message.partition(" ")[0] for (message,) in traces] == ["a"] * 4
    assert all(message.endswith(f"although link back serves: {reason}") for (message,) in traces)


def test_a_link_whose_way_back_is_not_installed_there_is_served_as_ever(both) -> None:
    both.run("uninstall", "--yes", "--link", "back")
    both.run("copy", "--replace", "--link", "there")
    assert both.left()[0] == [(1, "here")]


async def test_the_pages_buttons_and_the_library_refuse_it_too(both) -> None:
    settings = load(both.config, link="there")
    before = both.left()

    async def changed() -> None: ...

    with entered(settings.link):
        jobs = Jobs(TableWorks(settings).by_name(), {"item"}, changed)
        for what in ("backfill", "repair"):
            job = await jobs.ask(what, "item", "somebody")
            await until(lambda job=job: job.state != "running")
            assert (job.state, "refused while the link back serves" in job.message) == ("failed", True)
        await jobs.close()
        async with opened_sides(settings) as (sides, plans):
            repairer = Repairer(sides, {"item": plans.named("item")})
            with pytest.raises(ReverseServesError):
                await repairer.require_right_side()
    assert both.left() == before


async def test_the_route_for_a_resync_answers_with_a_conflict(both) -> None:
    application = FastAPI()
    application.include_router(Syncline(load(both.config, link="there"), admin_token=SECRET).backup_router())
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://app", timeout=60) as client:
        answer = await client.post("/api/backup/full", headers={"Authorization": f"Bearer {SECRET}"})
    assert answer.status_code == 409, answer.text
    assert "refused while the link back serves" in answer.json()["detail"]
    assert both.left()[1] == []


@pytest.fixture
async def items(database, other) -> AsyncIterator[Pair]:
    async with pair(database, other, ITEM, [entity("item")]) as made:
        yield made


async def way_back(items: Pair) -> None:
    """Put the triggers of the way back into the target."""
    with entered(Link("back", "syncline")):
        async with await psycopg.AsyncConnection.connect(items.target._sessions.url, autocommit=True) as connection:
            await install(connection, await plan(connection, [entity("item")], InstallOptions(backfill=False)))


def without_way_back(items: Pair) -> None:
    items.there.execute("DROP SCHEMA syncline_back CASCADE")


async def test_a_truncate_waits_while_the_way_back_serves_and_is_carried_out_afterwards(items) -> None:
    """What the target's own writers have is not swept away; a notice says what waits, and ends with it."""
    await way_back(items)
    items.sql("INSERT INTO item VALUES (1, 'here')")
    async with items.worker():
        await items.drained()
        items.there.execute("INSERT INTO item VALUES (2, 'there')")
        items.sql("TRUNCATE item")
        await until(lambda: "TaskHeld" in items.notices(), what=items.notices)
        (message,) = items.sql("SELECT message FROM syncline.notice WHERE name = 'TaskHeld'")[0]
        assert "a sweep (truncate) is refused while the link back serves" in message
        assert items.count("item") == 2
        without_way_back(items)
        await items.drained(tasks=True)
        await until(lambda: items.count("item") == 0)
        await until(
            lambda: items.sql("SELECT FROM syncline.notice WHERE name = 'TaskHeld' AND resolved_at IS NULL") == []
        )


async def running(items: Pair, **options: Any) -> tuple[Runner, Any]:
    source = await connect(items.url, keyed=True)
    register_loaders(source.adapters)
    plans = await compile_plans(source, items.entities)
    await items.target.prepare(items.entities)
    return Runner(SqlMarking(source, str(uuid4())), plans.by_id, items.target, **options), source


async def test_a_task_stops_at_its_next_chunk_when_the_way_back_is_installed_meanwhile(items, monkeypatch) -> None:
    items.sql(
        "INSERT INTO item SELECT n, 'n' FROM generate_series(1, 400) AS n; DELETE FROM syncline.outbox; DELETE FROM syncline.block"
    )
    runner, source = await running(items)
    monkeypatch.setattr("syncline.engines.postgres.target.reverse.REMEMBERED_SECONDS", 0.0)
    try:
        await runner.tasks.request("backfill", next(iter(runner.plans)), "test", {"rate": 2000})
        chunks = 0
        mark = runner.tasks.advance

        async def advance(task: Any) -> None:
            nonlocal chunks
            chunks += bool(task.progress.get("after"))
            if chunks == 1:
                await way_back(items)
            await mark(task)

        runner.tasks.advance = advance  # type: ignore[method-assign]
        with pytest.raises(ReverseServesError):
            await runner.run_next()
        assert 0 < items.counts()["outbox"] < 400
        assert items.counts()["task"] == 1
    finally:
        await source.close()


@pytest.mark.parametrize("mode", Mode)
async def test_where_there_is_a_gate_it_alone_decides(items, mode) -> None:
    """It admits the link only where the source's side serves; then the way back is idle, and a reason is not asked for."""
    await way_back(items)
    gate = Gate("data", "new", address(items.target._sessions.url))
    runner, source = await running(items)
    try:
        await put_gate(gate, mode, [TableName("public", "item")])
        await runner.tasks.request("sweep", next(iter(runner.plans)), "test", {DESPITE: "whatever"})
        if mode is Mode.LINK:
            assert (await runner.run_next()) is not None
        else:
            with pytest.raises(ReverseServesError, match=r"the gate data of public\.item in the target admits no link"):
                await runner.run_next()
    finally:
        await gate.aclose()
        await source.close()


async def test_a_conflict_does_not_delete_what_the_way_back_has_not_brought_yet(items, monkeypatch) -> None:
    """The row that has the unique value is the target's own: nobody marks it, for this side would delete it."""
    items.there.execute("ALTER TABLE item ADD UNIQUE (name)")
    await way_back(items)
    items.there.execute("INSERT INTO item VALUES (2, 'same')")
    tries: list[Any] = []
    mark = RowsInTheWay.mark

    async def noted(self: RowsInTheWay, records: Any) -> None:
        tries.append(records)
        await mark(self, records)

    monkeypatch.setattr(RowsInTheWay, "mark", noted)
    async with items.worker():
        items.sql("INSERT INTO item VALUES (1, 'same')")
        await until(lambda: len([one for one in tries if one]) >= 3, what="it was tried")
        assert items.there.execute("SELECT id FROM item").fetchall() == [(2,)]
        assert items.sql("SELECT DISTINCT key FROM syncline.waiting") == [("1",)]
        without_way_back(items)
        await until(lambda: items.there.execute("SELECT id FROM item").fetchall() == [(1,)])


async def test_a_repair_asks_of_the_tables_in_which_it_found_something_and_not_each_time_anew() -> None:
    """It asks for each page of findings, of which a large table has thousands."""
    asked: list[tuple[str, bool]] = []

    class Asked:
        async def serving(self, entity: Any, *, fresh: bool = True) -> None:
            asked.append((entity.name, fresh))

    async def mark(*_: Any) -> None: ...

    plans = {name: SimpleNamespace(entity=entity(name), id=at) for at, name in enumerate(("item", "other"), 1)}
    sides: Any = SimpleNamespace(reverse=Asked(), source=SimpleNamespace(looks=SimpleNamespace(mark=mark)))
    repairer = Repairer(sides, plans)  # type: ignore[arg-type]
    await repairer.require_right_side()
    await repairer.take([Finding("item", Kind.MISSING, "1", 1, ticket=MISSING), Finding("item", Kind.FOREIGN, None, 2)])
    await repairer.take([Finding("other", Kind.FOREIGN, None, 3)])
    assert asked == [("item", True), ("other", True), ("item", False)]
    assert repairer.report.marked_by.total() == 1


def test_messages_name_the_link_without_a_name() -> None:
    assert "the link without a name serves" in Serving("public.item", "").refusal("item", "a copy").message
    assert json.dumps(Serving("public.item", "").refusal("item", "a copy").hint).count("`syncline status`") == 1
