"""Whatever a column, a key or a table is called: cases 18, 19, 20 and their kin."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from syncline.config import load
from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.postgres.condition import check_condition
from syncline.engines.postgres.verification.side import SqlSide
from syncline.errors import ConfigError, MappingError
from syncline.insight.explain import explain
from syncline.model.entity import Column, Entity, Fields, Shape, TableName
from syncline.model.mapping import Projection
from syncline.ports import TaskKind
from syncline.postgres.connection import connect
from syncline.verify.repair import repair
from syncline.verify.sides import Sides
from tests.cases.proposed import documents, loaded, proposed
from tests.pairs import kinds, paired

ODD = (
    "discount%", "%s", "%(name)s", "100%%", 'quo"te', "it's", "dol$lar", "$price", "$", "a.", ".b", "a.b", "a..b", "..",
    "_id", "_originalId", "_source", "_syncedAt", "_v", "r", "t", "q", "k", "x", "changed", "before", "after", "old", "new",
    "is_durable", "select", "s p", "Ünï", "{}", "{0}", "\\", "_syncline_row", "_syncline_mark", "odd%.ted", "id_", "seq",
    "entity", "lane", "hint", "key", "a_b", "[x]", "#", "=",
)  # fmt: skip
KEYS = ("k%", "%s", "_id", "a.b", "$k", 'k"', "r", "k", "{0}", "old", "t%.x", "_v", "select")


def quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)


async def test_18_19_20_columns_of_any_name_are_proposed_installed_synced_verified_and_repaired(
    database, mongo_url, mongo_db, tmp_path
):
    """Cases 18, 19, 20."""
    columns = ", ".join(f"{quoted(name)} text" for name in ODD)
    ddl = f'CREATE TABLE "odd%.ted" (id int PRIMARY KEY, {columns})'
    (entity,) = loaded(await proposed(database, ddl), tmp_path)
    async with paired(database, mongo_url, mongo_db, "SELECT", [entity]) as pair:
        names = sql.SQL(", ").join(map(sql.Identifier, ("id", *ODD)))
        for id_ in (1, 2):
            row = [id_, *(f"{id_} {name}" for name in ODD)]
            insert = sql.SQL('INSERT INTO "odd%.ted" ({}) VALUES ({})').format(
                names, sql.SQL(", ").join(map(sql.Literal, row))
            )
            pair.sql(insert)
        await pair.drain()
        found = documents(pair, entity.name)
        assert [{name: document[entity.fields.rename.get(name, name)] for name in ODD} for document in found] == [
            {name: f"{id_} {name}" for name in ODD} for id_ in (1, 2)
        ]
        assert kinds(await pair.verify()) == {}
        pair.docs[entity.collection].update_one({"_id": 2}, {"$set": {"r": "damaged"}})
        report = await pair.verify()
        assert kinds(report) == {"2": "different"}
        sides = Sides(SqlSide(pair.pages, pair.looks), MongoInspection(pair.target))
        await repair(sides, {one.name: one for one in pair.plans.values()}, report.entities[0].findings)
        await pair.drain()
        assert kinds(await pair.verify()) == {}


@pytest.mark.parametrize("name", KEYS)
async def test_18_a_key_of_any_name_and_its_children_are_followed(name, database, mongo_url, mongo_db, tmp_path):
    """Cases 18, 20: as a key, as a child's reference, in keys, ranges, conditions, explain."""
    column = quoted(name)
    ddl = (
        f"CREATE TABLE parent ({column} int PRIMARY KEY, note text);"
        f"CREATE TABLE child (cid int PRIMARY KEY, {column} int REFERENCES parent, other text)"
    )
    entities = loaded(await proposed(database, ddl), tmp_path, embeds=True)
    parent = next(one for one in entities if one.name == "parent")
    assert [embed.on for embed in parent.embeds] == [(name,)]
    async with paired(database, mongo_url, mongo_db, "SELECT", entities) as pair:
        pair.sql(
            f"INSERT INTO parent ({column}, note) VALUES (1, 'a'), (2, 'b'), (3, 'c')",
            "INSERT INTO child VALUES (1, 1, 'x'), (2, 2, 'y')",
            f"UPDATE parent SET {column} = 4 WHERE {column} = 3",
            f"UPDATE child SET {column} = 4 WHERE cid = 1",
        )
        await pair.drain()
        assert [(d["_id"], d["note"], [c["other"] for c in d["child"]]) for d in documents(pair, "parent")] == [
            (1, "a", []), (2, "b", ["y"]), (4, "c", ["x"]),
        ]  # fmt: skip
        assert kinds(await pair.verify()) == {}
        assert kinds(await pair.verify("parent", first="2", end="4")) == {}
        where = f"{column} = 2 AND note LIKE 'b%'"
        await check_condition(pair.looks, pair.plan("parent"), where)
        explanation = await explain(pair.looks, pair.target, parent, "2")
        assert explanation.row == {name: 2, "note": "b"}
        pair.sql("DELETE FROM child WHERE cid = 2")
        await pair.backfill("parent")
        await pair.drain()
        await pair.backfill("parent", TaskKind.SWEEP)
        await pair.drain()
        assert kinds(await pair.verify()) == {}


