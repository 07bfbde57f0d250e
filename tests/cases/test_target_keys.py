"""Key types that a cast to text writes otherwise than their output function (boolean, char(n), inet), in an SQL target.

Keys' texts are those of casts, rows' values those of output functions: where rows stand in each other's way the two meet.
"""

from __future__ import annotations

import pytest

from syncline.engines.postgres.target.changes import Changes, Gone, Put
from tests import engines
from tests.integration.test_sql_target_relay import entity, rows
from tests.relay import until
from tests.sql_target import LANES, stage

# Two keys each: as a cast writes it, as the output function does.
KEYS = {
    "boolean": (("true", "t"), ("false", "f")),
    "char(5)": (("ab", "ab   "), ("cd", "cd   ")),
    "inet": (("10.0.0.1/32", "10.0.0.1"), ("10.0.0.2/32", "10.0.0.2")),
}
TABLES = """
    CREATE TABLE teams (key {0} PRIMARY KEY, code text NOT NULL UNIQUE{1});
    CREATE TABLE members (id int PRIMARY KEY, team {0}{2});
"""


@pytest.fixture
def other(postgres):
    with engines.fresh_database(postgres.url) as url:
        yield url


@pytest.mark.parametrize("type_", KEYS)
async def test_rows_in_the_way_are_told_by_their_keys_whatever_writes_them(database, type_):
    (key, text), (key_2, text_2) = KEYS[type_]
    statements = TABLES.format(type_, "", " REFERENCES teams")
    async with stage(database, statements, tables=["teams", "members"]) as on:

        def teams(*codes: str) -> Changes:
            pairs = zip(KEYS[type_], codes, strict=False)
            puts = [Put(key, (text, code), {"key": key}) for (key, text), code in pairs]
            return Changes(on.tables["teams"], ("key", "code"), puts)

        await on.target.write(LANES, [teams("a", "b")])
        assert not (await on.target.write(LANES, [teams("b", "a")])).refused, "rows of one batch exchange a value"
        missing = await on.put("members", (1, text))
        assert not missing.refused
        gone = Changes(on.tables["teams"], (), gone=[Gone(key, [key])])
        (child,) = (await on.target.write(LANES, [gone])).refused
        assert (child.why, child.other, child.held) == ("child", ("1",), (("team", text),))
        on.run("DELETE FROM members", "DELETE FROM teams")
        (parent,) = (await on.put("members", (1, text_2))).refused
        assert (parent.why, parent.other, parent.held) == ("parent", (key_2,), (("team", text_2),))


async def test_a_parent_that_comes_with_its_child_is_not_missing(database):
    """One table that refers to itself, by a char(n) that its parent's key is; another row of the batch is refused."""
    table = "CREATE TABLE things (key char(5) PRIMARY KEY, up char(5) REFERENCES things, code int UNIQUE)"
    async with stage(database, table, "INSERT INTO things VALUES ('z', NULL, 1)", tables=["things"]) as on:
        puts = [
            Put("ab", ("ab   ", None, "2"), {"key": "ab"}),
            Put("cd", ("cd   ", "ab   ", "3"), {"key": "cd"}),
            Put("ef", ("ef   ", None, "1"), {"key": "ef"}),
        ]
        outcome = await on.target.write(LANES, [Changes(on.tables["things"], ("key", "up", "code"), puts)])
        assert [(one.key, one.other) for one in outcome.refused] == [("ef", ("z",))]
        assert len(on.rows("things")) == 3


@pytest.mark.parametrize("type_", KEYS)
async def test_what_both_sides_forbid_is_parked_soon(database, other, type_):
    """Only the target has the foreign key: what has no parent in the source either does not wait for one."""
    (_, text), (_, text_2) = KEYS[type_]
    here, there = TABLES.format(type_, "", ""), TABLES.format(type_, "", " REFERENCES teams")
    made = [entity("teams"), entity("members")]
    async with rows(database, other, here, entities=made, there=there) as relay, relay.worker():
        relay.sql(f"INSERT INTO teams VALUES ('{text}', 'a')")
        relay.sql(f"INSERT INTO members VALUES (1, '{text}'), (2, '{text_2}')")
        await until(lambda: relay.parked() == {"2": "foreign_key"}, what=lambda: str(relay.parked()))
        relay.sql(f"DELETE FROM teams WHERE key = '{text}'")
        wanted = {"2": "foreign_key", KEYS[type_][0][0]: "foreign_key"}
        await until(lambda: relay.parked() == wanted, what=lambda: str(relay.parked()))
