"""What newer releases of PostgreSQL brought: the tables that nobody could declare before."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

from syncline.capture.sqlalchemy.session import SessionCapture
from tests.cases.proposed import proposed
from tests.integration.capture_case import Case
from tests.integration.session_case import driver_url
from tests.relay import entity, relayed


class Shop(DeclarativeBase): ...


class Order(Shop):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[int | None]


@pytest.mark.postgres(18, "WITHOUT OVERLAPS")
async def test_a_temporal_key_is_none_and_a_period_makes_no_part(database: str) -> None:
    """Two rows are told apart by what they contain: ``init`` says so, and what refers to a period is no part of a document."""
    found = await proposed(
        database,
        "CREATE TABLE booking (room int4range, during daterange, PRIMARY KEY (room, during WITHOUT OVERLAPS))",
        "CREATE TABLE guest (id int PRIMARY KEY, room int4range, during daterange,"
        " FOREIGN KEY (room, PERIOD during) REFERENCES booking (room, PERIOD during))",
        "CREATE TABLE stay (id int PRIMARY KEY, room int4range, during daterange, UNIQUE (room, during WITHOUT OVERLAPS))",
        "CREATE TABLE night (id int PRIMARY KEY, room int4range, during daterange,"
        " FOREIGN KEY (room, PERIOD during) REFERENCES stay (room, PERIOD during))",
    )
    assert list(found.entities) == ["guest", "night", "stay"]
    (reason,) = found.left_out.values()
    assert "a temporal one, WITHOUT OVERLAPS, does not count" in reason
    assert ".embed." not in found.text


@pytest.mark.postgres(18, "NOT ENFORCED")
def test_a_foreign_key_that_is_not_enforced_changes_nothing(database: str) -> None:
    """PostgreSQL deletes no rows by it, so the session hook misses none."""
    orders = [entity("order", table="orders")]
    with Case(database, orders, capture="session") as case:
        case.sql("CREATE TABLE customer (id int PRIMARY KEY)")
        case.sql(
            "CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customer ON DELETE CASCADE NOT ENFORCED)"
        )
        case.install()
        engine = create_engine(driver_url(database))
        sessions = sessionmaker(engine)
        SessionCapture("order").attach(sessions)
        with sessions() as session:
            session.add(Order(id=1, customer=7))
            session.commit()
        engine.dispose()
        assert case.marks() == [("order", "1", "I")]


@pytest.mark.postgres(18, "NOT NULL with a name")
async def test_a_named_not_null_may_go_and_come_without_a_stop(database: str, mongo_url: str, mongo_db: str) -> None:
    ddl = "CREATE TABLE t (id bigint PRIMARY KEY, name text CONSTRAINT has_a_name NOT NULL)"
    async with relayed(database, (mongo_url, mongo_db), ddl=ddl, entities=[entity("t")]) as relay, relay.worker():
        relay.sql("INSERT INTO t VALUES (1, 'a')")
        await relay.equal()
        relay.sql("ALTER TABLE t DROP CONSTRAINT has_a_name")
        relay.sql("INSERT INTO t VALUES (2, NULL)")
        await relay.equal(tasks=True)
        relay.sql("ALTER TABLE t ADD CONSTRAINT named NOT NULL name NOT VALID")
        relay.sql("INSERT INTO t VALUES (3, 'c')")
        relay.sql("UPDATE t SET name = 'b' WHERE id = 2")
        relay.sql("ALTER TABLE t VALIDATE CONSTRAINT named")
        await relay.equal(tasks=True)
        assert not [name for name in relay.notices() if name != "TableChanged"]


@pytest.mark.postgres(15, "NULLS NOT DISTINCT")
async def test_an_upsert_that_meets_a_null_moves_the_key(database: str, mongo_url: str, mongo_db: str) -> None:
    ddl = "CREATE TABLE t (id bigint PRIMARY KEY, code text, UNIQUE NULLS NOT DISTINCT (code))"
    async with relayed(database, (mongo_url, mongo_db), ddl=ddl, entities=[entity("t")]) as relay, relay.worker():
        relay.sql("INSERT INTO t VALUES (1, NULL), (2, 'a')")
        relay.sql("INSERT INTO t VALUES (3, NULL) ON CONFLICT (code) DO UPDATE SET id = 11")
        await relay.equal()
