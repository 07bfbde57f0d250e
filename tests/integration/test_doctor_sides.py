"""Each defect of the target, and of what the two sides remember of each other, is found with its cure, cured, and gone.

The embedded MongoDB has neither users nor replica sets. What depends on them is judged here from replies as MongoDB's
manual shows them, given by ``Scripted``; everything else is made on the real engines.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from pymongo.errors import OperationFailure

from syncline.config.settings import Settings, SourceSettings, TargetSettings
from syncline.errors import TargetUnavailableError
from syncline.insight.checks import target
from syncline.insight.checks.finding import Finding, Level
from tests import engines, programs
from tests.integration.doctor_case import Clinic as Case
from tests.integration.doctor_case import clinic
from tests.relay import ITEM


@pytest.fixture
def case(database, mongo_url, mongo_db, tmp_path):
    with clinic(database, mongo_url, mongo_db, tmp_path) as found:
        yield found


def worked(case: Case) -> None:
    """Let a worker bring the target up to date, and end."""
    case.start()
    case.settled()
    case.stop()


class TestMemories:
    def test_a_target_that_was_dropped(self, case: Case) -> None:
        worked(case)
        case.client.drop_database(case.documents.name)
        self._reconciled(case, case.found("restore", "critical", "the target has forgotten"))

    def test_a_target_that_was_restored(self, case: Case) -> None:
        worked(case)
        dump = {name: list(case.documents[name].find()) for name in case.documents.list_collection_names()}
        case.sql("UPDATE person SET name = 'later'")
        worked(case)
        for name, documents in dump.items():
            case.documents[name].delete_many({})
            case.documents[name].insert_many(documents)
        case.cured(case.found("restore", "critical", "the target has forgotten"))

    def test_a_source_that_was_moved_or_copied_into_another_database(self, case: Case, postgres) -> None:
        """By ``pg_dump | psql``, whatever was written meanwhile: two might write into one target."""
        worked(case)
        with engines.fresh_database(postgres.url) as restored:
            dump = programs.dumped(case.url)
            case.sql("UPDATE person SET name = 'lost'")
            worked(case)
            programs.restore(restored, dump)
            self._move(case, restored)
            case.cured(case.found("owner", "critical", "copy of another source"))
            case.start()
            case.settled()
            assert case.sql("SELECT count(*) FROM person")[0][0] == case.documents["person"].count_documents({})

    def test_an_installation_that_was_made_anew(self, case: Case) -> None:
        worked(case)
        case.run("uninstall", "--yes")
        case.run("install", "--yes")
        case.cured(case.found("restore", "warning", "installed anew"))

    def test_a_target_of_another_source(self, case: Case, postgres, tmp_path_factory) -> None:
        worked(case)
        with engines.fresh_database(postgres.url) as other:
            folder = tmp_path_factory.mktemp("other")
            with clinic(other, case.mongo_url, case.documents.name, folder) as stranger:
                stranger.cured(stranger.found("owner", "critical", "copy of another source"))

    def _move(self, case: Case, url: str) -> None:
        case.conn.close()
        case.url = url
        case.conn = psycopg.connect(url, autocommit=True)
        case.configure(url)

    def _reconciled(self, case: Case, finding: dict[str, str]) -> None:
        """A worker does what is needed and leaves a notice; who has read it closes it."""
        case.cured(finding)
        case.settled()
        assert case.sql("SELECT count(*) FROM person")[0][0] == case.documents["person"].count_documents({})
        case.cured(case.report()["notices"])
        case.well()


class TestIndexes:
    def test_one_that_is_not_unique_as_declared(self, case: Case) -> None:
        case.documents["album"].create_index("title", name="by_title")
        finding = case.found("indexes", "critical", "album: the index by_title is declared unique and is not")
        assert 'db.album.dropIndex("by_title")\' && syncline worker' in finding["fix"]
        case.documents["album"].drop_index("by_title")
        case.start()
        case.settled()
        assert case.report()["indexes"]["level"] == "ok"


class TestSuitability:
    def test_a_collection_with_a_default_collation(self, case: Case) -> None:
        case.documents["album"].drop()
        case.documents.create_collection("album", collation={"locale": "en", "strength": 2})
        finding = case.found(
            "suitability", "critical", "entity album: the collection album has a default collation (en)"
        )
        assert (
            finding["fix"]
            == 'set `collection = "album_2"` in [entities.album] (a name that is free), then `syncline install`'
        )
        case.edit('table = "album"', 'table = "album"\ncollection = "album_2"')
        case.run("install", "--yes")
        assert case.report()["suitability"]["level"] == "ok"


class TestReach:
    def test_a_target_that_is_down_does_not_hide_the_source(self, case: Case) -> None:
        case.sql("DROP INDEX track_album")
        case.configure(case.url, mongo_url=case.nowhere)
        wrong = case.wrong()
        assert wrong.keys() == {"target", "workers", "source indexes"}
        assert "MongoDB cannot be reached" in wrong["target"]

    def test_a_source_that_is_down_does_not_hide_the_target(self, case: Case) -> None:
        case.configure(urlsplit("postgresql://nobody@127.0.0.1:1/x").geturl())
        report = case.report()
        assert report["source"]["level"] == "critical"
        assert report["write concern"]["level"] == "ok"

    def test_both_are_down(self, case: Case) -> None:
        case.configure("postgresql://nobody@127.0.0.1:1/x", mongo_url=case.nowhere)
        assert case.wrong().keys() == {"source", "target"}

    def test_the_url_reads_from_secondaries(self, case: Case) -> None:
        case.configure(case.url, mongo_url=f"{case.mongo_url}&readPreference=secondaryPreferred")
        finding = case.found("target url", "warning", "readPreference=secondaryPreferred")
        assert "take readPreference out" in finding["fix"]
        case.configure(case.url)
        assert case.report()["target url"]["level"] == "ok"


NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
HELLO = {
    "setName": "rs0",
    "isWritablePrimary": True,
    "me": "a:27017",
    "primary": "a:27017",
    "hosts": ["a:27017", "b:27017", "c:27017"],
    "lastWrite": {"lastWriteDate": NOW, "majorityWriteDate": NOW},
}
MEMBERS = [
    {"name": "a:27017", "health": 1, "state": 1, "stateStr": "PRIMARY", "optimeDate": NOW},
    {"name": "b:27017", "health": 1, "state": 2, "stateStr": "SECONDARY", "optimeDate": NOW},
    {"name": "c:27017", "health": 1, "state": 2, "stateStr": "SECONDARY", "optimeDate": NOW},
]
READ_WRITE = ["find", "insert", "update", "remove", "createIndex", "createCollection"]


def status(**changes: Any) -> dict[str, Any]:
    """Change the third member."""
    return {"members": [*MEMBERS[:2], MEMBERS[2] | changes], "writeMajorityCount": 2}


class Scripted:
    """Answers commands as it is told; what it is not told is not allowed."""

    def __init__(self, replies: Mapping[str, Any]) -> None:
        self.replies = {"hello": HELLO, "replSetGetStatus": status(), **replies}

    async def ask(self, command: Mapping[str, Any], *, admin: bool = False) -> Mapping[str, Any]:
        name = next(iter(command))
        reply = self.replies.get(name, 13)
        if isinstance(reply, int):
            raise TargetUnavailableError("MongoDB refused: not authorized") from OperationFailure("no", reply)
        return reply


async def looked(check: str, url: str = "mongodb://a,b,c/x", **replies: Any) -> Finding:
    """Run one check of the target against scripted replies; give the worst finding."""
    entities = (ITEM,)
    target_ = TargetSettings(url=url, database="x")
    settings = Settings(SourceSettings(url="postgresql://h/x"), target_, entities=entities)
    found = await getattr(target, check)(Scripted(replies), settings)
    return max(found, key=lambda one: one.level)


class TestScripted:
    """Judged from replies of the manual: the embedded engine has no replica sets and no users."""

    async def test_a_healthy_set(self) -> None:
        found = await looked("replica_set")
        assert (found.level, found.message) == (
            Level.OK,
            "rs0, 3 members: writes are acknowledged by a majority",
        )

    async def test_members_that_may_not_be_seen(self) -> None:
        found = await looked("replica_set", replSetGetStatus=13)
        assert found.level is Level.OK
        assert "clusterMonitor" in found.message

    @pytest.mark.parametrize(
        ("replies", "level", "text", "fix"),
        [
            (
                {"hello": HELLO | {"isWritablePrimary": False, "me": "b:27017"}},
                2,
                "b:27017 is not the prim",
                "every member",
            ),
            (
                {
                    "hello": HELLO
                    | {"lastWrite": {"lastWriteDate": NOW, "majorityWriteDate": NOW - timedelta(minutes=1)}}
                },
                2,
                "a majority is 60 s behind",
                "printSecondaryReplicationInfo",
            ),
            ({"hello": HELLO | {"hosts": ["a", "b"], "arbiters": ["c:27017"]}}, 1, "the arbiter c:27017", "rs.add"),
            (
                {"replSetGetStatus": status(health=0, state=8, stateStr="(not reachable)")},
                1,
                "c:27017 is (not",
                "rs.status",
            ),
            ({"replSetGetStatus": status(state=3, stateStr="RECOVERING")}, 1, "c:27017 is RECOVERING", "resync it"),
            ({"replSetGetStatus": status(optimeDate=NOW - timedelta(hours=1))}, 1, "c:27017 is 3600 s behind", "disk"),
            (
                {"replSetGetStatus": {"members": [MEMBERS[0], *({**m, "health": 0, "state": 8} for m in MEMBERS[1:])]}},
                2,
                "b:27017 is",
                "start that member",
            ),
            (
                {"replSetGetConfig": {"config": {"writeConcernMajorityJournalDefault": False}}},
                1,
                "before they",
                "reconfig",
            ),
        ],
    )
    async def test_a_set_that_is_not_well(self, replies: dict[str, Any], level: int, text: str, fix: str) -> None:
        found = await looked("replica_set", **replies)
        assert (found.check, found.level) == ("replica set", level)
        assert text in found.message
        assert fix in found.fix

    async def test_a_majority_that_does_not_answer(self) -> None:
        failed = {"ok": 1, "writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}
        found = await looked("write_concern", update=failed)
        assert found.level is Level.CRITICAL
        assert "waiting for replication timed out" in found.message
        assert (await looked("write_concern", update={"ok": 1, "n": 0})).level is Level.OK

    async def test_a_user_that_may_only_read(self) -> None:
        user = {"authenticatedUsers": [{"user": "sync", "db": "admin"}]}
        read = [{"resource": {"db": "x", "collection": ""}, "actions": ["find"]}]
        write = [{"resource": {"db": "x", "collection": ""}, "actions": READ_WRITE}]
        found = await looked(
            "target_privileges", connectionStatus={"authInfo": user | {"authenticatedUserPrivileges": read}}
        )
        assert (found.check, found.level) == ("target privileges", Level.CRITICAL)
        assert "insert on x._syncline" in found.message
        assert "remove on x.item" in found.message
        assert 'db.grantRolesToUser("sync", [{role: "readWrite", db: "x"}])' in found.fix
        found = await looked(
            "target_privileges", connectionStatus={"authInfo": user | {"authenticatedUserPrivileges": write}}
        )
        assert found.level is Level.OK

    async def test_privileges_of_other_databases_do_not_count(self) -> None:
        privileges = [
            {"resource": {"db": "y", "collection": ""}, "actions": READ_WRITE},
            {"resource": {"db": "x", "collection": "other"}, "actions": READ_WRITE},
            {"resource": {"cluster": True}, "actions": READ_WRITE},
        ]
        assert len(target.lacks(privileges, "x", ["item"])) == len(target.NEEDED)
        assert not target.lacks([{"resource": {"anyResource": True}, "actions": READ_WRITE}], "x", ["item"])

    async def test_a_server_that_does_not_tell_privileges_is_tried(self) -> None:
        found = await looked("target_privileges", connectionStatus=59, find={"ok": 1}, delete={"ok": 1})
        assert "update on item" in found.message
        assert "find on item" not in found.message

    async def test_a_url_that_stays_with_one_member(self) -> None:
        found = await looked("target_url", "mongodb://a/x?directConnection=true")
        assert found.level is Level.WARNING
        assert "failover" in found.why

    async def test_another_clock(self, monkeypatch) -> None:
        monkeypatch.setattr("syncline.insight.checks.target.time", SimpleNamespace(time=lambda: NOW.timestamp() + 90))
        told = HELLO | {"localTime": NOW.replace(tzinfo=None)}
        found = await looked("clock", hello=told)
        assert (found.level, found.message) == (Level.WARNING, "this host is 90.0 s ahead of the target")
        monkeypatch.setattr("syncline.insight.checks.target.time", SimpleNamespace(time=NOW.timestamp))
        assert (await looked("clock", hello=told)).level is Level.OK
