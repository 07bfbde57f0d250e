"""Cases 33, 36: what cannot be a target is refused by name, by a worker, `install` and the doctor, before it does harm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.engines.mongo.suitability import look, require_suitable
from syncline.engines.mongo.target import MongoTarget
from syncline.errors import TargetError, UnsuitableTargetError
from syncline.model.entity import Index
from tests.integration.doctor_case import TABLES, Clinic
from tests.relay import ITEM, ITEMS, entity, relayed

KINDS: Mapping[str, tuple[dict[str, Any], str]] = {
    "case 33: a collation": ({"collation": {"locale": "en", "strength": 2}}, "has a default collation (en)"),
    "case 36: a time series": ({"timeseries": {"timeField": "t"}}, "is a time series"),
    "case 36: a view": ({"viewOn": "other", "pipeline": []}, "is a view"),
    "capped": ({"capped": True, "size": 4096}, "is capped"),
}
FERRETS = {"2.x": {"ferretdb": {"version": "v2.5.0"}}, "1.x": {"ferretdbVersion": "v1.24.0"}}
kinds = pytest.mark.parametrize(("options", "says"), KINDS.values(), ids=KINDS)
OTHER = entity("other")


def make(mongo_url: str, mongo_db: str, name: str, options: Mapping[str, Any]) -> None:
    with MongoClient[dict[str, Any]](mongo_url) as client:
        client[mongo_db].create_collection(name, **options)


@pytest.fixture
def ferret(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The server answers ``buildInfo`` as FerretDB does, which cannot be run here; ``request.param`` is its part."""
    command = AsyncDatabase.command

    async def answer(self: Any, asked: Any, *arguments: Any, **options: Any) -> Any:
        reply = await command(self, asked, *arguments, **options)
        build = asked == "buildInfo" or (isinstance(asked, Mapping) and "buildInfo" in asked)
        return {**reply, **request.param, "version": "7.0.42"} if build else reply

    monkeypatch.setattr(AsyncDatabase, "command", answer)


@pytest.fixture
def clinic(database: str, mongo_url: str, mongo_db: str, tmp_path: Path) -> Iterator[Clinic]:
    made = Clinic(database, mongo_url, mongo_db, tmp_path)
    try:
        made.sql(TABLES)
        yield made
    finally:
        made.close()


def refused(case: Clinic) -> str:
    """Run an installation, which must be refused and leave the source as it was."""
    result = CliRunner().invoke(app, ["install", "--yes", "--config", str(case.config)])
    assert result.exit_code == 3, result.output
    assert case.sql("SELECT to_regnamespace('syncline')") == [(None,)]
    return result.output


@kinds
async def test_a_worker_does_not_start(
    database: str, mongo_url: str, mongo_db: str, options: dict[str, Any], says: str
) -> None:
    make(mongo_url, mongo_db, "item", options)
    ddl = f"{ITEMS}; CREATE TABLE other (id bigint PRIMARY KEY)"
    async with relayed(database, (mongo_url, mongo_db), ddl=ddl, entities=[ITEM, OTHER]) as relay:
        relay.sql("INSERT INTO other VALUES (1)")
        with pytest.raises(UnsuitableTargetError, match="entity item: the collection item") as refusal:
            async with relay.worker():
                pass
        assert not refusal.value.retryable
        assert says in str(refusal.value)
        assert 'collection = "item_2"' in (refusal.value.hint or "")
        assert relay.counts()["outbox"] == 1
        assert relay.raw(OTHER) == []


async def test_every_one_is_named_with_the_control_collection(mongo_url: str, mongo_db: str) -> None:
    for name in ("_syncline", "item", "other"):
        make(mongo_url, mongo_db, name, {"capped": True, "size": 4096})
    target = MongoTarget(mongo_url, mongo_db)
    with pytest.raises(UnsuitableTargetError) as refusal:
        await target.prepare([ITEM, OTHER])
    await target.close()
    for text in ("[target]: the collection _syncline", "entity item: the", "entity other: the"):
        assert text in refusal.value.message


async def test_what_can_be_one_is_prepared(mongo_url: str, mongo_db: str) -> None:
    make(mongo_url, mongo_db, "item", {"collation": {"locale": "simple"}})
    make(mongo_url, mongo_db, "nobodys", {"capped": True, "size": 4096})
    item = entity("item", indexes=(Index((("name", 1),), options={"collation": {"locale": "en", "strength": 2}}),))
    target = MongoTarget(mongo_url, mongo_db)
    await target.prepare([item, OTHER])
    assert await target.missing_indexes(item) == []
    await target.close()


class Scripted:
    """Answers like a server with one user or many collections, and counts."""

    def __init__(self, *, forbidden: bool = False) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.forbidden = forbidden

    async def ask(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(command)
        if self.forbidden and "listCollections" in command:
            raise TargetError("MongoDB refused") from OperationFailure("not authorized", 13)
        return {"version": "8.0.0", "cursor": {"id": 0, "firstBatch": []}}


async def test_500_entities_take_two_commands() -> None:
    server = Scripted()
    await require_suitable(server.ask, [entity(f"t{n}") for n in range(500)], "_syncline")
    assert [next(iter(command)) for command in server.asked] == ["buildInfo", "listCollections"]
    assert server.asked[1]["cursor"]["batchSize"] > 500


async def test_who_may_not_look_is_no_worse_off_than_before() -> None:
    """The embedded engine has no users. The doctor says that it could not look."""
    server = Scripted(forbidden=True)
    await require_suitable(server.ask, [ITEM], "_syncline")
    with pytest.raises(TargetError):
        await look(server.ask, [ITEM], "_syncline")


@kinds
def test_install_refuses_before_anything_is_changed(clinic: Clinic, options: dict[str, Any], says: str) -> None:
    clinic.documents.create_collection("album", **options)
    output = " ".join(refused(clinic).split())
    assert f"entity album: the collection album {says}" in output
    assert 'set `collection = "album_2"` in [entities.album]' in output


@pytest.mark.parametrize("ferret", FERRETS.values(), ids=FERRETS, indirect=True)
@pytest.mark.usefixtures("ferret")
def test_a_server_that_is_no_mongodb_is_refused_by_install_and_the_doctor(clinic: Clinic) -> None:
    assert "the target is FerretDB v" in refused(clinic)
    finding = clinic.found("suitability", "critical", "the target is FerretDB v", "no MongoDB")
    assert finding["fix"].startswith("run MongoDB there")


@pytest.mark.parametrize("ferret", FERRETS.values(), ids=FERRETS, indirect=True)
@pytest.mark.usefixtures("ferret")
async def test_a_server_that_is_no_mongodb_is_refused_by_a_worker(mongo_url: str, mongo_db: str) -> None:
    target = MongoTarget(mongo_url, mongo_db)
    with pytest.raises(UnsuitableTargetError, match="the target is FerretDB v") as refusal:
        await target.prepare([ITEM])
    await target.close()
    assert not refusal.value.retryable


def test_install_goes_on_when_the_target_is_away(clinic: Clinic) -> None:
    clinic.configure(clinic.url, mongo_url=clinic.nowhere)
    output = clinic.run("install", "--yes")
    assert "warning: the target was not looked at, the worker will look:" in output
    assert clinic.sql("SELECT count(*) FROM syncline.entity") == [(2,)]
