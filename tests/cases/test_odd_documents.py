"""Documents that a driver decodes away, or cannot decode: judged as what they are stored as, named, and mended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bson import Int64
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.postgres.verification.side import SqlSide
from syncline.model.entity import Index
from syncline.model.extended import extended
from syncline.ports import Absence, Batch, Report, State, TaskKind
from syncline.verify.one_pass import Sides
from syncline.verify.repair import repair
from tests.cases import odd_bson as odd
from tests.cases.odd_bson import field
from tests.pairs import entity, kinds, paired

TABLE = """
CREATE TABLE t (id {key} PRIMARY KEY, title text, note text, j jsonb, l jsonb, u uuid, b bytea);
INSERT INTO t SELECT i, 't', NULL,
    CASE WHEN i >= 80 THEN '{{"$ref": "x", "$id": 1}}'::jsonb ELSE '{{"a": 1}}' END, '["a", "b"]', '00000000-0000-4000-8000-000000000001', 'abc'
FROM generate_series(10, 99) i
"""
A, B = field("0", odd.text("a")), field("1", odd.text("b"))
UUID = bytes.fromhex("00000000000040008000000000000001")
DIFFERENT = {
    "32: a name twice, the right value last": ("title", odd.text("WRONG"), odd.text("t")),
    "32: a name twice, the right value first": ("title", odd.text("t"), odd.text("WRONG")),
    "32: a name twice, both right": ("title", odd.text("t"), odd.text("t")),
    "32: symbol": ("title", odd.symbol("t")),
    "32: code": ("title", odd.code("t")),
    "32: code with scope": ("title", odd.scoped("t")),
    "32: undefined for null": ("note", odd.UNDEFINED),
    "37: a short uuid": ("title", odd.binary(4, b"abc")),
    "37: a short uuid for a uuid": ("u", odd.binary(4, UUID[:15])),
    "a pointer": ("j", odd.POINTER),
    "text that is no UTF-8": ("title", odd.text(b"t\xff")),
    "a legacy uuid": ("u", odd.binary(3, UUID)),
    "a deprecated binary": ("b", odd.binary(2, b"\x03\0\0\0abc")),
    "a damaged deprecated binary": ("b", odd.binary(2, b"abc")),
    "a binary of one's own": ("b", odd.binary(0x80, b"abc")),
    "an array with other places": ("l", odd.sub(field("5", odd.text("a")), field("7", odd.text("b")), tag=0x04)),
    "an array as a document": ("l", odd.sub(A, B)),
    "a name twice within": ("j", odd.sub(*[field("a", odd.int32(n)) for n in (2, 1)])),
    "a regular expression": ("title", (0x0B, b"t\0\0")),
    "a regular expression that is no UTF-8": ("title", (0x0B, b"\xff\0\0")),
    "a timestamp": ("title", (0x11, b"\0" * 8)),
    "the highest key": ("title", (0x7F, b"")),
    "an ObjectId": ("title", (0x07, b"t" * 12)),
    "a date out of Python's range": ("title", (0x09, b"\0\0\0\0\0\0\0\x40")),
    "a name that is no UTF-8": (b"tit\xffle", odd.text("t")),
    "deep": ("note", odd.sub(field("a", odd.symbol("x")))),
}
UNISSUED = {
    "no ticket but undefined": (odd.UNDEFINED,),
    "a symbol as ticket": (odd.symbol("x"),),
    "code as ticket": (odd.code("x"),),
    "a ticket that is no UTF-8": (odd.text(b"\xff"),),
    "two tickets, a high one first": (odd.int64(2**62), odd.int64(5)),
    "two tickets, a high one last": (odd.int64(5), odd.int64(2**62)),
}
EQUAL = {
    "38: a reference, and integers of another width": lambda stored: odd.with_field(
        stored, "j", odd.sub(field("$ref", odd.text("x")), field("$id", odd.int64(1)))
    ),
    "other order of fields": lambda stored: odd.document(
        *(field(name, (tag, value)) for tag, name, value in sorted(odd.elements(stored), key=lambda one: one[1]))
    ),
}


def named(stored, name, *values):
    if isinstance(name, bytes):
        return odd.document(stored[4:-1], field(name, values[0]))
    return odd.with_field(stored, name, *values)


async def filled(pair):
    await pair.backfill("t")
    await pair.drain()


def damage(pair, typed):
    """Give each record another kind of damage; return what is wrong with each."""
    wrong = {}
    for id_, (_, change) in enumerate(DIFFERENT.items(), 10):
        odd.replace_stored(pair.docs.t, typed(id_), lambda stored, change=change: named(stored, *change))
        wrong[str(id_)] = "different"
    for id_, (_, tickets) in enumerate(UNISSUED.items(), 60):
        odd.replace_stored(pair.docs.t, typed(id_), lambda stored, of=tickets: odd.with_field(stored, "_v", *of))
        wrong[str(id_)] = "unissued"
    for id_, (_, change) in enumerate(EQUAL.items(), 80):
        odd.replace_stored(pair.docs.t, typed(id_), change)
    return wrong


async def mend(pair, report):
    sides = Sides(SqlSide(pair.pages, pair.looks), MongoInspection(pair.target))
    done = await repair(sides, {"t": pair.plan("t")}, report.entities[0].findings)
    await pair.drain()
    return done


@pytest.mark.parametrize("key", ["int", "text"], ids=["side by side", "looked up"])
async def test_documents_are_compared_as_they_are_stored_and_mended(database, mongo_url, mongo_db, key):
    """Cases 32, 37, 38 and their siblings."""
    async with paired(database, mongo_url, mongo_db, TABLE.format(key=key), [entity("t")]) as pair:
        await filled(pair)
        assert (await pair.verify()).exit_status == 0
        wrong = damage(pair, int if key == "int" else str)
        report = await pair.verify()
        names = dict(enumerate(DIFFERENT, 10)) | dict(enumerate(UNISSUED, 60))
        unlike = {names.get(int(one), one) for one in kinds(report).items() ^ wrong.items() for one in one[:1]}
        assert unlike == set()
        json.dumps([one.as_dict() for one in [await mend(pair, report)]])
        again = await pair.verify()
        assert (kinds(again), again.exit_status) == ({}, 0)


async def test_a_document_with_two_fields_of_one_name_is_replaced_by_newer_states_only(database, mongo_url, mongo_db):
    """The server refuses to update it by a pipeline. A newer state may have come before the second command."""
    ddl = "CREATE TABLE t (id int PRIMARY KEY, title text); INSERT INTO t SELECT i, 't' FROM generate_series(1, 3) i"
    async with paired(database, mongo_url, mongo_db, ddl, [entity("t")]) as pair:
        await filled(pair)
        for id_, version in ((1, 2**40), (2, 2**60), (3, 2**50)):
            change = {"title": [odd.text("WRONG"), odd.text("t")], "_v": [odd.int64(version)]}
            for name, values in change.items():
                odd.replace_stored(
                    pair.docs.t, id_, lambda stored, name=name, values=values: odd.with_field(stored, name, *values)
                )
        new = [{"_id": n, "_originalId": str(n), "title": "new", "_v": Int64(2**50)} for n in (1, 2, 3)]
        report = Report()
        await pair.target._writes._replace(pair.target._database.t, new, report)
        assert (report.rejected, report.outranked, report.stale) == ([], {"2": 2**60}, 1)
        assert [pair.docs.t.find_one({"_id": n})["title"] for n in (1, 2, 3)] == ["new", "t", "t"]


IDS = {
    "a symbol": odd.symbol("s"),
    "code": odd.code("a"),
    "code with scope": odd.scoped("a"),
    "text that is no UTF-8": odd.text(b"a\xff"),
    "a short uuid": odd.binary(4, b"abc"),
    "a damaged binary": odd.binary(2, b"abc"),
    "a pointer": odd.POINTER,
    "a reference": odd.REFERENCE,
    "a name twice": odd.sub(field("a", odd.int32(1)), field("a", odd.int32(2))),
    "a symbol within": odd.sub(field("a", odd.symbol("x"))),
    "no UTF-8 within": odd.sub(field("a", odd.text(b"\xff"))),
    "a date out of range": (0x09, b"\0\0\0\0\0\0\0\x40"),
    "the lowest key": (0xFF, b""),
    "the highest key": (0x7F, b""),
    "a timestamp": (0x11, b"\0" * 7 + b"\1"),
}


async def strangers(pair):
    for value in IDS.values():
        odd.insert_stored(pair.docs.t, field("_id", value), field("_v", odd.int64(5)))


KEYS = {
    "int": "int PRIMARY KEY",
    "text": "text PRIMARY KEY",
    "uuid": "uuid PRIMARY KEY DEFAULT gen_random_uuid()",
}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("mode", ["full", "keys", "sample"])
async def test_a_key_that_no_driver_decodes_is_one_foreign_document(database, mongo_url, mongo_db, key, mode):
    """Siblings of 37: the pages around such a document are judged."""
    fill = "INSERT INTO t DEFAULT VALUES" if key == "uuid" else "INSERT INTO t SELECT generate_series(10, 19)"
    ddl = f"CREATE TABLE t (id {KEYS[key]}); {fill}"
    async with paired(database, mongo_url, mongo_db, ddl, [entity("t")]) as pair:
        await filled(pair)
        await strangers(pair)
        report = await pair.verify(mode=mode, sample=100)
        assert dict(report.entities[0].counts) == {"foreign": len(IDS)}
        assert len({json.dumps(extended(one.id)) for one in report.entities[0].findings}) == len(IDS)
        done = await mend(pair, report)
        assert (done.marked_by.total(), done.left_by.total()) == (0, len(IDS))


@pytest.mark.parametrize("key", ["int", "text"])
async def test_pages_go_on_behind_every_key(database, mongo_url, mongo_db, key, monkeypatch):
    """A page may end at any document, and the next one begins there; so may a sweep that was interrupted."""
    ddl = f"CREATE TABLE t (id {KEYS[key]}); INSERT INTO t SELECT generate_series(10, 19)"
    async with paired(database, mongo_url, mongo_db, ddl, [entity("t")]) as pair:
        await filled(pair)
        await strangers(pair)
        one = pair.plan("t").entity
        inspection = MongoInspection(pair.target)
        for size in (1, 2, 7):
            walked = [id_ async for page in inspection.walk_ids(one, size=size) for id_ in page]
            stored = [raw async for page in inspection.read_between(one, None, None, size=size) for raw in page]
            pages = [document async for page in pair.target.walk(one, size=size) for document in page]
            assert [repr(id_) for id_ in walked] == [repr(page["_id"]) for page in pages]
            assert len(walked) == len(stored) == 10 + len(IDS)
        for place, id_ in enumerate(walked):
            rest = [other async for page in inspection.walk_ids(one, after=(id_,)) for other in page]
            assert len(rest) == len(walked) - place - 1


async def test_a_sweep_passes_over_documents_that_no_driver_decodes(database, mongo_url, mongo_db):
    ddl = "CREATE TABLE t (id text PRIMARY KEY); INSERT INTO t SELECT generate_series(10, 19)"
    async with paired(database, mongo_url, mongo_db, ddl, [entity("t")]) as pair:
        await filled(pair)
        await strangers(pair)
        pair.docs.t.insert_one({"_id": "extra"})
        odd.replace_stored(pair.docs.t, "10", lambda stored: odd.with_field(stored, "_v", odd.text(b"\xff")))
        pair.sql("DELETE FROM t WHERE id = '11'", "DELETE FROM syncline.outbox; DELETE FROM syncline.block")
        done = await pair.backfill("t", TaskKind.SWEEP)
        # The server takes a symbol for the text: it has the key of a record that is away.
        assert (done.done, done.marked, done.foreign) == (11 + len(IDS), 3, len(IDS) - 1)


async def test_a_symbol_in_the_place_of_a_key_is_replaced(database, mongo_url, mongo_db):
    """The server takes it for that key: the record is missing, and writing it puts it right."""
    ddl = "CREATE TABLE t (id text PRIMARY KEY); INSERT INTO t VALUES ('a'), ('b')"
    async with paired(database, mongo_url, mongo_db, ddl, [entity("t")]) as pair:
        await filled(pair)
        odd.replace_stored(pair.docs.t, "a", lambda stored: odd.with_field(stored, "_id", odd.symbol("a")))
        report = await pair.verify()
        assert sorted(kinds(report).values()) == ["foreign", "missing"]
        await mend(pair, report)
        assert (await pair.verify()).exit_status == 0


# -- the target's other reads


async def test_a_document_that_nobody_decodes_is_outranked_or_not_as_the_fence_sees_it(database, mongo_url, mongo_db):
    """What the fence kept out is read back, whatever stands there."""
    ddl = "CREATE TABLE t (id text PRIMARY KEY); INSERT INTO t SELECT generate_series(10, 19)"
    async with paired(database, mongo_url, mongo_db, ddl, [entity("t")]) as pair:
        await filled(pair)
        versions = {"10": odd.text(b"\xff"), "11": odd.UNDEFINED, "12": odd.symbol("x"), "13": odd.binary(4, b"abc")}
        for id_, version in versions.items():
            odd.replace_stored(pair.docs.t, id_, lambda stored, of=version: odd.with_field(stored, "_v", of))
        odd.replace_stored(pair.docs.t, "14", lambda stored: odd.with_field(stored, "_id", odd.symbol("14")))
        one = pair.plan("t").entity
        states = [State(str(n), str(n), 1, {"_id": str(n)}) for n in range(10, 20)]
        report = await pair.target.apply(Batch(one, upserts=states))
        assert set(report.outranked) == {str(n) for n in range(10, 20)} - {"11"}
        gone = [Absence(key, key, 2**40) for key in ("10", "11", "12", "13")]
        assert set((await pair.target.apply(Batch(one, deletes=gone))).outranked) == set()


async def test_the_holder_of_a_unique_value_may_be_a_document_that_no_driver_decodes(database, mongo_url, mongo_db):
    ddl = 'CREATE TABLE t (id int PRIMARY KEY, title text, j jsonb); INSERT INTO t VALUES (1, \'a\', \'{"$ref": "x", "$id": 1}\')'
    indexes = (Index((("title", 1),), unique=True), Index((("j", 1),), unique=True))
    async with paired(database, mongo_url, mongo_db, ddl, [entity("t", indexes=indexes)]) as pair:
        await pair.target.prepare([pair.plan("t").entity])
        await filled(pair)
        odd.replace_stored(pair.docs.t, 1, lambda stored: odd.document(stored[4:-1], field("x", odd.text(b"\xff"))))
        values = [{"title": "a"}, {"title": "b"}, {"j": {"$id": 1, "$ref": "x"}}]
        found = await pair.target.holders(pair.plan("t").entity, values)
        assert [one and one["_id"] for one in found] == [1, None, 1]
        assert found[0]["j"] == {"$ref": "x", "$id": 1}


CONFIG = """
[source]
url = "{database}"
[target]
url = "{mongo}"
database = "{name}"
[entities.t]
table = "t"
"""


@pytest.fixture
async def damaged(database, mongo_url, mongo_db, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("syncline.toml").write_text(CONFIG.format(database=database, mongo=mongo_url, name=mongo_db))
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    async with paired(database, mongo_url, mongo_db, TABLE.format(key="int"), [entity("t")]) as pair:
        await filled(pair)
        damage(pair, int)
        await strangers(pair)
        yield pair


def said(*command):
    """Run a command; its exit status and what it says in JSON."""
    found = CliRunner().invoke(app, [*command, "--json"])
    assert not isinstance(found.exception, Exception), found.output
    return found.exit_code, json.loads(found.output)


def test_commands_show_what_no_driver_decodes(damaged):
    """Case 37: no command ends with the driver's error."""
    for id_ in (10, 13, 15, 17, 20, 21, 34):
        status, found = said("explain", "t", str(id_))
        assert (status, found["equal"]) == (0, False)
        assert len(found["differences"]) in {1, 2}
    assert CliRunner().invoke(app, ["explain", "t", "15"]).exit_code == 0
    status, found = said("verify", "t", "--report", "report.jsonl")
    assert (status, found["entities"][0]["documents"]) == (1, 90 + len(IDS))
    found = said("repair", "--from", "report.jsonl", "--dry-run")[1]["repair"]
    assert found["marked"] == len(DIFFERENT) + len(UNISSUED)
    found = said("repair", "t")[1]["repair"]
    assert (found["marked"], found["leftAlone"]) == (len(DIFFERENT) + len(UNISSUED), len(IDS))
    status, found = said("doctor")
    assert status in {0, 1, 2}
    status, found = said("verify", "t")
    assert (status, found["entities"][0]["divergent"]) == (1, {"foreign": len(IDS)})
