"""Faults of every kind, planted in backoffice: each is found, in single mode and so before the split."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest
from backoffice.models.customers import Facility
from backoffice.models.delivery import Carrier, Rate
from backoffice.models.people import User
from fastapi import FastAPI
from sqlalchemy import delete, exists, func, insert, select, text, union, update
from sqlalchemy.ext.asyncio import AsyncSession

from syncline.errors import (
    AcrossDatabasesError,
    RoutingError,
    SecondDatabaseError,
    UnknownTableError,
    WrongDatabaseError,
)
from tests.acceptance.backoffice.system import System, run


@pytest.fixture(autouse=True)
def boundary() -> None:
    """What is found here is what was planted."""


async def _join(session: AsyncSession) -> None:
    await session.execute(select(Facility.name, Rate.price).join(Rate, Rate.zone == Facility.zone))


async def _subquery(session: AsyncSession) -> None:
    await session.execute(select(Facility).where(exists().where(Rate.zone == Facility.zone)))


async def _union(session: AsyncSession) -> None:
    await session.execute(union(select(User.name), select(Carrier.name)))


async def _insert_select(session: AsyncSession) -> None:
    await session.execute(insert(Carrier).from_select(["code", "name"], select(User.email, User.name)))


async def _update_from(session: AsyncSession) -> None:
    await session.execute(update(Carrier).values(name=User.name).where(Carrier.id == User.id))


async def _delete_using(session: AsyncSession) -> None:
    await session.execute(delete(Rate).where(Rate.zone == Facility.zone))


async def _sql(session: AsyncSession) -> None:
    await session.execute(
        text("WITH gone AS (DELETE FROM carriers RETURNING name) INSERT INTO roles SELECT name FROM gone")
    )


async def _two_writes(session: AsyncSession) -> None:
    await session.execute(update(User).values(active=True).where(User.id == -1))
    await session.execute(update(Carrier).values(active=True).where(Carrier.id == -1))


async def _write_and_lock(session: AsyncSession) -> None:
    await session.scalars(select(User).where(User.id == -1).with_for_update(key_share=True, read=True))
    await session.execute(delete(Carrier).where(Carrier.id == -1))


async def _objects(session: AsyncSession) -> None:
    session.add(Carrier(code="PLANTED", name="x"))
    await session.flush()
    session.add(Facility(organization_id=-1, name="x", kind="shop", address="x", zone="x"))
    await session.flush()


async def _wrong_place(session: AsyncSession) -> None:
    await session.execute(select(func.count()).select_from(User), bind_arguments={"database": "data"})


async def _unknown(session: AsyncSession) -> None:
    await session.execute(text("SELECT * FROM nobody_knows_this"))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (_join, AcrossDatabasesError),
        (_subquery, AcrossDatabasesError),
        (_union, AcrossDatabasesError),
        (_insert_select, AcrossDatabasesError),
        (_update_from, AcrossDatabasesError),
        (_delete_using, AcrossDatabasesError),
        (_sql, AcrossDatabasesError),
        (_two_writes, SecondDatabaseError),
        (_write_and_lock, SecondDatabaseError),
        (_objects, SecondDatabaseError),
        (_wrong_place, WrongDatabaseError),
        (_unknown, UnknownTableError),
    ],
)
async def test_statements_and_transactions(
    app: FastAPI, fault: Callable[[AsyncSession], Awaitable[None]], error: type[RoutingError]
):
    async with app.state.services.sessions() as session:
        with pytest.raises(error):
            await fault(session)


PLANTED = {
    "foreign_key": "ALTER TABLE carriers ADD planted bigint CONSTRAINT planted REFERENCES users ON DELETE CASCADE",
    "view": "CREATE VIEW planted_view AS SELECT u.name, c.code FROM users u, carriers c",
    "function": """CREATE FUNCTION planted_function() RETURNS bigint LANGUAGE sql
        AS 'SELECT count(*) FROM users, carriers'""",
    "trigger": """CREATE FUNCTION planted_body() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN UPDATE carriers SET active = false; RETURN NULL; END $$;
        CREATE TRIGGER planted AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION planted_body()""",
    "unseen": """CREATE FUNCTION planted_unseen(t text) RETURNS void LANGUAGE plpgsql
        AS $$ BEGIN EXECUTE 'DELETE FROM ' || t; END $$""",
    "unowned": "CREATE TABLE planted_table (id int)",
}
REMOVED = """
DROP TRIGGER planted ON users;
DROP FUNCTION planted_body, planted_function, planted_unseen(text);
DROP VIEW planted_view;
DROP TABLE planted_table;
ALTER TABLE carriers DROP planted;
"""


def test_the_catalog(system: System):
    if system.split:
        pytest.skip("the catalog of one database cannot reach into the other")
    for statement in PLANTED.values():
        system.ask("primary", statement)
    try:
        found = json.loads(run("split", "check", "--json", env=system.environment, status=1))
    finally:
        system.ask("primary", REMOVED)
    kinds = {one["kind"] for one in found["findings"]}
    assert kinds == set(PLANTED), found["findings"]
    assert all("planted" in one["id"] for one in found["findings"])
    assert "0 obstacles" in run("split", "check", env=system.environment)
