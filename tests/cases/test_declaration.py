"""What ``install`` wrote is the truth: workers take it from the source, and take a new one over while they run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.errors import VersionError
from syncline.journal.declared import declaration, read_declared
from syncline.journal.registry import InstalledEntity, definition
from syncline.model.entity import Computed, Embed, Entity, Fields, Index, TableName
from syncline.postgres.connection import connect
from syncline.relay import keeper
from tests.relay import ITEM, Relay, entity, relayed, until

PARTS = "CREATE TABLE part (id int PRIMARY KEY, item_id bigint NOT NULL, label text)"
PLAIN = entity("item")
EMBEDDING = replace(PLAIN, embeds=(Embed("parts", TableName.parse("part"), ("item_id",)),))


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "TABLES_SECONDS", 0.2)


@pytest.fixture
async def relay(database: str) -> AsyncIterator[Relay]:
    async with relayed(database) as found:
        found.sql(PARTS)
        found.sql("INSERT INTO item SELECT n, 'a' FROM generate_series(1, 20) AS n")
        found.sql("INSERT INTO part SELECT n, n, 'p' FROM generate_series(1, 20) AS n")
        yield found


def labels(relay: Relay) -> set[str]:
    return {part["label"] for document in relay.raw() for part in document.get("parts", ())}


COMMANDS = (
    ["worker"],
    ["backfill"],
    ["repair", "--yes"],
    ["verify"],
    ["resync", "--yes"],
    ["config", "check"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("file", [False, True], ids=["no file", "a file without entities"])
def test_case_23_without_a_configuration_a_command_refuses(
    command: list[str], file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@localhost:1/x")
    monkeypatch.setenv("MONGODB_URL", "mongodb://localhost:1/x")
    monkeypatch.delenv("SYNCLINE_CONFIG", raising=False)
    if file:
        (tmp_path / "syncline.toml").write_text("")

    outcome = CliRunner().invoke(app, [word for word in command if word != "--yes"])

    assert outcome.exit_code == 3
    assert "declares no entity" in outcome.output if file else "no configuration here" in outcome.output


async def test_case_24_a_worker_with_last_weeks_file_works_by_what_is_installed_and_says_so(relay: Relay) -> None:
    """The case asks for a refusal. Decided otherwise: what is installed counts, so a differing file is a warning at start."""
    relay.entities = [EMBEDDING]
    await relay.install()
    async with relay.worker():
        await relay.drained()
        relay.entities = [PLAIN]
        async with relay.worker():
            relay.sql("UPDATE item SET qty = 5")
            relay.sql("UPDATE part SET label = 'q'")
            await until(lambda: labels(relay) == {"q"})
            await relay.drained()

    assert all(document["parts"] and document["qty"] == 5 for document in relay.raw())
    assert [message for name, message in relay.seen.notices if name == "ConfigurationDiffers"] == [
        "item: changed since the installation (embeds); run `syncline install`; until then what is installed counts"
    ]


async def test_case_25_an_installation_is_taken_over_by_running_workers(relay: Relay) -> None:
    async with relay.worker(), relay.worker():
        relay.sql("SELECT syncline.mark(1::smallint, ARRAY(SELECT id::text FROM item), 'R')")
        await relay.drained()
        assert labels(relay) == set()
        relay.entities = [EMBEDDING]
        await relay.install()
        await until(lambda: len([d for d in relay.raw() if d.get("parts")]) == 20)
        relay.sql("UPDATE part SET label = 'later'")
        await until(lambda: labels(relay) == {"later"})


async def test_an_installation_that_concerns_no_column_is_taken_over_too(relay: Relay) -> None:
    relay.entities = [replace(PLAIN, fields=Fields(rename={"name": "title"}))]
    async with relay.worker():
        await relay.install()
        await until(
            lambda: [d for d in relay.raw() if d.get("title") == "a"] or relay.sql("UPDATE item SET qty = qty + 1")
        )


async def test_an_entity_that_is_removed_is_served_no_more(relay: Relay) -> None:
    relay.entities = [PLAIN, entity("part")]
    await relay.install()
    async with relay.worker():
        await relay.drained()
        relay.entities = [PLAIN]
        await relay.install()
        relay.sql("UPDATE part SET label = 'unseen'")
        relay.sql("UPDATE item SET qty = 9")
        await until(lambda: all(document["qty"] == 9 for document in relay.raw()))
        assert not [d for d in relay.raw(entity("part")) if d["label"] == "unseen"]


async def test_an_entity_that_is_declared_and_not_installed_is_no_outage(relay: Relay) -> None:
    relay.entities = [PLAIN, entity("part")]
    async with relay.worker():
        relay.sql("UPDATE item SET qty = 2")
        await relay.drained()

    assert (
        "ConfigurationDiffers",
        "part: not installed; run `syncline install`; until then what is installed counts",
    ) in relay.seen.notices


async def test_masks_are_installed_and_those_of_the_file_are_added(relay: Relay) -> None:
    relay.entities = [replace(PLAIN, mask=("name",))]
    await relay.install()
    async with await connect(relay.url) as connection:
        found = await read_declared(connection, [replace(PLAIN, mask=("qty",))])
    assert [one.mask for one in found.entities] == [("name", "qty")]


EVERYTHING = Entity(
    "all",
    TableName('a."b', "c.d"),
    "all",
    key=("id", "other"),
    where="x > 1",
    fields=Fields(
        include=("a", "b"),
        exclude=("c",),
        rename={"a": "b.c"},
        types={"n": "text"},
        computed={"full": Computed("a || b", "text"), "plain": Computed("1")},
        naming="camel",
        dates="text",
    ),
    embeds=(Embed("parts", TableName.parse("part"), ("item_id",), ("id",), Fields(exclude=("x",)), "y"),),
    indexes=(Index((("a", 1), ("b", "text")), unique=True, name="i", options={"sparse": True}),),
)


@pytest.mark.parametrize("one", [EVERYTHING, PLAIN, EMBEDDING], ids=["everything", "plain", "embedding"])
def test_a_declaration_comes_back_as_it_was_installed(one: Entity) -> None:
    assert declaration(_installed(definition(one))) == one


def test_a_declaration_of_a_newer_release_is_refused_by_its_part() -> None:
    with pytest.raises(VersionError, match="shards"):
        declaration(_installed({**definition(ITEM), "shards": 3}))


def _installed(plain: dict[str, Any]) -> InstalledEntity:
    return InstalledEntity(1, "x", "x", "x", ("id",), ("int",), "triggers", plain)


async def test_a_worker_is_named_by_host_and_pid(relay: Relay) -> None:
    async with relay.worker():
        pid = subprocess.run(
            [sys.executable, "-c", "import os; print(os.getppid())"], capture_output=True, text=True, check=True
        )
        name = relay.value("SELECT name FROM syncline.worker")
    assert name.rpartition(":")[2] == pid.stdout.strip()
    assert name.rpartition(":")[0]
