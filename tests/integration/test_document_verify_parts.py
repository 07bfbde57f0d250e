"""A part of a collection is compared: a range of keys, or keys alone; and all that there is to ask."""

from __future__ import annotations

import pytest

from syncline.documents.passing import Part
from syncline.documents.verify_run import scope_text
from tests.document_link import DocumentStage
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS

DECLARED = """
[collections.tasks]
id = "bigint"
columns = { title = "text" }
arrays = { labels = { type = "text" } }
[collections.labels]
id = "any"
columns = { name = "text" }
"""
QUESTIONS = [
    "outbox present", "secondary connected", "counts match", "contents match", "sample shown", "lag acceptable", "no failed events",
]  # fmt: skip


@pytest.fixture
def stage(tmp_path, mongo_url, mongo_db, database, monkeypatch):
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    made = DocumentStage(tmp_path, mongo_url, mongo_db, database)
    made.declare(DECLARED)
    made.make_tables()
    made.call("install", "--yes")
    made.mongo["tasks"].insert_many([{"_id": n, "title": f"t{n}", "labels": ["a", "b"]} for n in range(30)])
    made.mongo["labels"].insert_many([{"_id": f"l{n}", "name": f"n{n}"} for n in range(30)])
    made.json("copy")
    yield made
    made.close()


def certificates(stage) -> int:
    return stage.sql("SELECT count(*) FROM syncline_documents.certificate")[0][0]


def test_a_range_begins_with_one_key_and_ends_before_another(stage):
    stage.sql(
        "UPDATE postgres_tasks SET title = 'x' WHERE mongo_id = 5;"
        "DELETE FROM postgres_tasks_labels WHERE mongo_id = 25;"
        "INSERT INTO postgres_tasks (mongo_id) VALUES (100)"
    )
    before = certificates(stage)
    [clean] = stage.json("verify", "tasks", "--from", "6", "--to", "25")["entities"]
    assert (clean["mode"], clean["records"], clean["documents"], clean["verdict"]) == ("range", 19, 19, "equal")
    [damaged] = stage.json("verify", "tasks", "--from", "25", status=1)["entities"]
    assert (damaged["records"], damaged["divergent"]) == (5, {"different": 1, "extra": 1})
    assert stage.json("verify", "tasks", "--to", "5")["entities"][0]["records"] == 5
    assert stage.json("verify", "tasks", "--to", "6", status=1)["entities"][0]["divergent"] == {"different": 1}
    assert certificates(stage) == before, "a part is no evidence for a phase"


def test_of_keys_alone_it_is_told_where_a_row_or_a_document_is_missing(stage):
    stage.sql("UPDATE postgres_tasks SET title = 'x' WHERE mongo_id = 5; UPDATE postgres_labels SET name = 'x'")
    before = certificates(stage)
    found = stage.json("verify", "--keys-only", status=2)
    assert [(one["mode"], one["records"], one["documents"]) for one in found["entities"]] == [("keys", 30, 30)] * 2
    assert "no difference" in stage.call("verify", "--keys-only", status=2)
    stage.sql(
        "DELETE FROM postgres_tasks WHERE mongo_id = 3; INSERT INTO postgres_tasks (mongo_id) VALUES (100);"
        "DELETE FROM postgres_labels WHERE mongo_id = '\"l3\"'; INSERT INTO postgres_labels (mongo_id) VALUES ('\"l100\"')"
    )
    found = stage.json("verify", "--keys-only", status=1)
    assert [one["divergent"] for one in found["entities"]] == [{"extra": 1, "missing": 1}] * 2
    [part] = stage.json("verify", "tasks", "--keys-only", "--from", "50", status=1)["entities"]
    assert (part["records"], part["divergent"]) == (0, {"extra": 1})
    stage.mongo["tasks"].insert_one({"_id": "no number"})
    stage.work(lambda: stage.sql("SELECT count(*) FROM syncline_documents.rejected") == [(1,)])
    assert stage.json("verify", "tasks", "--keys-only", status=1)["entities"][0]["parked"] == 1
    assert certificates(stage) == before


def test_seven_questions_are_answered(stage):
    found = stage.json("verify", "--sync")
    assert {one["check"]: one["ok"] for one in found["checks"]} == dict.fromkeys(QUESTIONS, True)
    assert "the marks of 2 collections" in stage.call("verify", "--sync")
    assert "In sync." in stage.call("verify", "--sync")
    stage.sql("UPDATE postgres_tasks SET title = 'x' WHERE mongo_id = 5")
    found = stage.json("verify", "--sync", status=1)
    assert [one["check"] for one in found["checks"] if not one["ok"]] == ["contents match"]
    assert found["verify"]["entities"][0]["sample"] == ["0", "1", "2"]
    assert "--sync looks at everything" in stage.call("verify", "tasks", "--sync", status=3)


def test_what_is_not_installed_is_the_answer_to_a_question(stage):
    stage.call("uninstall", "--yes")
    found = stage.json("verify", "--sync", status=3)
    assert [one["ok"] for one in found["checks"]] == [False, True, *[None] * 5]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("labels", "--from", "x"), "labels has ids of type any, which both databases do not sort alike"),
        (("tasks", "--from", "x"), "is no key of tasks"),
        (("--from", "1"), "a range needs one collection"),
        (("tasks", "5", "--to", "7"), "a key does not go with a range"),
        (("tasks", "--keys-only", "--sample", "5"), "--keys-only does not go with --sample"),
    ],
)
def test_what_cannot_be_is_refused(stage, words, said):
    assert said in " ".join(stage.call("verify", *words, status=3).split())


def test_only_a_pass_over_the_same_part_is_gone_on_with(stage):
    mapping = stage.documents.mappings[0]
    parts = [Part(), Part("1"), Part(None, "1"), Part("1", "1"), Part(keys_only=True)]
    assert len({scope_text(mapping, "guard", part) for part in parts}) == len(parts)
