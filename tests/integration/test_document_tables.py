"""Documents of every kind are written to a PostgreSQL and come back as the bytes that they were."""

from __future__ import annotations

import asyncio

import bson
import psycopg
import pytest
from bson.objectid import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncline.engines.postgres.documents.definitions import schema
from syncline.engines.postgres.documents.rows import DocumentTables
from syncline.model.documents import Array, Collection, DocumentMapping, Field, Inner, Part
from syncline.model.documents.types import TYPES
from syncline.model.strict_bson import elements
from tests.cases.odd_bson import document, field, sub
from tests.documents import documents
from tests.programs import DOCUMENT_LINKS
from tests.unit.test_bson_types import VALUES

EVERY = DocumentMapping(
    Collection(
        "every",
        part=Part(
            columns={name: Field(name) for name in TYPES},
            arrays={f"list_{name}": Array(value=Field(name)) for name in TYPES},
        ),
    )
)
DEEP = DocumentMapping(
    Collection(
        "deep",
        part=Part(
            columns={"a": Field("bigint"), "b": Field("text", null="null"), "inner.a": Field("numeric"), "c": Field("text", default="red")},
            arrays={
                "list": Array(part=Part(columns={"x": Field("text")}, arrays={"list": Array(value=Field("double"), no_rows="empty")})),
                "inner.list": Array(value=Field("timestamptz")),
            },
            objects={"x": Inner(part=Part(columns={"a": Field("bigint")}, arrays={"list": Array(value=Field("text"))}))},
        ),
    )
)  # fmt: skip


def make(url: str, *mappings: DocumentMapping) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in schema(mappings, foreign_keys=True):
            connection.execute(statement)


async def connected(url: str) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(url)


def numbered(raw: bytes, number: int) -> bytes:
    """Give a document another ``_id``."""
    fields = [(tag, name, number.to_bytes(12) if name == b"_id" else value) for tag, name, value in elements(raw)]
    return document(*(field(name, (tag, value)) for tag, name, value in fields))


async def stored(tables: DocumentTables, url: str, given: list[bytes]) -> list[bytes]:
    """Write documents, and read them on another connection, with other settings."""
    async with await connected(url) as connection:
        rows = [tables.mapping.rows(raw) for raw in given]
        await tables.write(connection, rows)
    async with await connected(url) as connection:
        await connection.execute("SET timezone = 'Asia/Kolkata'; SET datestyle = 'German'; SET bytea_output = 'escape'")
        await connection.execute("SET extra_float_digits = -3")
        keys = [one[0][0][0] for one in rows]
        found = await tables.read(connection, keys)
        return [tables.mapping.document(found[key]) for key in keys]


async def test_every_value_comes_back_from_every_type_of_column(database):
    make(database, EVERY)
    given = []
    for values in VALUES.values():
        fields = [field(name, value) for name in TYPES for value in values]
        listed = [(str(place), value) for place, value in enumerate(values)]
        fields += [field(f"list_{name}", sub(*(field(*one) for one in listed), tag=0x04)) for name in TYPES]
        given.append(numbered(document(field("_id", (7, b"i" * 12)), *fields), len(given)))
    assert await stored(DocumentTables(EVERY), database, given) == given


@pytest.fixture(scope="module")
def deep(postgres):
    from tests import engines

    with engines.fresh_database(postgres.url) as url:
        make(url, DEEP)
        yield url


@DOCUMENT_LINKS
@given(st.lists(documents(names=("a", "b", "c", "list", "inner", "x", "é")), min_size=5, max_size=12))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_documents_of_all_kinds_come_back_and_replace_those_before_them(deep, drawn):
    given = [numbered(raw, number) for number, raw in enumerate(drawn)]
    assert asyncio.run(stored(DocumentTables(DEEP), deep, given)) == given


async def counts(connection, mapping) -> list[int]:
    found = []
    for table in mapping.tables:
        name = psycopg.sql.Identifier(table.name.schema, table.name.name)
        cursor = await connection.execute(psycopg.sql.SQL("SELECT count(*) FROM {}").format(name))
        found.append((await cursor.fetchone())[0])
    return found


