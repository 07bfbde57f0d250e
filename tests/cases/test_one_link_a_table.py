"""One link writes a table of a PostgreSQL, whichever file or installation the links are of; and none comes back by another file."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.engines.postgres.target.claims import Claim, claim_of, require_no_ring
from syncline.engines.postgres.target.target import SqlTarget
from syncline.errors import UnsuitableTargetError
from syncline.model.entity import Entity, TableName
from syncline.ports import Beat
from tests import engines

ITEM = "CREATE TABLE item (id bigint PRIMARY KEY, name text)"
ONE, TWO = "7000000000000000001/5", "7000000000000000002/5"
Make = Callable[..., SqlTarget]


def entity(name: str, table: str = "item") -> Entity:
    return Entity("item", TableName("public", table), name)


@pytest.fixture
async def make(database):
    made: list[SqlTarget] = []

    def make(link: str, system: str, collection: str = "item", *, schema: str = "", url: str = database) -> SqlTarget:
        target = SqlTarget(url, schema=schema or f"syncline_target_{link}", link=link)
        target.claim_for(f"{system} since when", [entity(collection)])
        made.append(target)
        return target

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(ITEM)
    yield make
    for target in made:
        await target.close()


async def test_a_table_that_another_link_writes_is_refused_by_name_until_that_link_lets_it_go(make: Make) -> None:
    first, second = make("a", ONE), make("b", ONE)
    await first.prepare([entity("item")])
    await first.prepare([entity("item")])
    with pytest.raises(
        UnsuitableTargetError, match='"item" in the target is written by link a of the source 7'
    ) as told:
        await second.prepare([entity("item")])
    assert 'DROP SCHEMA "syncline_target_a" CASCADE' in (told.value.hint or "")
    with pytest.raises(UnsuitableTargetError, match="link a of the source"):
        await second.require_suitable([entity("item")], system=f"{ONE} since when")
    first.claim_for(ONE, [])
    await first.prepare([])
    await second.prepare([entity("item")])
    await second.release()
    await make("a", TWO, schema="syncline_target_c").prepare([entity("item")])


async def test_a_link_of_the_same_name_is_another_one_where_its_source_is(make: Make) -> None:
    await make("syncline", ONE, schema="one").prepare([entity("item")])
    with pytest.raises(UnsuitableTargetError, match="the link without a name of the source 7000000000000000001/5"):
        await make("syncline", TWO, schema="two").prepare([entity("item")])
    await make("syncline", ONE, schema="elsewhere").prepare([entity("item")])


async def test_a_source_whose_copy_it_is_not_changes_no_claim(make: Make) -> None:
    """It has the same records, and is turned away by the heartbeat only later."""
    owner, stranger = make("a", ONE), make("a", TWO)
    await owner.prepare([entity("item")])
    await owner.beat(Beat("i", ONE, 1))
    stranger.claim_for(TWO, [])
    await stranger.prepare([])
    with pytest.raises(UnsuitableTargetError, match="link a of the source 7000000000000000001/5"):
        await make("b", ONE).prepare([entity("item")])


async def test_of_two_at_once_one_has_it(make: Make) -> None:
    both = [make(link, ONE) for link in ("a", "b")]
    done = await asyncio.gather(*(one.prepare([entity("item")]) for one in both), return_exceptions=True)
    assert sorted(type(one) for one in done if one is not None) == [UnsuitableTargetError]


async def test_a_partition_and_its_whole_are_one_table_and_two_partitions_are_not(make: Make, database) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE whole (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id);"
            "CREATE TABLE low PARTITION OF whole FOR VALUES FROM (0) TO (10);"
            "CREATE TABLE high PARTITION OF whole FOR VALUES FROM (10) TO (20)"
        )
    await make("a", ONE, "low").prepare([entity("low")])
    await make("b", ONE, "high").prepare([entity("high")])
    with pytest.raises(UnsuitableTargetError, match="link a"):
        await make("c", ONE, "whole").prepare([entity("whole")])


async def test_a_role_that_may_make_no_table_heeds_the_claims_of_others(make: Make, database) -> None:
    name = f"copier_{secrets.token_hex(4)}"
    plain = make("b", ONE, url=database.replace("postgres@", f"{name}@"))
    if "postgres@" not in database:
        plain = make("b", ONE, url=f"{database}&user={name}")
    admin = make("b", ONE)
    admin.claim = None
    await admin.prepare([])
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN; GRANT ALL ON item TO {name}")
        connection.execute(f"GRANT USAGE ON SCHEMA syncline_target_b TO {name}")
        connection.execute(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA syncline_target_b TO {name}")
        try:
            await plain.prepare([entity("item")])
            await make("a", ONE).prepare([entity("item")])  # it may not know of the plain one's
            with pytest.raises(UnsuitableTargetError, match="link a"):
                await plain.prepare([entity("item")])
        finally:
            connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def test_a_claim_of_an_older_release_is_read_and_gets_what_it_lacks(make: Make, database) -> None:
    first = make("a", ONE)
    await first.prepare([entity("item")])
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE syncline_target_a.claim DROP COLUMN beyond")
        with pytest.raises(UnsuitableTargetError, match="link a"):
            await make("b", ONE).prepare([entity("item")])
        theirs = [Claim("c", TWO, {'"public"."item"': '"s"."far"'})]
        first.claim_for(ONE, [entity("item")], theirs)
        await first.prepare([entity("item")])
        found = connection.execute("SELECT beyond FROM syncline_target_a.claim").fetchone()
    assert found == ({'"public"."item"': [[TWO, '"s"."far"']]},)


def test_a_ring_of_three_is_seen_by_the_link_that_closes_it_and_by_the_next_one_that_starts() -> None:
    names, three = ("a", "b", "c"), (ONE, TWO, "7000000000000000003/5")
    for order in itertools.permutations(range(3)):
        stand: dict[int, Claim] = {}
        seen = []
        for at in [*order, *order]:  # begun, and begun again
            theirs = [stand[one] for one in stand if (one + 1) % 3 == at]
            mine = claim_of(names[at], three[at], [entity("item")], theirs)
            try:
                require_no_ring(theirs, mine, three[(at + 1) % 3])
            except UnsuitableTargetError:
                seen.append(at)
                break
            stand[at] = mine
        assert seen, order


FILE = """
[source]
url = "{source}"
[target]
url = "{target}"
control_schema = "{schema}"
[entities.item]
table = "item"
"""


class Two:
    """Two databases, and files of links between them that know nothing of each other."""

    def __init__(self, one: str, two: str, folder: Any) -> None:
        self.one, self.two, self.folder = one, two, folder
        for url in (one, two):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(ITEM)

    def run(self, name: str, source: str, target: str, *arguments: str, ok: int = 0) -> str:
        file = self.folder / f"{name}.toml"
        file.write_text(FILE.format(source=source, target=target, schema=f"of_{name}"), "utf-8")
        result = CliRunner().invoke(app, [*arguments, "-c", str(file)])
        assert result.exit_code == ok, result.output + repr(result.exception)
        return result.output


@pytest.fixture
def two(database, postgres, tmp_path) -> Iterator[Two]:
    with engines.fresh_database(postgres.url) as other:
        yield Two(database, other, tmp_path)


def test_files_that_know_nothing_of_each_other_do_not_write_one_table_nor_go_round(two, postgres) -> None:
    two.run("first", two.one, two.two, "install", "--yes", "--no-backfill")
    two.run("first", two.one, two.two, "copy")
    with engines.fresh_database(postgres.url) as third:
        with psycopg.connect(third, autocommit=True) as connection:
            connection.execute(ITEM)
        two.run("middle", two.two, third, "install", "--yes", "--no-backfill")
        two.run("middle", two.two, third, "copy")
        assert "a change would go round for ever" in two.run("closing", third, two.one, "install", "--yes", ok=3)
        two.run("middle", two.two, third, "uninstall", "--yes")
        said = two.run("second", third, two.two, "install", "--yes", ok=3)
        assert "is written by the link without a name of the source" in said
        two.run("second", third, two.two, "config", "check", ok=3)
        said = two.run("back", two.two, two.one, "install", "--yes", ok=3)
        assert "a change would go round for ever" in said
        assert "reverse_of" in said
        two.run("first", two.one, two.two, "uninstall", "--yes")
        two.run("second", third, two.two, "install", "--yes")
        two.run("back", two.two, two.one, "install", "--yes")
