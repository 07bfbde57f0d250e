"""``syncline doctor`` of a document link: each check finds its defect, and names what corrects it."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from pymongo import IndexModel

from syncline.documents import doctor
from syncline.documents.doctor import _actions, _is_local, _tls
from syncline.engines.mongo.marked_database import MarkedDatabase
from syncline.engines.postgres.documents.keeping import Keeping
from tests.cockroach.server import simulator
from tests.document_link import DECLARED, DocumentStage
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


def found(stage: DocumentStage, check: str, *, status: int = 2):
    findings = stage.json("doctor", status=status)["findings"]
    wrong = [one for one in findings if one["check"] == check and one["level"] != "ok"]
    assert wrong, findings
    return wrong[0]["message"] + " | " + wrong[0]["fix"]


def test_a_sound_link_lacks_a_worker_only(stage):
    findings = stage.json("doctor", status=1)["findings"]
    assert [one["check"] for one in findings if one["level"] != "ok"] == ["workers"]
    said = {one["check"]: one["message"] for one in findings}
    assert "a standalone" in said["mongodb"]
    assert said["installation"] == "installed, link number 1"
    stage.sql("INSERT INTO syncline_documents.worker (id, name, version) VALUES ('x', 'host:7', '1')")
    assert "1 running" in stage.call("doctor")


def test_what_is_not_installed_is_named(stage):
    stage.mongo["tasks"].drop_index("syncline_marks")
    assert "tasks lacks the indexes of marks: syncline_marks | syncline install" in found(stage, "indexes of marks")
    stage.sql("ALTER TABLE syncline_documents.mapping DROP COLUMN marked")
    assert "of another version | syncline install" in found(stage, "installation")
    stage.sql("DROP SCHEMA syncline_documents CASCADE")
    assert "not installed here | syncline install" in found(stage, "installation")


def test_another_mongodb_is_named(stage):
    stage.sql("UPDATE syncline_documents.link SET source = 'another'")
    assert "another MongoDB" in found(stage, "installation")


def test_what_is_in_the_way_of_a_collection_is_named_with_what_to_do(stage):
    stage.mongo["tasks"].create_indexes([IndexModel("title", unique=True)])
    stage.mongo["labels"].insert_one({"_id": 1, "_sync": "mine"})
    said = [one for one in stage.json("doctor", status=2)["findings"] if one["check"] == "collection"]
    assert [one["level"] for one in said] == ["critical", "warning"]
    assert "not Syncline's" in said[0]["message"]
    assert "partialFilterExpression" in said[1]["fix"]
    assert "`syncline doctor` names one" in stage.call("copy", "labels", status=3)


def test_tables_declaration_and_parked_documents_are_looked_at(stage):
    stage.sql("ALTER TABLE postgres_tasks DROP COLUMN title")
    assert "postgres_tasks has no column title" in found(stage, "columns")
    stage.sql("ALTER TABLE postgres_tasks ADD COLUMN title text")
    stage.sql(
        "INSERT INTO syncline_documents.rejected (collection, mongo_id, mark, reason) VALUES ('tasks', '1', 'a', 'x')"
    )
    assert "1 documents are parked | syncline parked list" in found(stage, "parked", status=1)
    stage.declare(DECLARED.replace('n = "integer"', 'n = "bigint"') + '[collections.more]\ncolumns = { a = "text" }\n')
    said = [one["message"] for one in stage.json("doctor", status=2)["findings"] if one["check"] == "declaration"]
    assert said == ["not installed: more", "the declaration is another one than that of the rows: tasks"]
    stage.declare(DECLARED.partition("[collections.labels]")[0])
    assert "not declared any more: labels" in found(stage, "declaration", status=1)


def test_a_role_that_may_not_write_is_named(stage):
    role = "reader_of_documents"
    stage.sql(f"DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN")
    stage.sql(f"GRANT USAGE ON SCHEMA syncline_documents TO {role}")
    stage.sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA syncline_documents, public TO {role}")
    address = stage.database
    try:
        joint = "&" if "?" in address else "?"
        stage.file.write_text(stage.file.read_text().replace(address, f"{address}{joint}user={role}"))
        said = found(stage, "rights")
        assert "public.postgres_tasks" in said
        assert f"--worker-role {role}" in said
    finally:
        stage.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_servers_that_cannot_be_used_are_named(stage, monkeypatch):
    with simulator(stage.database) as cockroach:
        text = stage.file.read_text()
        stage.file.write_text(text.replace(stage.database, cockroach.url))
        assert "CockroachDB" in found(stage, "postgresql")
        stage.file.write_text(text)
    monkeypatch.setattr("syncline.engines.postgres.documents.session.OLDEST", 99)
    assert "need PostgreSQL 99 or newer" in found(stage, "postgresql")
    monkeypatch.undo()
    stage.file.write_text(text.replace(stage.mongo_url, "mongodb://%2Fnot%2Fthere.sock/shop"))
    monkeypatch.setattr("syncline.engines.mongo.marked_database.FINDING_SECONDS", 0.1)
    assert "MongoDB" in found(stage, "mongodb")


@contextmanager
def answering(monkeypatch, owner, name, **changed):
    asked = getattr(owner, name)

    async def answer(self):
        return {**await asked(self), **changed}

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, answer)
        yield


def test_what_servers_say_of_themselves_is_judged(stage, monkeypatch):
    with answering(monkeypatch, MarkedDatabase, "build", ferretdbVersion="1.2"):
        assert "the source is FerretDB 1.2" in found(stage, "mongodb")
    with answering(monkeypatch, Keeping, "about", standby=True):
        assert "is a standby" in found(stage, "postgresql")
    with answering(monkeypatch, Keeping, "about", clock=0.0):
        assert "s apart | set both by NTP" in found(stage, "clocks", status=1)
    user = [{"user": "app", "db": "shop"}]
    only = [{"resource": {"db": stage.mongo.name, "collection": ""}, "actions": ["find"]}]
    with answering(
        monkeypatch, MarkedDatabase, "privileges", authenticatedUsers=user, authenticatedUserPrivileges=only
    ):
        assert "the user app may not insert, remove, update" in found(stage, "mongodb rights")
    actions = ["find", "insert", "update", "remove"]
    single = [
        {"resource": {"db": stage.mongo.name, "collection": name}, "actions": actions}
        for name in ("_syncline_documents", "labels", "tasks")
    ]
    with answering(
        monkeypatch, MarkedDatabase, "privileges", authenticatedUsers=user, authenticatedUserPrivileges=single[:2]
    ):
        said = f"the user app may not find, insert, remove, update in {stage.mongo.name} (tasks)"
        assert said in found(stage, "mongodb rights")
    with answering(
        monkeypatch, MarkedDatabase, "privileges", authenticatedUsers=user, authenticatedUserPrivileges=single
    ):
        levels = {one["check"]: one["level"] for one in stage.json("doctor", status=1)["findings"]}
        assert levels["mongodb rights"] == "ok"
    monkeypatch.setattr(doctor, "_is_local", lambda _: False)
    assert "is not encrypted | add tls=true" in found(stage, "tls", status=1)


def test_what_keeps_the_gate_of_a_collection_that_went_over_is_said(stage):
    gate = {"name": "tasks", "mode": "a", "number": 3, "opened": 3, "link": 2, "validated": True}
    stage.mongo["syncline_phases"].insert_one({"_id": "phases", "version": 1, "gates": [gate]})
    said = {one["check"]: one["message"] for one in stage.json("doctor", status=1)["findings"]}
    assert said["gate"] == "tasks: kept by validator"


def test_rights_and_places_are_read_as_they_are_meant():
    privileges = [
        {"resource": {"db": "", "collection": ""}, "actions": ["find"]},
        {"resource": {"db": "shop", "collection": "one"}, "actions": ["insert"]},
        {"resource": {"anyResource": True}, "actions": ["remove"]},
    ]
    assert _actions(privileges, "shop", "two") == {"find", "remove"}
    assert _actions(privileges, "shop", "one") == {"find", "insert", "remove"}
    assert [_is_local(host) for host in ("/run/x", "localhost:5432", "127.0.0.1:1", "[::1]:5", "db.example:5")] == [
        *[True] * 4,
        False,
    ]
    assert _tls("MongoDB", "mongodb://db.example/x", True, "tls=true").level == 0