@pytest.mark.parametrize("name", ["r", "t", "q", "k", "_syncline_row", "parent"])
async def test_20_explain_shows_the_row_whatever_its_columns_are_called(name, database):
    """Case 20: a column with the name of an alias, null too."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        await conn.execute(f"CREATE TABLE parent (id int PRIMARY KEY, {quoted(name)} int)")
        await conn.execute("INSERT INTO parent VALUES (1, 7), (2, NULL)")
        from syncline.capture.postgres.install import install, plan

        entity = Entity("parent", TableName("public", "parent"), "parents", where="id > 0 -- all")
        await install(conn, await plan(conn, [entity]))
        connection = await connect(database)
        rows = [(await explain(connection, None, entity, key)).row for key in ("1", "2")]
        await connection.close()
    assert rows == [{"id": 1, name: 7}, {"id": 2, name: None}]


TABLES = {
    "plain": TableName("public", "plain"),
    "app.plain": TableName("app", "plain"),
    '"dot.ted"': TableName("public", "dot.ted"),
    'public."dot.ted"': TableName("public", "dot.ted"),
    '"a.b"."c""d.e"': TableName("a.b", 'c"d.e'),
    'we"ird': TableName("public", 'we"ird'),
    '"""q"': TableName("public", '"q'),
}


@pytest.mark.parametrize("text", TABLES)
def test_19_a_table_with_a_dot_is_written_in_quotes(text):
    """Case 19."""
    assert TableName.parse(text) == TABLES[text]
    assert TableName.parse(str(TABLES[text])) == TABLES[text]


@pytest.mark.parametrize("text", ["a.b.c", ".a", "a.", '"a', '"a"b', ""])
def test_19_what_is_no_table_is_refused_with_its_line(text, tmp_path):
    """Case 19: for entities and embeds."""
    assert not TableName.possible(text)
    if text:
        file = tmp_path / "syncline.toml"
        file.write_text(
            '[source]\nurl = "postgresql://h/d"\n[target]\nurl = "mongodb://h/d"\n[entities.a]\n'
            f"[entities.a.embed.b]\non = 'x'\ntable = '{text}'\n"
        )
        with pytest.raises(ConfigError, match=r"toml:8: table = .*not a table"):
            load(file, {})


def column(name: str) -> Column:
    return Column(name, "bigint", "int8", 20)


def projected(key: tuple[str, ...], *others: str, **fields: object) -> Projection:
    shape = Shape(TableName("public", "t"), 1, "r", tuple(map(column, (*key, *others))), key, (key,))
    return Projection(Entity("t", shape.table, "t", fields=Fields(**fields)), shape)


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        (("a.b", "a_b"), {"rename": {"a.b": "x.y", "a_b": "x_y"}}),
        (("$a", "b"), {"include": ()}),
        (("a", "b"), {"rename": {"a": "z", "b": "z"}, "include": ()}),
    ],
)
def test_19_fields_of_a_composite_id_are_possible_and_told_apart(key, fields):
    """A sibling of case 19: two columns must not become one field of the ``_id``."""
    with pytest.raises(MappingError):
        projected(key, **fields)


def test_19_the_refusal_of_a_name_gives_the_line_to_write():
    """Case 19: the hint can be pasted."""
    with pytest.raises(MappingError) as raised:
        projected(("id",), "$price")
    assert raised.value.hint == 'rename = { "$price" = "price" }'
