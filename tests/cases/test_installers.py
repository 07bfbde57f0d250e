"""Several installers at once take turns; what an installation does itself is no reason for workers to mark anew."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from syncline.capture.postgres.install import install, install_in_turn, plan
from syncline.engines.opening import open_source
from syncline.engines.postgres.lookout import PostgresLookout
from syncline.errors import OvertakenError, SourceError
from syncline.postgres.connection import connect
from tests.integration.capture_case import Case, entity

TABLES = (
    "CREATE TABLE a (id int PRIMARY KEY, n text);"
    "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);"
    "CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (10)"
)
ENTITIES = [entity("a", "a"), entity("p", "p")]


@pytest.fixture
def case(database: str) -> Iterator[Case]:
    with Case(database, ENTITIES) as made:
        made.sql(TABLES)
        made.install()
        yield made


def look(case: Case) -> list[Any]:
    """Let a worker look at the catalog; what it has asked for."""

    async def once() -> None:
        source = await open_source(case.url, worker="00000000-0000-4000-8000-000000000001")
        await PostgresLookout(source.control, source.journal.notices).look()
        await source.close()

    case.sql("DELETE FROM syncline.task")
    asyncio.run(once())
    return case.sql("SELECT kind, entity FROM syncline.task ORDER BY entity, kind")


def as_of_before(case: Case, *triggers: str) -> None:
    """Make triggers what a release before could have made them: something that this one replaces."""
    for trigger in triggers:
        (definition,) = case.sql(
            "SELECT pg_get_triggerdef(oid), tgrelid::regclass::text FROM pg_trigger"
            f" WHERE tgname = '{trigger}' AND tgparentid = 0"
        )
        case.sql(f"DROP TRIGGER {trigger} ON {definition[1]}")
        case.sql(definition[0].replace("EXECUTE", "WHEN (true) EXECUTE"))
        case.sql(f"ALTER TABLE {definition[1]} ENABLE ALWAYS TRIGGER {trigger}")
    case.sql("UPDATE syncline.meta SET package = '0.0.1'")


# -- an upgrade replaces triggers


@pytest.mark.parametrize(
    "triggers", [["syncline_1_update"], ["syncline_1_insert", "syncline_1_delete"], ["syncline_2_row"]], ids=str
)
def test_triggers_that_an_upgrade_replaces_are_no_reason_to_mark_anew(case: Case, triggers: list[str]) -> None:
    as_of_before(case, *triggers)
    look(case)
    case.install()
    assert look(case) == []
    assert case.sql("SELECT count(*) FROM syncline.observed WHERE catalog ? 'replacing'") == [(0,)]


def test_triggers_that_somebody_else_made_anew_are_one_also_beside_an_upgrade(case: Case) -> None:
    as_of_before(case, "syncline_1_update")
    look(case)
    as_of_before(case, "syncline_1_delete")
    case.install()
    assert look(case) == [("backfill", 1), ("sweep", 1)]


# -- two installers


async def planned(case: Case, conn: Any) -> Any:
    return await plan(conn, case.entities)


@pytest.mark.parametrize(
    "change",
    [
        "DROP TRIGGER syncline_1_update ON a",
        "ALTER TABLE a DISABLE TRIGGER syncline_1_update",
        "DROP SCHEMA syncline CASCADE",
        "DELETE FROM syncline.entity WHERE id = 2",
    ],
)
async def test_an_installer_that_was_overtaken_plans_again(database: str, change: str) -> None:
    with Case(database, ENTITIES) as case:
        case.sql(TABLES)
        async with await connect(case.url) as first, await connect(case.url) as second:
            await install(first, await planned(case, first))
            case.sql(change)
            plans = [await planned(case, first), await planned(case, second)]
            await install(first, plans[0])
            await install_in_turn(second, plans[1], lambda: planned(case, second))
            assert not (await planned(case, second)).changes


async def test_two_installers_at_once_both_succeed(database: str) -> None:
    with Case(database, ENTITIES) as case:
        case.sql(TABLES)

        async def one() -> None:
            async with await connect(case.url) as conn:
                await install_in_turn(conn, await planned(case, conn), lambda: planned(case, conn))

        await asyncio.gather(one(), one(), one())
        async with await connect(case.url) as conn:
            assert not (await planned(case, conn)).changes


async def test_whoever_plans_nothing_anew_is_told_what_to_do(database: str) -> None:
    with Case(database, ENTITIES) as case:
        case.sql(TABLES)
        async with await connect(case.url) as conn:
            late = await planned(case, conn)
            await install(conn, await planned(case, conn))
            with pytest.raises(OvertakenError, match="somebody else installed at the same time") as raised:
                await install(conn, late)
    assert raised.value.hint == "run it again, it goes on from here"


def test_who_holds_the_lock_of_installations_is_named(case: Case) -> None:
    case.sql("ALTER TABLE a DISABLE TRIGGER syncline_1_update")
    with psycopg.connect(case.url, application_name="the other one") as holder:
        holder.execute("SELECT pg_advisory_xact_lock(1398361667, 2)")
        with pytest.raises(SourceError, match=r"pid \d+ \(the other one, idle in transaction since"):
            case.install(patience=timedelta(0))
    case.install()
