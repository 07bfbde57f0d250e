"""A column that is added later goes to MongoDB unasked, or not: `new_columns`, under a running worker."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from syncline.capture.postgres.install import plan
from syncline.config import load
from syncline.errors import MappingError
from syncline.model.entity import Embed, Fields, TableName
from syncline.relay import keeper
from tests.relay import Relay, entity, relayed, until

DDL = """
CREATE TABLE item (id int PRIMARY KEY, name text);
CREATE TABLE part (id int PRIMARY KEY, item_id int, label text);
"""
POLL = timedelta(seconds=0.5)
ADD = "ALTER TABLE item ADD COLUMN secret text DEFAULT 's3cr3t'"


@pytest.fixture(autouse=True)
def _looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "TABLES_SECONDS", 0.2)


def item(policy: str, **fields: object):
    return entity("item", fields=Fields(new_columns=policy, **fields))


def notices(relay: Relay, name: str = "NewColumn", *, over: bool = False) -> list[tuple[str, str]]:
    found = relay.sql(
        "SELECT severity, message FROM syncline.notice WHERE name = %s AND (resolved_at IS NOT NULL) = %s", name, over
    )
    return [(severity, message) for severity, message in found]


async def noticed(relay: Relay, *words: str) -> str:
    """Wait for the notice that says this; return its severity."""
    wanted = ("entity item: [entities.item", *words)

    def there() -> list[str]:
        return [severity for severity, text in notices(relay) if all(word in text for word in wanted)]

    await until(there, seconds=20, what=lambda: f"a notice that says {words}: {notices(relay)}")
    assert len(notices(relay)) == 1
    return there()[0]


async def settled(relay: Relay) -> None:
    await until(lambda: not notices(relay), seconds=20, what=lambda: f"no notice any more: {notices(relay)}")
    assert len(notices(relay, over=True)) == 1


async def test_sync_takes_a_new_column_along_and_names_it(database):
    """The notice ends with the next `install`, under the running worker."""
    async with relayed(database, ddl=DDL, poll=POLL, entities=[item("sync")]) as relay, relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'a')")
        await relay.drained()
        relay.sql(ADD)
        severity = await noticed(relay, "new columns go to the target: secret", "new_columns = 'sync'")
        assert severity == "warning"
        await until(lambda: relay.document(1).get("secret") == "s3cr3t", seconds=20)
        await relay.install()
        await settled(relay)


async def test_ignore_leaves_a_new_column_out_until_the_configuration_takes_it_in(database):
    async with relayed(database, ddl=DDL, poll=POLL, entities=[item("ignore")]) as relay:
        async with relay.worker():
            relay.sql(ADD)
            await noticed(relay, "new columns stay out: secret", 'rename = { column = "field" }')
            relay.sql("INSERT INTO item VALUES (1, 'a')")
            await relay.drained()
            assert set(relay.document(1)) & {"secret", "name"} == {"name"}
            await relay.install()  # automation installs again and again: that is no decision
            relay.sql("ALTER TABLE item ADD COLUMN other int")  # the worker compiles again
            await noticed(relay, "secret, other")
        relay.entities = [item("ignore", rename={"secret": "secret"}, exclude=("other",))]
        await relay.install()
        async with relay.worker():
            await until(lambda: relay.document(1).get("secret") == "s3cr3t", seconds=20)
            await until(lambda: not notices(relay), seconds=20)


async def test_stop_waits_for_a_decision_and_loses_nothing(database):
    other = entity("part")
    async with relayed(database, ddl=DDL, poll=POLL, entities=[item("stop"), other]) as relay:
        async with relay.worker():
            relay.sql(ADD)
            severity = await noticed(relay, "new columns wait for a decision: secret")
            assert severity == "critical"
            relay.sql(
                "INSERT INTO item VALUES (1, 'a')",
            )
            relay.sql("INSERT INTO part VALUES (1, 1, 'x')")
            await until(lambda: relay.document(1, other) is not None, seconds=20)
            assert relay.document(1) is None
            await until(lambda: relay.counts()["outbox"] == 1, what="its mark is kept")
            await relay.install()
            assert notices(relay)
        relay.entities = [item("stop", exclude=("secret",)), other]
        await relay.install()
        async with relay.worker():
            await until(lambda: relay.document(1) is not None, seconds=20)
            assert "secret" not in relay.document(1)
            await settled(relay)


@pytest.mark.parametrize("policy", ["sync", "ignore", "stop"])
async def test_a_column_of_an_embedded_table_is_new_too(policy, database):
    embed = Embed("parts", TableName("public", "part"), ("item_id",), fields=Fields(new_columns=policy))
    async with (
        relayed(database, ddl=DDL, poll=POLL, entities=[entity("item", embeds=(embed,))]) as relay,
        relay.worker(),
    ):
        relay.sql("INSERT INTO item VALUES (1, 'a')")
        relay.sql("INSERT INTO part VALUES (1, 1, 'x')")
        await relay.drained()
        relay.sql("ALTER TABLE part ADD COLUMN secret int DEFAULT 7")
        await noticed(relay, "[entities.item.embed.parts]", "secret")
        relay.sql("INSERT INTO item VALUES (2, 'b')")
        relay.sql("INSERT INTO part VALUES (2, 2, 'y')")
        if policy == "stop":
            assert relay.document(2) is None
            return
        await until(lambda: (relay.document(2) or {}).get("parts"), seconds=20)
        expected = {"id": 2, "label": "y"} | ({"secret": 7} if policy == "sync" else {})
        await until(lambda: relay.document(2)["parts"] == [expected], seconds=20)


@pytest.mark.parametrize("policy", ["sync", "ignore", "stop"])
async def test_an_excluded_column_that_is_renamed_stays_out(policy, database):
    """A sibling: under another name it would look new, and a secret would go out."""
    ddl = DDL + "ALTER TABLE item ADD COLUMN password text DEFAULT 'x'"
    one = item(policy, exclude=("password",))
    async with relayed(database, ddl=ddl, poll=POLL, entities=[one]) as relay, relay.worker():
        relay.sql("ALTER TABLE item RENAME password TO passphrase")
        severity = await noticed(relay, "'passphrase' was 'password', which is excluded, and stays out")
        assert severity == "warning"
        relay.sql("INSERT INTO item VALUES (1, 'a')")
        await relay.drained()
        assert set(relay.document(1)) & {"name", "password", "passphrase"} == {"name"}
        await relay.install()
        relay.sql("ALTER TABLE item ADD COLUMN more int")
        relay.sql("INSERT INTO item VALUES (2, 'b')")
        await noticed(relay, "stays out", "more")
        if policy == "sync":
            await until(lambda: "more" in (relay.document(2) or {}), seconds=20)
            assert "passphrase" not in relay.document(2)


async def planned(database: str, *entities):
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
        return await plan(conn, entities)


@pytest.mark.parametrize(
    ("ddl", "new"),
    [
        ("ALTER TABLE item RENAME name TO title", []),
        ("ALTER TABLE item DROP COLUMN name, ADD COLUMN name int", []),
        (
            "CREATE TABLE t2 (id int PRIMARY KEY, secret text, name text); DROP TABLE item; ALTER TABLE t2 RENAME TO item",
            ["secret"],
        ),
        ("ALTER TABLE item ADD a int, ADD b int", ["a", "b"]),
    ],
)
async def test_what_counts_as_new(ddl, new, database):
    """A renamed column is the one it was, one made again under its name too; in another table numbers say nothing."""
    async with relayed(database, ddl=DDL, poll=POLL, entities=[item("ignore")]) as relay:
        relay.sql(ddl)
        lines = [line for line in (await planned(database, item("ignore"))).warnings if "stay out" in line]
        assert lines == ([] if not new else [lines[0]])
        assert all(f"stay out: {', '.join(new)}." in line for line in lines)


async def test_a_new_column_of_a_type_without_a_form_stops_nothing_where_it_is_ignored(database):
    async with relayed(database, ddl=DDL, poll=POLL, entities=[item("ignore")]) as relay, relay.worker():
        relay.sql("CREATE TYPE pair AS (a int, b int)")
        relay.sql("ALTER TABLE item ADD COLUMN odd pair")
        await noticed(relay, "odd")
        relay.sql("INSERT INTO item VALUES (1, 'a')")
        await relay.drained()
        assert relay.document(1)["name"] == "a"
    with pytest.raises(MappingError, match="odd"):
        await planned(database, replace(item("ignore"), fields=Fields()))


async def test_an_installation_of_before_takes_note_first(database):
    """Nothing is new until an installation has said what there is."""
    async with relayed(database, ddl=DDL, poll=POLL, entities=[item("stop")]) as relay:
        relay.sql("UPDATE syncline.entity SET known_columns = NULL")
        relay.sql(ADD)
        async with relay.worker():
            relay.sql("INSERT INTO item VALUES (1, 'a')")
            await relay.drained()
            assert relay.document(1)["secret"] == "s3cr3t"
        await relay.install()
        assert not (await planned(database, item("stop"))).changes


def test_the_default_stands_in_the_file_and_an_entity_or_embed_may_say_otherwise(tmp_path):
    file = tmp_path / "syncline.toml"
    file.write_text(
        '[source]\nurl = "postgresql://h/d"\n[target]\nurl = "mongodb://h/d"\n[mapping]\nnew_columns = "ignore"\n'
        'dates = "exact"\n[entities.a]\n[entities.a.embed.b]\ntable = "b"\non = "x"\n[entities.c]\nnew_columns = "stop"\n'
        'dates = "text"\n[entities.c.embed.d]\ntable = "d"\non = "x"\n[entities.c.embed.e]\ntable = "e"\non = "x"\n'
        'new_columns = "sync"\n'
    )
    settings = load(file, {})
    found = {one.name: (one.fields, *(embed.fields for embed in one.embeds)) for one in settings.entities}
    assert [f.new_columns for f in found["a"]] == ["ignore", "ignore"]
    assert [f.new_columns for f in found["c"]] == ["stop", "stop", "sync"]
    assert [f.dates for f in (*found["a"], *found["c"])] == ["exact", "exact", "text", "text", "text"]
    assert json.dumps(settings.as_dict()["mapping"]) == '{"new_columns": "ignore", "dates": "exact"}'
