"""copy, backfill, verify, repair and explain of a document link."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from syncline.documents import copying
from syncline.documents.copying import DocumentCopier, Progress
from syncline.documents.opening import opened
from syncline.engines.mongo.stored_marks import StoredMarks
from syncline.errors import SourceUnavailableError
from tests.bouncer import bouncer
from tests.document_link import DocumentStage
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS


@pytest.fixture
def stage(tmp_path, mongo_url, mongo_db, database, monkeypatch):
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    made = DocumentStage(tmp_path, mongo_url, mongo_db, database)
    made.make_tables()
    made.call("install", "--yes")
    yield made
    made.close()


def marks(stage) -> int:
    return sum(stage.mongo[name].count_documents({"_sync.mark": {"$exists": True}}) for name in ("tasks", "labels"))


def test_what_was_there_before_is_copied_verified_and_explained(stage):
    stage.mongo["tasks"].insert_many([{"_id": n, "title": f"t{n}", "more": [n]} for n in range(30)])
    stage.mongo["labels"].insert_one({"_id": "a", "name": "red"})
    assert [(one["entity"], one["documents"]) for one in stage.json("copy", "--dry-run")["tables"]] == [
        ("tasks", 30),
        ("labels", 1),
    ]
    done = {one["entity"]: one for one in stage.json("copy")["tables"]}
    assert (done["tasks"]["rows"], done["labels"]["rows"], done["tasks"]["finished"], marks(stage)) == (30, 1, True, 0)
    assert stage.json("copy", "tasks")["tables"][0]["before"] is True
    found = stage.json("verify")
    assert (found["verdict"], found["exitStatus"], [one["records"] for one in found["entities"]]) == (
        "equal",
        0,
        [30, 1],
    )
    assert "Proved equal" in stage.call("verify", "labels", "--rate", "0")
    assert stage.json("verify", "tasks", "7")["entities"][0]["verdict"] == "equal"
    told = stage.json("explain", "tasks", "7")
    assert (told["verdict"], told["document"]["title"], told["kept"]["deleted"]) == (
        "Both sides are equal.",
        "t7",
        False,
    )
    assert told["rows"]["public.postgres_tasks"][0]["title"] == "t7"
    assert "t7" in stage.call("explain", "tasks", "7")
    assert stage.json("explain", "tasks", "99")["verdict"] == "Neither side has it."
    nobodys = stage.json("verify", "tasks", "99", status=2)
    assert (nobodys["exitStatus"], nobodys["summary"]) == (2, "Neither side has tasks 99.")
    assert "Neither side has tasks 98, 99." in stage.call("verify", "tasks", "--key", "98", "--key", "99", status=2)
    assert [one["records"] for one in stage.json("verify", "tasks", "--key", "7", "--key", "99")["entities"]] == [1]
    stage.mongo["tasks"].delete_one({"_id": 8})
    assert stage.json("verify", "tasks", "8", status=1)["entities"][0]["divergent"] == {"extra": 1}


def test_damage_is_reported_and_repaired_by_a_worker(stage, tmp_path):
    stage.collection("tasks").insert_many([{"_id": n, "title": f"t{n}"} for n in range(6)])
    stage.json("copy")
    stage.work(lambda: marks(stage) == 0)
    stage.sql(
        "UPDATE postgres_tasks SET title = 'x' WHERE mongo_id = '1'; DELETE FROM postgres_tasks WHERE mongo_id = '2';"
        "INSERT INTO postgres_tasks (mongo_id) VALUES ('nobody''s')"
    )
    stage.mongo["tasks"].delete_one({"_id": 3})
    report = tmp_path / "report.jsonl"
    found = stage.json("verify", "tasks", "--report", str(report), status=1)
    assert found["entities"][0]["divergent"] == {"different": 1, "extra": 1, "foreign": 1, "missing": 1}
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert {one["finding"]["key"] for one in lines if "finding" in one} == {"1", "2", "3", "nobody's"}
    assert "syncline repair" in stage.call("verify", "tasks", status=1)
    assert "rows differ" in stage.json("explain", "tasks", "1")["verdict"]
    assert stage.json("repair", "tasks", "--dry-run", status=1)["repair"]["marked"] == 3
    assert marks(stage) == 0
    assert stage.json("repair", "--from", str(report))["repair"]["marked"] == 3
    assert "on its way" in stage.json("explain", "tasks", "1")["verdict"]
    waiting = stage.json("verify", "tasks", "--patience", "0", status=1)
    assert waiting["entities"][0]["lagging"] == 3
    stage.sql("DELETE FROM postgres_tasks WHERE mongo_id = 'nobody''s'")
    stage.work(lambda: marks(stage) == 0)
    assert stage.json("verify")["verdict"] == "equal"


def test_a_backfill_copies_again_and_sweeps(stage):
    stage.collection("tasks").insert_many([{"_id": n} for n in range(4)])
    stage.json("copy")
    stage.work(lambda: marks(stage) == 0)
    stage.sql("DELETE FROM postgres_tasks; DELETE FROM syncline_documents.key_version WHERE mongo_id = '0'")
    stage.mongo["tasks"].delete_one({"_id": 3})
    done = stage.json("backfill")
    assert (done["tables"][0]["rows"], done["swept"]) == (3, 1)
    assert stage.sql("SELECT mongo_id FROM postgres_tasks") == [("0",)]  # of the others it has the version


def test_a_document_that_is_refused_is_left_to_the_worker_and_said_to_be_parked(stage):
    stage.declare('[collections.tasks]\nid = "any"\ncolumns = { title = { type = "text", required = true } }\n')
    stage.sql("DROP TABLE postgres_tasks")
    stage.make_tables()
    stage.call("install", "--yes")
    stage.mongo["tasks"].insert_many([{"_id": 1, "title": "a"}, {"_id": 2}])
    assert stage.json("copy")["tables"][0]["leftToWorker"] == 1
    stage.work(lambda: stage.sql("SELECT count(*) FROM syncline_documents.rejected") == [(1,)])
    found = stage.json("verify", status=1)["entities"][0]
    assert (found["parked"], found["divergent"]) == (1, {})
    told = stage.json("explain", "tasks", "2")
    assert "parked" in told["verdict"]
    assert "title" in told["parked"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("copy", "--cancel"), "--cancel means nothing"),
        (("copy", "--parallel", "2"), "--parallel"),
        (("copy", "nothing"), "there is no collection 'nothing'"),
        (("backfill", "--where", "true"), "--where means nothing"),
        (("verify", "tasks", "--from", "1"), "there are no ranges of them"),
        (("verify", "--key", "1"), "a key needs one collection"),
        (("repair", "nothing"), "there is no collection 'nothing'"),
        (("explain", "nothing", "1"), "there is no collection 'nothing'"),
        (("explain", "tasks", "{"), "is no key of tasks"),
    ],
)
def test_what_means_nothing_is_refused_by_name(stage, words, said):
    assert said in stage.call(*words, status=3)


def test_nothing_is_copied_from_another_mongodb(stage):
    stage.mongo["_syncline_documents"].delete_many({})
    assert "another MongoDB" in stage.call("copy", status=3)
    assert "another MongoDB" in stage.call("verify", status=3)


class Killed(BaseException):
    """The copier ends: a kill, as far as both databases can tell."""


def copied_anew(stage, paced=None) -> list[Progress]:
    async def run() -> list[Progress]:
        async with opened(stage.documents) as link:
            copier = DocumentCopier(link, paced=paced)
            try:
                return await copier.run(link.collections, anew=True)
            finally:
                await copier.close()

    return asyncio.run(run())


@pytest.fixture
def copied_before(stage):
    stage.mongo["tasks"].insert_one({"_id": 1, "title": "a"})
    stage.mongo["labels"].insert_one({"_id": 1, "name": "red"})
    assert [one["before"] for one in stage.json("copy")["tables"]] == [False, False]
    return stage


def test_what_is_copied_anew_goes_on_with_all_collections_after_a_kill_in_the_first(copied_before):
    async def killed(_: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        copied_anew(copied_before, killed)
    assert [one["before"] for one in copied_before.json("copy")["tables"]] == [False, False]
    assert [one["before"] for one in copied_before.json("copy")["tables"]] == [True, True]


def test_what_is_copied_anew_is_copied_though_a_side_was_away_at_its_begin(copied_before, monkeypatch):
    count, away = StoredMarks.count, ["tasks", "labels"]

    async def counted(self: StoredMarks, collection: str) -> int:
        if collection in away:
            away.remove(collection)
            raise SourceUnavailableError("away")
        return await count(self, collection)

    monkeypatch.setattr(StoredMarks, "count", counted)
    monkeypatch.setattr(copying, "FIRST_PAUSE_SECONDS", 0.0)
    assert [(one.before, one.documents) for one in copied_anew(copied_before)] == [(False, 1), (False, 1)]
    assert away == []


DATED = """
[collections.tasks]
id = "any"
columns = { title = "text", at = "timestamptz" }
"""
SEEN = """
CREATE TABLE seen (how text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    INSERT INTO seen SELECT string_agg(current_setting(name), ', ' ORDER BY place)
    FROM unnest(ARRAY['synchronous_commit', 'transaction_isolation', 'timezone']) WITH ORDINALITY AS u (name, place);
    RETURN NULL;
END$$;
CREATE TRIGGER see AFTER INSERT OR UPDATE ON postgres_tasks FOR EACH STATEMENT EXECUTE FUNCTION see();
"""
OTHERWISE = {"timezone": "Europe/Berlin", "synchronous_commit": "off", "default_transaction_isolation": "serializable"}


def test_behind_a_pooler_each_transaction_has_our_settings_and_leaves_none_behind(
    tmp_path, mongo_url, mongo_db, database
):
    stage = DocumentStage(tmp_path, mongo_url, mongo_db, database, DATED)
    stage.make_tables()
    stage.call("install", "--yes")
    stage.sql(SEEN)
    for name, value in OTHERWISE.items():
        stage.sql(f"ALTER DATABASE {stage.sql('SELECT current_database()')[0][0]} SET {name} = '{value}'")
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    stage.mongo["tasks"].insert_many([{"_id": n, "title": f"t{n}", "at": noon} for n in range(5)])
    with bouncer(database, size=2) as pooled:
        stage.database = f"{pooled}&pgbouncer=true"
        stage.declare(DATED)
        assert stage.json("copy")["tables"][0]["rows"] == 5
        assert stage.json("verify")["verdict"] == "equal"
        stage.collection("tasks").update_many({}, {"$set": {"title": None}})
        stage.work(lambda: marks(stage) == 0)
        assert stage.json("verify")["verdict"] == "equal"
        with psycopg.connect(pooled, autocommit=True) as connection:
            names = [*OTHERWISE, "enable_seqscan", "statement_timeout"]
            left = [connection.execute(f"SHOW {name}").fetchone()[0] for name in names]
    assert left == [*OTHERWISE.values(), "on", "0"]
    assert directly(database, "SELECT DISTINCT at FROM postgres_tasks") == [(noon,)]
    assert directly(database, "SELECT DISTINCT how FROM seen") == [("on, read committed, UTC",)]
    stage.close()


def directly(database: str, query: str) -> list[Any]:
    """Ask without the pooler."""
    with psycopg.connect(database) as connection:
        return connection.execute(query).fetchall()