ID = ObjectId()


def one(**fields) -> bytes:
    return bson.encode({"_id": ID, **fields})


async def test_children_are_replaced_and_those_that_stay_are_not_written_again(database):
    make(database, DEEP)
    tables = DocumentTables(DEEP)
    whole = one(list=[{"x": "a", "list": [1.5, 2.5]}, {"x": "b", "list": [3.5]}], x={"a": 1, "list": ["p", "q"]})
    async with await connected(database) as connection:
        await tables.write(connection, [DEEP.rows(whole)])
        assert await counts(connection, DEEP) == [1, 2, 3, 0, 1, 2]
        await connection.commit()
        before = await versions(connection)
        await tables.write(
            connection, [DEEP.rows(one(list=[{"x": "a", "list": [1.5]}], x={"a": 1, "list": ["p", "r"]}))]
        )
        await connection.commit()
        assert await counts(connection, DEEP) == [1, 1, 1, 0, 1, 2]
        assert {value for value, _ in (await versions(connection)) & before} == {"a", "p"}
        await tables.delete(connection, [str(ID)])
        assert await counts(connection, DEEP) == [0] * 6
        assert await tables.read(connection, [str(ID)]) == {}


async def versions(connection) -> set:
    """Give values of child tables with the transaction that wrote their row."""
    cursor = await connection.execute(
        "SELECT x, xmin::text FROM postgres_deep_list UNION SELECT list, xmin::text FROM postgres_deep_x_list"
    )
    return set(await cursor.fetchall())


async def test_a_row_that_is_refused_leaves_nothing_of_its_document(database):
    mapping = DocumentMapping(
        Collection(
            "t", part=Part(columns={"a": Field("text")}, arrays={"list": Array(value=Field("text", unique=True))})
        )
    )
    make(database, mapping)
    tables = DocumentTables(mapping)
    async with await connected(database) as connection:
        with pytest.raises(psycopg.errors.UniqueViolation):
            async with connection.transaction():
                await tables.write(connection, [mapping.rows(one(list=["x", "x"]))])
        assert await counts(connection, mapping) == [0, 0]
        for values in (["x", "y"], ["y", "x"]):  # unique values change places
            await tables.write(connection, [mapping.rows(one(list=values))])
        assert bson.decode(mapping.document((await tables.read(connection, [str(ID)]))[str(ID)]))["list"] == ["y", "x"]


async def test_state_of_the_synchronisation_stands_beside_and_is_no_part_of_the_document(database):
    mapping = DocumentMapping(Collection("t", part=Part(columns={"a": Field("text")})))
    make(database, mapping)
    tables = DocumentTables(mapping)
    async with await connected(database) as connection:
        await tables.write(connection, [mapping.rows(one(a="x"))])
        await connection.execute("UPDATE postgres_t SET sync_status = 'FAILED', sync_error = 'e', last_sync_at = NULL")
        assert mapping.document((await tables.read(connection, [str(ID)]))[str(ID)]) == one(a="x")
        await tables.write(connection, [mapping.rows(one(a="y"))])
        cursor = await connection.execute("SELECT a, sync_status, sync_error, last_sync_at IS NOT NULL FROM postgres_t")
        assert await cursor.fetchall() == [("y", "SYNCED", None, True)]


async def test_odd_names_and_enums_and_keys_of_all_kinds(database):
    for number, (kind, id_) in enumerate(
        {"any": "x", "text": 'a%s"b', "bigint": 2**40, "uuid": bson.Binary(b"u" * 16, 4)}.items()
    ):
        part = Part(
            columns={
                'a%s "x"': Field("text", values=("in", "out'"), enum=f"state % {number}"),
                "b": Field({"any": "text"}.get(kind, kind), references=f"%t{number}"),
            },
            arrays={"%d": Array(value=Field("text", index=True))},
        )
        mapping = DocumentMapping(Collection(f"%t{number}", id=kind, part=part))
        make(database, mapping)
        raw = bson.encode({"_id": id_, 'a%s "x"': "out'", "%d": ["q"]})
        assert await stored(DocumentTables(mapping), database, [raw]) == [raw]
