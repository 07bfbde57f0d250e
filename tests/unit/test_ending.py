"""Tasks that lose cancellations end all the same."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from syncline import ending
from syncline.ending import Group, end, run


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(ending, "AGAIN_SECONDS", 0.01)


async def loses(times: int, began: asyncio.Event | None = None) -> None:
    """Work for long, and lose so many cancellations, as a driver does whose reply comes at the same moment."""
    while True:
        try:
            if began is not None:
                began.set()
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            if not times:
                raise
            times -= 1
        else:
            return


async def fails(began: asyncio.Event) -> None:
    await began.wait()
    raise ValueError("the session is over")


async def started(work):
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    return task


async def test_a_task_that_loses_cancellations_is_cancelled_until_it_has_ended():
    task = await started(loses(3))
    assert await end(task, seconds=30) == set()
    assert task.cancelled()


async def test_what_never_ends_is_left_behind_after_the_deadline():
    task = await started(loses(20))
    assert await end(task, seconds=0.05) == {task}
    assert await end(task, seconds=30) == set()


async def test_what_has_ended_is_not_touched():
    task = await started(asyncio.sleep(0, "result"))
    await task
    assert await end(task, seconds=30) == set()
    assert task.result() == "result"


async def test_a_group_that_is_cancelled_ends_though_a_task_loses_it():
    losers = []

    async def together():
        async with Group() as tasks:
            losers.extend(tasks.create_task(loses(times)) for times in (2, 0))

    task = await started(together())
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait({task}, timeout=30)
    assert task.cancelled()
    assert [one.cancelled() for one in losers] == [True, True]


async def test_a_group_ends_when_a_task_fails_though_another_loses_its_cancellation():
    began, losers = asyncio.Event(), []

    async def together():
        async with Group() as tasks:
            losers.append(tasks.create_task(loses(2, began)))
            tasks.create_task(fails(began))

    task = await started(together())
    await asyncio.wait({task}, timeout=30)
    assert isinstance(task.exception(), ExceptionGroup)
    assert losers[0].cancelled()


async def test_a_group_ends_when_a_task_fails_though_its_body_loses_the_cancellation():
    began = asyncio.Event()

    async def together():
        async with Group() as tasks:
            tasks.create_task(fails(began))
            await loses(2, began)

    task = await started(together())
    await asyncio.wait({task}, timeout=30)
    assert isinstance(task.exception(), ExceptionGroup)
    assert task.cancelling() == 0, "as TaskGroup leaves it"


async def test_a_group_whose_tasks_end_well_cancels_nobody():
    async with Group() as tasks:
        one = tasks.create_task(asyncio.sleep(0.05, 1))
    await asyncio.sleep(0.05)
    assert one.result() == 1


def test_a_thread_that_is_left_behind_is_not_waited_for():
    leave, left = threading.Event(), []

    async def work():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.to_thread(lambda: left.append(leave.wait(10)))

    run(work())

    assert not left
    leave.set()


def test_what_a_call_on_a_thread_raises_reaches_its_caller():
    async def work():
        return await asyncio.to_thread(int, "7"), await asyncio.to_thread(int, "seven")

    with pytest.raises(ValueError, match="seven"):
        run(work())
