"""Shadow reads: the request gets the truth at once, and what differs is looked at again before it is called a mismatch."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import dataclasses
import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from syncline.errors import ConfigError
from syncline.phases.shadow import (
    BlockingShadowReads,
    Outcome,
    Read,
    Report,
    Rules,
    ShadowReads,
    Standing,
)
from syncline.phases.shadow.differences import differences, same

GET = Read("tasks", "get", "7")
SOON = Rules(looks=(0.0, 0.0))


class Side:
    """Answers one thing after the other; the last one for ever."""

    def __init__(self, *answers: Any, wait: asyncio.Event | None = None) -> None:
        self.answers, self.asked, self._wait = list(answers), 0, wait

    async def __call__(self) -> Any:
        self.asked += 1
        if self._wait is not None:
            await self._wait.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def outcome(truth: Side, other: Side, rules: Rules = SOON, **given: Any) -> tuple[Outcome, Report]:
    reads = ShadowReads(rules, **given)
    await reads.read(GET, truth, other)
    await reads.close(10)
    ((found, count),) = reads.report.totals()["tasks", "get"].outcomes.items()
    assert count == 1
    return found, reads.report


async def test_the_same_answer_is_equal_and_each_side_was_asked_once():
    truth, other = Side({"a": 1}), Side({"a": 1})
    assert (await outcome(truth, other))[0] is Outcome.EQUAL
    assert (truth.asked, other.asked) == (1, 1)


async def test_the_answer_is_there_before_the_other_side_is_asked():
    never = asyncio.Event()
    other = Side(1, wait=never)
    reads = ShadowReads(SOON)
    assert await reads.read(GET, Side(1), other) == 1
    assert other.asked == 0
    await reads.close()
    assert reads.report.totals()["tasks", "get"].outcomes == {Outcome.SHED: 1}


async def test_a_request_that_is_cancelled_afterwards_does_not_end_the_comparison():
    reads, gone = ShadowReads(SOON), asyncio.Event()

    async def request() -> None:
        await reads.read(GET, Side(1), Side(1, wait=gone))
        await asyncio.sleep(60)

    task = asyncio.create_task(request())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    gone.set()
    await reads.close(10)
    assert reads.report.totals()["tasks", "get"].outcomes == {Outcome.EQUAL: 1}


async def test_what_the_truth_raises_is_the_requests_and_nothing_is_compared():
    reads, other = ShadowReads(SOON), Side(1)
    with pytest.raises(KeyError):
        await reads.read(GET, Side(KeyError("gone")), other)
    await reads.close(10)
    assert (other.asked, reads.report.totals()) == (0, {})


async def test_the_other_side_takes_no_part_in_the_requests_context():
    transaction: contextvars.ContextVar[str] = contextvars.ContextVar("transaction", default="none")
    transaction.set("the request's")
    seen = []

    async def other() -> None:
        seen.append(transaction.get())

    reads = ShadowReads(SOON)
    await reads.read(GET, Side(None), other)
    await reads.close(10)
    assert seen == ["none"]


async def test_a_side_that_was_a_moment_behind_has_caught_up():
    assert (await outcome(Side(2), Side(1, 2)))[0] is Outcome.CAUGHT_UP


async def test_so_has_one_that_is_always_a_moment_behind_a_record_that_is_written_all_the_time():
    assert (await outcome(Side(3, 4, 5), Side(2, 3, 4)))[0] is Outcome.CAUGHT_UP


@dataclasses.dataclass
class Task:
    labels: Any


@pytest.mark.parametrize("answer", [{"a": {"l": []}}, [{"l": []}], Task([]), {"l": {1}, "b": bytearray(b"1")}])
async def test_an_answer_is_compared_as_it_was_before_the_request_changed_it(answer):
    reads = ShadowReads(SOON)
    found = await reads.read(GET, Side(answer), Side(copy.deepcopy(answer)))
    match found:
        case {"a": inner}:
            inner["l"].append(1)
        case [first]:
            first["l"] = None
        case Task():
            found.labels = None
        case {"l": values, "b": content}:
            values.clear()
            content.clear()
    await reads.close(10)
    assert reads.report.totals()["tasks", "get"].outcomes == {Outcome.EQUAL: 1}


async def test_a_default_that_the_request_fills_in_hides_no_difference():
    reads = ShadowReads(SOON)
    found = await reads.read(GET, Side({"a": 1}, {"a": 1}), Side({"a": 1, "labels": []}))
    found.setdefault("labels", [])
    await reads.close(10)
    assert reads.report.totals()["tasks", "get"].outcomes == {Outcome.MISMATCH: 1}


class Incomparable:
    def __eq__(self, other: object) -> bool:
        raise ArithmeticError(f"nobody knows whether {other} is the same")

    __hash__ = None


async def test_answers_that_cannot_be_compared_are_an_error_that_is_counted_and_told(caplog):
    found, report = await outcome(Side(Incomparable()), Side(Incomparable()))
    assert found is Outcome.ERROR
    assert not report.totals()["tasks", "get"].clean
    assert "answers of tasks.get cannot be compared: ArithmeticError" in caplog.text


async def test_an_answer_that_cannot_be_copied_is_the_requests_all_the_same():
    endless: list[Any] = []
    endless.append(endless)
    reads = ShadowReads(SOON)
    assert await reads.read(GET, Side(endless), Side(1)) is endless
    await reads.close()


async def test_two_answers_that_hold_still_and_differ_are_a_mismatch_that_says_where():
    found, report = await outcome(Side({"a": 1, "b": [1, 2]}), Side({"a": 1, "b": [1, 3]}))
    assert found is Outcome.MISMATCH
    (mismatch,) = report.mismatches
    assert str(mismatch) == "tasks.get(7): b[1]: 2, the other side: 3"
    assert not report.totals()["tasks", "get"].clean


@pytest.mark.parametrize(("truth", "other"), [((1, 2, 3), (9,)), ((1,), (7, 8, 9)), ((1, OSError()), (9,))])
async def test_what_does_not_hold_still_proves_nothing(truth, other):
    found, report = await outcome(Side(*truth), Side(*other), Rules(looks=(0.0, 0.0)) if len(truth) > 2 else SOON)
    assert found is Outcome.UNSETTLED
    assert not report.mismatches
    assert not report.totals()["tasks", "get"].clean


class Known:
    def __init__(self, *standing: Any) -> None:
        self.given = Standing(*standing)

    async def standing(self, collection: str, key: str) -> Standing:
        assert (collection, key) == ("tasks", "7")
        return self.given


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        ((5, 3, False), "the truth is newer: version 5, the other side has version 3"),
        ((5, None, False), "the truth is newer: version 5, the other side has nothing"),
        ((None, 3, False), "the other side is newer: version 3, the truth has nothing"),
        ((2, 3, False), "the other side is newer: version 3, the truth has version 2"),
        ((3, 3, False), "both sides have version 3"),
    ],
)
async def test_a_mismatch_says_which_side_is_newer(standing, said):
    found, report = await outcome(Side(1), Side(2), standings=Known(*standing))
    assert (found, report.mismatches[0].standing) == (Outcome.MISMATCH, said)


async def test_a_record_whose_change_is_under_way_is_not_called_a_mismatch():
    assert (await outcome(Side(1), Side(2), standings=Known(5, 3, True)))[0] is Outcome.UNSETTLED


async def test_who_cannot_tell_whether_a_change_is_under_way_proves_nothing():
    class Away:
        async def standing(self, collection: str, key: str) -> Standing:
            raise OSError("no route")

    assert (await outcome(Side(1), Side(2), standings=Away()))[0] is Outcome.UNSETTLED


@pytest.mark.parametrize(("error", "expected"), [(OSError("away"), Outcome.ERROR), (TimeoutError(), Outcome.TIMEOUT)])
async def test_the_other_sides_failure_is_counted_and_it_is_left_alone_for_a_while(error, expected):
    reads, other = ShadowReads(SOON), Side(error)
    assert await reads.read(GET, Side(1), other) == 1
    await asyncio.sleep(0.01)
    assert await reads.read(GET, Side(1), other) == 1
    await reads.close(10)
    assert reads.report.totals()["tasks", "get"].outcomes == {expected: 1, Outcome.SHED: 1}
    assert other.asked == 1


async def test_a_read_that_takes_longer_than_the_deadline_is_given_up():
    rules = Rules(deadline=timedelta(milliseconds=10))
    assert (await outcome(Side(1), Side(1, wait=asyncio.Event()), rules))[0] is Outcome.TIMEOUT


async def test_no_more_than_so_many_are_under_way():
    hold = asyncio.Event()
    reads, other = ShadowReads(Rules(at_once=3)), Side(1, wait=hold)
    for _ in range(10):
        assert await reads.read(GET, Side(1), other) == 1
    await asyncio.sleep(0)
    assert other.asked == 3
    hold.set()
    await reads.close(10)
    assert reads.report.totals()["tasks", "get"].outcomes == {Outcome.EQUAL: 3, Outcome.SHED: 7}


async def test_no_more_than_so_many_differences_wait_for_another_look():
    reads = ShadowReads(Rules(looks=(30.0,), looking=2))
    for _ in range(5):
        await reads.read(GET, Side(1), Side(2))
        await asyncio.sleep(0.001)
    assert reads.report.totals()["tasks", "get"].outcomes == {Outcome.UNSETTLED: 3}
    await reads.close()
    assert reads.report.totals()["tasks", "get"].outcomes == {Outcome.UNSETTLED: 3, Outcome.SHED: 2}


async def test_a_share_of_the_reads_is_compared():
    chances = iter([0.1, 0.49, 0.5, 0.9])
    reads = ShadowReads(Rules(share=0.5), chance=lambda: next(chances))
    for _ in range(4):
        await reads.read(GET, Side(1), Side(1))
    await reads.close(10)
    assert reads.report.totals()["tasks", "get"].outcomes == {Outcome.EQUAL: 2}


@pytest.mark.parametrize("wrong", [{"share": 1.1}, {"share": -0.1}, {"at_once": 0}, {"looking": 0}, {"looks": ()}])
def test_rules_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError):
        Rules(**wrong)


def test_counts_are_given_out_once_and_may_come_back():
    report = Report()
    report.add(GET, Outcome.EQUAL)
    taken = report.take()
    assert (taken, report.take()) == (Counter({("tasks", "get", Outcome.EQUAL): 1}), Counter())
    report.give_back(taken)
    report.add(GET, Outcome.EQUAL)
    assert report.take() == {("tasks", "get", Outcome.EQUAL): 2}
    assert report.totals()["tasks", "get"].compared == 2


# What is the same, and what is said of what is not ---------------------------------------------------------------------


@dataclasses.dataclass
class Task:
    id: int
    tags: list[str]


@pytest.mark.parametrize(
    ("truth", "other", "paths"),
    [
        (1, 1.0, []),
        (True, 1, [""]),
        (float("nan"), float("nan"), []),
        ([1, 2], (1, 2), []),
        ([1, 2], [2, 1], ["[0]", "[1]"]),
        ([1], [1, 2], [""]),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b"]),
        ({"a": None}, {}, ["a"]),
        (Task(1, ["x"]), Task(1, ["y"]), ["tags[0]"]),
        (Task(1, ["x"]), {"id": 1, "tags": ["x"]}, []),
        (None, {"id": 1}, [""]),
    ],
)
def test_differences_are_found_by_field(truth, other, paths):
    assert [one.path for one in differences(truth, other)] == paths
    assert same(truth, other) == (not paths)


def test_masked_values_are_not_shown_wherever_they_stand():
    truth = {"users": [{"email": "a@example.com", "age": 1, "mail": 2}], "tokens": {"x": "secret"}}
    other = {"users": [{"email": "b@example.com", "age": 2}], "tokens": {"x": "hidden"}}
    text = " ".join(map(str, differences(truth, other, ["users.email", "tokens"])))
    assert "example.com" not in text
    assert "secret" not in text
    assert "hidden" not in text
    assert "users[0].email: (str, masked)" in text
    assert "users[0].age: 1, the other side: 2" in text
    assert "users[0].mail: 2, the other side: missing" in text


SECRET = {"name": "Ada", "password_hash": "x1y2", "address": {"street": "x1y2", "town": "Bern"}}


@pytest.mark.parametrize(
    ("truth", "other"),
    [
        (SECRET, None),
        (None, SECRET),
        ([SECRET], [None]),
        ([SECRET], [{**SECRET, "password_hash": "x1y2z"}]),
        ({"name": "Ada"}, SECRET),
        ({**SECRET, "address": [{"street": "x1y2"}]}, {**SECRET, "address": 5}),
    ],
)
def test_masked_values_are_not_shown_where_one_side_has_no_record(truth, other):
    text = " ".join(map(str, differences(truth, other, ["password_hash", "address.street"])))
    assert "x1y2" not in text
    assert "masked" in text


def test_long_values_and_long_lists_of_differences_are_cut():
    assert str(differences("a" * 1000, "b")[0]).endswith("… (1002 characters), the other side: 'b'")
    assert len(differences(list(range(100)), list(range(1, 101)))) == 20


# Code that blocks ------------------------------------------------------------------------------------------------------


def settled(reads: BlockingShadowReads, count: int) -> dict[Outcome, int]:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        found = reads.report.totals().get(("tasks", "get"))
        if found is not None and sum(found.outcomes.values()) == count:
            return dict(found.outcomes)
        time.sleep(0.005)
    raise AssertionError(reads.report.totals())


def test_blocking_reads_are_compared_by_threads():
    reads = BlockingShadowReads(SOON)
    asked = []

    def other() -> int:
        asked.append(threading.current_thread().name)
        return 1

    assert reads.read(GET, lambda: 1, other) == 1
    assert settled(reads, 1) == {Outcome.EQUAL: 1}
    assert reads.read(GET, lambda: 2, other) == 2
    assert settled(reads, 2) == {Outcome.EQUAL: 1, Outcome.MISMATCH: 1}
    assert set(asked) == {"syncline-shadow"}
    before = threading.active_count()
    reads.close(5)
    until = time.monotonic() + 20
    while threading.active_count() >= before and time.monotonic() < until:
        time.sleep(0.005)
    assert threading.active_count() < before


def test_a_blocking_request_may_change_its_answer():
    reads, changed = BlockingShadowReads(SOON), threading.Event()

    def other() -> dict[str, Any]:
        assert changed.wait(20)
        return {"a": 1, "labels": []}

    reads.read(GET, lambda: {"a": 1}, other).setdefault("labels", [])
    changed.set()
    assert settled(reads, 1) == {Outcome.MISMATCH: 1}
    reads.close(5)


def test_calls_that_do_not_return_keep_their_threads_and_the_rest_is_shed():
    rules = Rules(at_once=1, deadline=timedelta(milliseconds=1), rest=timedelta(0), looks=(0.0,))
    reads, hold = BlockingShadowReads(rules), threading.Event()
    for count in range(1, 5):
        assert reads.read(GET, lambda: 1, hold.wait) == 1
        settled(reads, count)
    assert settled(reads, 4) == {Outcome.TIMEOUT: 2, Outcome.SHED: 2}
    hold.set()
    reads.close(5)


def test_nothing_is_started_where_nothing_is_read():
    reads = BlockingShadowReads(Rules(share=0))
    before = threading.active_count()
    assert reads.read(GET, lambda: 1, lambda: 2) == 1
    assert threading.active_count() == before
    assert reads.report.totals() == {}
