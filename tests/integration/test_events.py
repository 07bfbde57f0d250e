"""Explicit events: in the transaction of who records them, for keys that are keys."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from syncline.capture.events import arecord, record
from syncline.errors import CaptureError, KeyFormatError, NotInstalledError
from tests.integration.capture_case import Case, entity

TABLES = [
    "CREATE TABLE todo (id bigint PRIMARY KEY)",
    "CREATE TABLE person (id uuid PRIMARY KEY)",
    "CREATE TABLE seat (row text, number numeric(10,2), PRIMARY KEY (row, number))",
    "CREATE TABLE tick (at timestamptz(0) PRIMARY KEY)",
    "CREATE TYPE mood AS ENUM ('good', 'bad')",
    "CREATE TABLE feeling (mood mood PRIMARY KEY)",
    "CREATE TABLE blob (id bytea PRIMARY KEY)",
]


@pytest.fixture
def case(database: str) -> Iterator[Case]:
    names = ("todo", "person", "seat", "tick", "feeling", "blob")
    with Case(database, [entity(name, name) for name in names]) as case:
        case.sql(*TABLES)
        case.install()
        yield case


def events(case: Case) -> list[Any]:
    return case.sql("SELECT event_type, aggregate_type, aggregate_id, payload FROM syncline.changes ORDER BY id")


DONE = ("todo.completed", "todo", "7", {"by": "ann", "at": "2026-01-02T00:00:00+00:00", "cost": "1.50"})
PAYLOAD = {"by": "ann", "at": datetime(2026, 1, 2, tzinfo=UTC), "cost": Decimal("1.50")}


def test_with_a_psycopg_connection(case: Case) -> None:
    with psycopg.connect(case.url) as connection:
        record(connection, "todo.completed", 7, PAYLOAD)
        assert events(case) == []
    assert events(case) == [DONE]


def test_with_an_async_psycopg_connection(case: Case) -> None:
    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(case.url) as connection:
            await arecord(connection, "todo.completed", 7, PAYLOAD)

    asyncio.run(main())
    assert events(case) == [DONE]


def test_with_a_session(case: Case) -> None:
    engine = create_engine(case.url.replace("postgresql:", "postgresql+psycopg:", 1))
    with Session(engine) as session:
        record(session, "todo.completed", 7, PAYLOAD)
        session.commit()
        record(session, "todo.completed", 8)
        session.rollback()
    with engine.begin() as connection:
        record(connection, "cleaned", 9, entity="todo")
    engine.dispose()
    assert events(case) == [DONE, ("cleaned", "todo", "9", None)]


def test_with_an_async_session(case: Case) -> None:
    async def main() -> None:
        engine = create_async_engine(case.url.replace("postgresql:", "postgresql+psycopg:", 1))
        async with AsyncSession(engine) as session:
            await arecord(session, "todo.completed", 7, PAYLOAD)
            await session.commit()
        await engine.dispose()

    asyncio.run(main())
    assert events(case) == [DONE]


@pytest.mark.parametrize(
    ("name", "key", "text"),
    [
        ("person", UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ("person", "00000000-0000-0000-0000-00000000000A", "00000000-0000-0000-0000-00000000000a"),
        ("seat", ("A", Decimal("1.5")), '["A", "1.50"]'),
        ("seat", {"number": 2, "row": "B"}, '["B", "2.00"]'),
        ("tick", datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC), "2026-01-02 03:04:06+00"),
        ("feeling", "good", "good"),
        ("blob", b"\x00\xff", "\\x00ff"),
    ],
)
def test_the_key_text_is_that_of_the_column(case: Case, name: str, key: Any, text: str) -> None:
    with psycopg.connect(case.url) as connection:
        record(connection, f"{name}.seen", key)
    assert events(case)[0][2] == text


@pytest.mark.parametrize(
    ("event", "key"),
    [
        ("todo.x", "7"),
        ("todo.x", 1 << 63),
        ("todo.x", True),
        ("todo.x", None),
        ("todo.x", 1.0),
        ("todo.x", (1, 2)),
        ("person.x", "seven"),
        ("seat.x", "A"),
        ("seat.x", ("A",)),
        ("seat.x", {"row": "A"}),
        ("tick.x", datetime(2026, 1, 1)),  # noqa: DTZ001
        ("seat.x", ("A\0", 1)),
    ],
)
def test_what_is_no_key_is_refused_and_the_transaction_goes_on(case: Case, event: str, key: Any) -> None:
    with psycopg.connect(case.url) as connection:
        with pytest.raises(KeyFormatError):
            record(connection, event, key)
        record(connection, "todo.fine", 1)
    assert [row[0] for row in events(case)] == ["todo.fine"]


def test_an_unknown_entity_is_refused_and_the_transaction_goes_on(case: Case) -> None:
    with psycopg.connect(case.url) as connection:
        with pytest.raises(NotInstalledError, match="no entity 'invoice'"):
            record(connection, "invoice.paid", 1)
        record(connection, "todo.fine", 1)
    assert len(events(case)) == 1


@pytest.mark.parametrize(
    ("event", "payload"),
    [("completed", None), ("", None), ("todo completed.x", None), ("todo.x", object()), ("todo.x", "a\0b")],
)
def test_what_is_no_event_is_refused_before_anything_is_sent(case: Case, event: str, payload: Any) -> None:
    with psycopg.connect(case.url) as connection:
        with pytest.raises(CaptureError):
            record(connection, event, 1, payload)
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_without_an_installation(database: str) -> None:
    with psycopg.connect(database) as connection, pytest.raises(NotInstalledError):
        record(connection, "todo.x", 1)
