"""What an application's writes do with the audit log, where MongoDB hinders it, or others write meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from syncline.errors import PrivilegeError
from syncline.phases.dual_write import audit
from syncline.phases.dual_write.audit import AuditedWrites
from syncline.ports.document_writes import Action, Write
from syncline.ports.documents import MarkedDocument, Noted

NOTED = Noted(str(ObjectId()), "ada", ["n"], datetime(2026, 1, 1, tzinfo=UTC))


class Log:
    """A log that takes all, or may not be written."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.entered, self.asked = error, [], 0

    async def begin(self, _intents: Any) -> None: ...

    async def end(self, _ends: Any) -> None: ...

    async def enter(self, _collection: str, noted: Sequence[Any], **_: Any) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        self.entered += noted


class Writes:
    """A document that is erased at one of the tries, and what is found noted in it at each."""

    def __init__(self, erased: Sequence[bool], noted: Sequence[Sequence[Noted] | None] = ()) -> None:
        self._erased, self._noted = [*erased], [*noted]

    async def erase(self, *_: Any, **__: Any) -> bool:
        return self._erased.pop(0)

    async def noted(self, *_: Any) -> Sequence[Noted] | None:
        return self._noted.pop(0)

    async def forget_noted(self, *_: Any) -> None: ...


def audited(writes: Any, log: Any) -> AuditedWrites:
    return AuditedWrites(writes, log, {})


async def erased(writes: Writes, log: Log) -> bool:
    made = audited(writes, log)
    done = await made.erase("tasks", Write(Action.DELETE, 1, str(ObjectId())))
    await made.close()
    return done


async def test_a_log_that_may_not_be_written_is_said_once_and_nobody_fails(monkeypatch, caplog):
    monkeypatch.setattr(audit, "_TOGETHER_SECONDS", 0)
    log = Log(PrivilegeError("not allowed on syncline_audit"))
    made = audited(Writes([]), log)
    for times in (1, 2):
        made.enter("tasks", MarkedDocument(1, NOTED.mark, 1, deleted=False, noted=(NOTED,)))
        async with asyncio.timeout(30):
            while log.asked < times or made._has_some:
                await asyncio.sleep(0)
    made.enter("tasks", MarkedDocument(1, NOTED.mark, 1, deleted=False, noted=(NOTED,)))
    await made.close()
    assert log.asked == 3
    assert [one.levelname for one in caplog.records if "not allowed" in one.message] == ["ERROR"]


async def test_when_it_is_closed_nothing_is_begun():
    log = Log()
    made = audited(Writes([]), log)
    await made.close()
    made.enter("tasks", MarkedDocument(1, NOTED.mark, 1, deleted=False, noted=(NOTED,)))
    assert made._ending is None


async def test_what_is_noted_is_in_the_log_before_its_document_is_erased():
    log = Log()
    assert await erased(Writes([False, True], [[NOTED]]), log)
    assert log.entered == [(1, NOTED)]


async def test_what_somebody_takes_out_meanwhile_keeps_no_document():
    assert await erased(Writes([False, True], [[]]), Log())


async def test_what_is_not_there_is_looked_for_once():
    assert not await erased(Writes([False], [None]), Log())


async def test_what_can_never_be_erased_is_given_up():
    assert not await erased(Writes([False, False], [[], []]), Log())
