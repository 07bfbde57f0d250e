"""Declarations that the tables outgrew, or never fitted: cases 13 and 14."""

from __future__ import annotations

import psycopg
import pytest

from syncline.capture.postgres.install import install, plan
from syncline.errors import MappingError
from syncline.model.entity import Embed, Fields, TableName
from syncline.model.mapping import Projection
from tests.relay import entity, relayed, until
from tests.shapes import column, shape

EXCLUDING = entity("item", fields=Fields(exclude=("newsletter",)))


async def test_13_an_excluded_column_that_is_dropped_stops_nothing(database):
    """Case 13: it is a warning; the entity goes on, and so does `install`."""
    ddl = "CREATE TABLE item (id int PRIMARY KEY, name text, newsletter text)"
    async with relayed(database, ddl=ddl, entities=[EXCLUDING]) as relay, relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'a', 'x')")
        await relay.drained()
        relay.sql(
            "ALTER TABLE item DROP COLUMN newsletter",
        )
        relay.sql("INSERT INTO item VALUES (2, 'b')")
        await until(lambda: relay.document(2, EXCLUDING) is not None, seconds=15)
        assert "EntityStopped" not in relay.notices()
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
            made = await plan(conn, [EXCLUDING])
        assert "item has no column newsletter any more" in made.warnings[0]


@pytest.mark.parametrize("where", ["entity", "embed"])
async def test_13_excluding_what_never_was_a_column_is_refused(where, database):
    """A sibling of case 13: a secret must not be synced for a slip of the pen."""
    wrong = Fields(exclude=("pasword",))
    embed = Embed("kids", TableName("public", "kid"), ("item_id",), fields=wrong)
    one = entity("item", fields=wrong) if where == "entity" else entity("item", embeds=(embed,))
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        await conn.execute("CREATE TABLE item (id int PRIMARY KEY, password text)")
        await conn.execute("CREATE TABLE kid (id int PRIMARY KEY, item_id int, password text)")
        with pytest.raises(MappingError, match="no column 'pasword'") as raised:
            await plan(conn, [one])
    assert raised.value.hint == "did you mean 'password'?"


UNLIKE = {
    "scales": ("numeric(10,2)", "numeric(10,3)"),
    "a free numeric": ("numeric(10,2)", "numeric"),
    "a domain of another scale": ("numeric(10,2)", "three"),
    "char and text": ("char(5)", "text"),
    "text and char": ("text", "char(5)"),
    "another enum": ("mood", "temper"),
    "timestamps with and without a zone": ("timestamptz", "timestamp"),
    "dates and timestamps": ("timestamp", "date"),
    "inet and cidr": ("inet", "cidr"),
    "numbers and texts": ("int", "text"),
    "an array": ("int", "int[]"),
}
ALIKE = {
    "widths": ("bigint", "smallint"),
    "varchar and text": ("varchar(5)", "text"),
    "lengths of char": ("char(5)", "char(9)"),
    "the same scale": ("numeric(10,2)", "numeric(12,2)"),
    "a domain of that scale": ("numeric(10,3)", "three"),
    "fractions of seconds": ("timestamp(0)", "timestamp(6)"),
    "one enum": ("mood", "mood"),
}
KINDS = """
CREATE TYPE mood AS ENUM ('a', 'b');
CREATE TYPE temper AS ENUM ('a', 'b');
CREATE DOMAIN three AS numeric(10,3);
"""


@pytest.mark.parametrize("case", [*UNLIKE, *ALIKE])
async def test_14_a_childs_reference_must_print_as_the_parents_key_does(case, database):
    """Case 14: else its parents' keys would be marked under texts that no parent has."""
    key, on = (UNLIKE | ALIKE)[case]
    parent = entity("parent", embeds=(Embed("kids", TableName("public", "kid"), ("parent",)),))
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        await conn.execute(KINDS)
        await conn.execute(f"CREATE TABLE parent (id {key} PRIMARY KEY)")
        await conn.execute(f"CREATE TABLE kid (id int PRIMARY KEY, parent {on})")
        if case in ALIKE:
            await install(conn, await plan(conn, [parent]))
            return
        with pytest.raises(MappingError) as raised:
            await plan(conn, [parent])
    assert "but the parent's id is" in raised.value.message
    assert "give public.kid.parent the type" in (raised.value.hint or "")


def test_14_a_childs_reference_under_a_lax_collation_is_refused():
    """A sibling of case 14: there 'A' refers to 'a', and prints otherwise."""
    parent = entity("parent", embeds=(Embed("kids", TableName("public", "kid"), ("parent",)),))
    kid = shape(column(), column("parent", "text", "text", deterministic=False), name="kid")
    with pytest.raises(MappingError, match="but the parent's id is text"):
        Projection(parent, shape(column("id", "text", "text"), name="parent"), {kid.table: kid})
