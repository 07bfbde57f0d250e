"""The inline part of a dual write: rows within the call, and whatever happens to it, the mark stays for the worker."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from bson import ObjectId
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import AutoReconnect, BulkWriteError

from syncline.engines.postgres.documents.one_trip import OneTrip
from syncline.errors import RefusedDocumentError, SourceUnavailableError
from syncline.ports.document_writes import Action, Write
from syncline.ports.documents import Fate
from syncline.relay.documents.recovery import forget, restored
from tests.dual_write import dual_stage, unmarked, waiting  # noqa: F401  fixtures
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS

NOBODY = "postgresql://nobody@127.0.0.1:9/none"


async def test_a_call_leaves_rows_and_no_mark_for_each_kind_of_write(stage):
    inline, id_ = stage.inline(), ObjectId()
    number = await inline.begin()
    for write in (
        stage.written(Action.CREATE, id_, title="a", labels=["x", "y"], more={"z": 1}),
        stage.written(Action.UPDATE, id_, title="b", labels=["y"]),
    ):
        document = await write
        assert (await inline.carry("tasks", [document], number))[document.mark].fate is Fate.APPLIED
        assert await stage.there() == await stage.documents()
    gone = await stage.written(Action.DELETE, id_)
    assert (await inline.carry("tasks", [gone], number))[gone.mark].fate is Fate.APPLIED
    assert await stage.there() == {} == await stage.documents()
    await unmarked(stage)
    assert await stage.database["tasks"].count_documents({}) == 0  # the tombstone, too


async def test_a_create_of_what_is_there_and_others_of_what_is_not_write_nothing(stage):
    id_ = ObjectId()
    assert await stage.write(Action.UPDATE, id_, title="a") is None
    assert await stage.write(Action.DELETE, id_) is None
    assert await stage.database["tasks"].count_documents({}) == 0
    first = await stage.written(Action.CREATE, id_, title="a", n=1)
    assert await stage.write(Action.CREATE, id_, title="b") is None
    [kept] = await stage.tasks.find({}).to_list()
    assert kept == {"_id": id_, "title": "a", "n": 1}
    await stage.written(Action.DELETE, id_)
    assert await stage.write(Action.UPDATE, id_, title="c") is None, "a tombstone is no document"
    again = await stage.written(Action.CREATE, id_, title="d")
    assert again.version > first.version
    assert await stage.documents() == {id_: {"_id": id_, "title": "d"}}


async def test_what_mongodb_does_not_take_is_refused_by_name_and_nothing_is_written(stage):
    await stage.tasks.create_index("title", unique=True, partialFilterExpression={"title": {"$exists": True}})
    await stage.written(Action.CREATE, ObjectId(), title="a")
    for fields, said in (({"title": "a"}, "title_1"), ({"title": object()}, "BSON"), ({"n": 2**70}, "BSON")):
        with pytest.raises(RefusedDocumentError, match=said):
            await stage.write(Action.CREATE, ObjectId(), **fields)
    assert len(await stage.documents()) == 1


async def test_a_mongodb_that_does_not_answer_is_said_to_be_unavailable(stage, monkeypatch):
    async def cut_off(*_: Any, **__: Any) -> None:
        raise AutoReconnect("connection closed")

    monkeypatch.setattr(AsyncDatabase, "command", cut_off)
    with pytest.raises(SourceUnavailableError, match="connection closed"):
        await stage.write(Action.CREATE, ObjectId(), title="a")


@pytest.mark.parametrize("code", [64, 79, 11601])
async def test_a_write_that_a_majority_may_lack_is_not_said_to_be_refused(stage, monkeypatch, code):
    concern = {"code": code, "errmsg": "waiting for replication was cut off"}
    reply = {"ok": 1, "value": None, "writeConcernError": concern}

    async def late(*_: Any, **__: Any) -> Any:
        return reply

    async def bulk(*_: Any, **__: Any) -> Any:
        raise BulkWriteError({"writeErrors": [], "writeConcernErrors": [concern], "nMatched": 0, "nUpserted": 1})

    monkeypatch.setattr(AsyncDatabase, "command", late)
    monkeypatch.setattr(AsyncCollection, "bulk_write", bulk)
    write = Write(Action.CREATE, ObjectId(), stage.writes.new_mark(), {"title": "a"})
    with pytest.raises(SourceUnavailableError, match="cut off"):
        await stage.writes.write("tasks", write)
    with pytest.raises(SourceUnavailableError):
        await stage.writes.write_many("tasks", [write])


async def test_of_many_writes_those_that_the_server_broke_off_are_not_said_to_be_refused(stage, monkeypatch):
    broken = {"index": 0, "code": 11601, "errmsg": "operation was interrupted"}

    async def bulk(*_: Any, **__: Any) -> Any:
        raise BulkWriteError({"writeErrors": [broken], "writeConcernErrors": [], "nMatched": 0, "nUpserted": 0})

    monkeypatch.setattr(AsyncCollection, "bulk_write", bulk)
    write = Write(Action.CREATE, ObjectId(), stage.writes.new_mark(), {"title": "a"})
    [told] = await stage.writes.write_many("tasks", [write])
    assert isinstance(told, SourceUnavailableError)


async def test_a_bulk_tells_each_write_apart(stage):
    there, gone = ObjectId(), ObjectId()
    await stage.written(Action.CREATE, there, title="there")
    new, twin = ObjectId(), ObjectId()
    await stage.tasks.create_index("title", unique=True, partialFilterExpression={"title": {"$exists": True}})
    asked: list[tuple[Action, ObjectId, dict[str, Any]]] = [
        (Action.CREATE, new, {"title": "new"}),
        (Action.CREATE, there, {"title": "other"}),
        (Action.CREATE, twin, {"title": "there"}),
        (Action.UPDATE, gone, {"n": 1}),
        (Action.DELETE, ObjectId(), {}),
    ]
    writes = [Write(action, id_, stage.writes.new_mark(), fields) for action, id_, fields in asked]
    done, *others = await stage.writes.write_many("tasks", writes)
    assert done.document.id == new
    assert others[0] is None
    assert isinstance(others[1], RefusedDocumentError)
    assert others[2:] == [None, None]


async def test_a_late_postgresql_costs_the_deadline_once_and_what_was_begun_goes_on(stage):
    inline = stage.inline(deadline=0.2)
    number = await inline.begin()
    assert inline.answers
    document = await stage.written(Action.CREATE, ObjectId(), title="a")
    with psycopg.connect(stage.url) as holding:
        holding.execute("SELECT pg_advisory_xact_lock(1398361668, 1)")
        assert await inline.carry("tasks", [document], number) == {}
        assert not inline.answers
        assert await stage.marks() == 1
    await unmarked(stage)  # the transaction that nobody waits for
    assert await stage.there() == await stage.documents()


@pytest.mark.parametrize("after", [0, 0.001, 0.003, 0.01])
async def test_a_cancelled_call_leaves_the_mark_or_its_rows(stage, after):
    inline = stage.inline()
    number = await inline.begin()
    document = await stage.written(Action.CREATE, ObjectId(), title="a")
    call = asyncio.create_task(inline.carry("tasks", [document], number))
    await asyncio.sleep(after)
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call
    await inline.close()  # as when the process ends
    await stage.pump().walk()
    assert await stage.marks() == 0
    assert await stage.there() == await stage.documents()


async def test_without_postgresql_nothing_is_asked_and_the_worker_has_it(stage):
    inline = stage.inline(NOBODY)
    number = await inline.begin()
    assert not inline.answers
    document = await stage.written(Action.CREATE, ObjectId(), title="a")
    assert await inline.carry("tasks", [document], number) == {}
    assert (await stage.pump().walk()).applied == 1


async def test_under_an_old_number_nothing_is_written_and_the_next_call_has_the_new_one(stage):
    inline = stage.inline()
    number = await inline.begin()
    document = await stage.written(Action.CREATE, ObjectId(), title="a")
    await restored(stage.source, stage.rows(), ["tasks"])
    assert (await inline.carry("tasks", [document], number))[document.mark].fate is Fate.LATE
    assert await stage.there() == {}
    number = await inline.begin()
    document = await stage.written(Action.UPDATE, document.id, title="b")
    assert (await inline.carry("tasks", [document], number))[document.mark].fate is Fate.APPLIED


@pytest.mark.parametrize("last", [Action.UPDATE, Action.DELETE])
async def test_of_a_document_that_was_read_twice_the_mark_goes_that_it_has(stage, last):
    id_ = ObjectId()
    old, new = await stage.written(Action.CREATE, id_, n=1), await stage.written(last, id_)
    other = await stage.written(Action.CREATE, ObjectId(), n=1)
    await stage.source.clear("tasks", [new, old, other])
    assert await stage.marks() == 0


async def test_in_one_round_trip_a_late_state_is_not_written_over_a_newer_one(stage):
    id_ = ObjectId()
    old, new = await stage.written(Action.CREATE, id_, n=1), await stage.written(Action.UPDATE, id_, n=2)
    rows = stage.rows()
    rows.at_once, number = True, await rows.number()
    (first,), (again,), (late,) = [await rows.put("tasks", [one], number) for one in (new, new, old)]
    assert (first.fate, first.already) == (Fate.APPLIED, False)
    assert (again.fate, again.already) == (Fate.APPLIED, True)
    assert (late.fate, late.version) == (Fate.REFUSED, new.version)
    assert (await stage.there())[id_]["n"] == 2


async def test_in_one_round_trip_what_is_overtaken_while_it_waits_is_not_written(stage):
    id_ = ObjectId()
    old, new = await stage.written(Action.CREATE, id_, n=1), await stage.written(Action.UPDATE, id_, n=2)
    rows = stage.rows()
    rows.at_once, number = True, await rows.number()
    await rows.put("tasks", [old], number)
    async with await psycopg.AsyncConnection.connect(stage.url) as other:
        newer = "UPDATE syncline_documents.key_version SET version = %s, mark = %s"
        await other.execute(newer, (new.version, new.mark))
        await other.execute("UPDATE postgres_tasks SET n = 2")
        late = asyncio.create_task(rows.put("tasks", [old], number))
        await waiting(stage, 1)
    (outcome,) = await late
    assert (outcome.fate, outcome.version) == (Fate.REFUSED, new.version)
    assert (await stage.there())[id_]["n"] == 2


async def test_of_one_trip_an_empty_text_is_not_told_as_null(stage):
    trip = OneTrip(await stage.rows().session())
    assert await trip.run([("VALUES (NULL::text), ('')", ())]) == [[None, ""]]


async def test_what_was_deleted_and_forgotten_since_does_not_come_back_under_a_later_number(stage):
    inline, rows = stage.inline(), stage.rows()
    number = await inline.begin()
    late = await stage.written(Action.CREATE, ObjectId(), title="a")  # MongoDB's answer takes its time
    await stage.written(Action.DELETE, late.id)
    await stage.pump().walk()
    assert await forget(stage.source, rows, "tasks") == 1
    other = await stage.written(Action.CREATE, ObjectId(), title="b")
    assert (await inline.carry("tasks", [other], number))[other.mark].fate is Fate.LATE
    assert await inline.begin() != number  # another call has read the new one
    assert (await inline.carry("tasks", [late], number))[late.mark].fate is Fate.LATE
    assert await stage.there() == {}


async def test_writes_of_one_key_together_end_with_the_last(stage):
    inline, id_ = stage.inline(), ObjectId()
    number = await inline.begin()
    documents = [await stage.written(Action.CREATE, id_, title="0")]
    documents += [await stage.written(Action.UPDATE, id_, title=str(n)) for n in range(1, 8)]
    calls = [inline.carry("tasks", [one], number) for one in reversed(documents)]
    await asyncio.gather(*calls)
    assert await stage.there() == {id_: {"_id": id_, "title": "7"}}
    await unmarked(stage)


async def test_attempts_bound_rejections_and_the_older_row_says_so(stage):
    first, second = ObjectId(), ObjectId()
    await stage.written(Action.CREATE, first, title="taken")
    await stage.written(Action.CREATE, second, title="free")
    pump = stage.pump(attempts=3)
    await pump.walk()
    await stage.written(Action.UPDATE, second, title="taken")
    states = []
    for _ in range(5):
        await pump.walk()
        states += stage.asked("SELECT sync_status, sync_error FROM postgres_tasks WHERE mongo_id = %s", str(second))
    assert [state for state, _ in states] == ["PENDING", "PENDING", "FAILED", "FAILED", "FAILED"]
    assert "duplicate key" in states[-1][1]
    assert [(one.attempts, one.given_up) for one in stage.rejections] == [(1, False), (2, False), (3, True)]
    assert await stage.marks() == 1  # it waits for somebody, and is no less marked
    await stage.written(Action.UPDATE, second, title="other")
    await pump.walk()
    assert stage.asked("SELECT sync_status, sync_error FROM postgres_tasks WHERE mongo_id = %s", str(second)) == [
        ("SYNCED", None)
    ]
    assert stage.asked("SELECT attempts FROM syncline_documents.settled_failure") == [(3,)]
    assert stage.asked("SELECT count(*) FROM syncline_documents.rejected") == [(0,)]


async def test_a_rejected_document_waits_longer_each_time(stage):
    await stage.written(Action.CREATE, ObjectId(), title="taken")
    await stage.written(Action.CREATE, ObjectId(), title="taken")
    pump = stage.pump(attempts=None, delay=timedelta(hours=1), longest=timedelta(hours=3))
    waits = []
    for _ in range(4):
        await pump.walk()
        [(hours,)] = stage.asked(
            "SELECT round(extract(epoch FROM next_at - last_at) / 3600) FROM syncline_documents.rejected"
        )
        waits.append(int(hours))
        await pump.walk()  # too early
        with psycopg.connect(stage.url) as connection:
            connection.execute("UPDATE syncline_documents.rejected SET next_at = now()")
    assert waits == [1, 2, 3, 3]
    assert len(stage.rejections) == 4


async def test_a_rejection_that_comes_late_says_nothing_of_a_newer_row(stage):
    id_ = ObjectId()
    old = await stage.written(Action.CREATE, id_, n=2**40)  # no integer of the column's; the rest has it
    await stage.written(Action.CREATE, ObjectId(), title="taken")
    rows = stage.rows()
    number = await rows.number()
    await stage.pump().walk()
    late = await stage.written(Action.UPDATE, id_, title="taken")
    await stage.written(Action.UPDATE, id_, title="free")
    await stage.pump().walk()
    [outcome] = await rows.put("tasks", [late], number)
    assert outcome.fate is Fate.REFUSED
    assert old.version < outcome.version
    assert stage.asked("SELECT count(*) FROM syncline_documents.rejected") == [(0,)]
