"""Shadow reads for code that blocks: Django views, scripts."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from syncline.forking import after_fork, leave_to_parent
from syncline.phases.shadow.differences import kept
from syncline.phases.shadow.reads import ShadowReads
from syncline.phases.shadow.report import Outcome, Report
from syncline.phases.shadow.rules import Read, Rules, Standings

T = TypeVar("T")
_Job = tuple[Callable[[], object], asyncio.Future[object]]


class BlockingShadowReads:
    """As ``ShadowReads``, for calls that block their thread.

    The other side is read by daemon threads, two for each read ``at_once``; they start with the first read, in each
    process. A call whose deadline has passed keeps its thread until it returns, so that there are never more: give the
    other side's driver a time limit, too.
    """

    def __init__(
        self, rules: Rules | None = None, report: Report | None = None, *, standings: Standings | None = None
    ) -> None:
        self.rules, self.report = rules or Rules(), report or Report()
        self._standings = standings
        self._lock = threading.Lock()
        self._running: _Running | None = None
        after_fork(self._forked)

    def _forked(self) -> None:
        """Begin anew with the next read: the threads are the parent's, and one may have had the lock."""
        leave_to_parent(self._running)
        self._running, self._lock = None, threading.Lock()

    def read(self, what: Read, truth: Callable[[], T], other: Callable[[], object]) -> T:
        """Give the truth's answer; compare the other side's later.

        Raises:
            Exception: what ``truth`` raises; the other side is not read then.

        """
        answer = truth()
        if self.rules.share:
            self._started().compare(what, answer, truth, other)
        return answer

    def close(self, patience: float = 0.0) -> None:
        """Start nothing new; wait so many seconds for what is under way."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.close(patience)

    def _started(self) -> _Running:
        with self._lock:
            if self._running is None:
                self._running = _Running(ShadowReads(self.rules, self.report, standings=self._standings))
            return self._running


class _Running:
    """One loop and the threads that read for it."""

    def __init__(self, reads: ShadowReads) -> None:
        self._reads = reads
        self._loop = asyncio.new_event_loop()
        self._work: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._busy, self._most = 0, 2 * reads.rules.at_once
        for _ in range(self._most):
            threading.Thread(target=self._worker, name="syncline-shadow", daemon=True).start()
        threading.Thread(target=self._run, name="syncline-shadow-loop", daemon=True).start()

    def compare(self, what: Read, answer: object, truth: Callable[[], object], other: Callable[[], object]) -> None:
        if self._reads.chosen():
            given = what, kept(answer), self._called(truth), self._called(other)
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(self._compare, *given)

    def close(self, patience: float) -> None:
        asyncio.run_coroutine_threadsafe(self._reads.close(patience), self._loop).result()
        for _ in range(self._most):
            self._work.put(None)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _compare(self, what: Read, answer: object, truth: Any, other: Any) -> None:
        if self._busy >= self._most:  # calls that are over their deadline and do not return
            self._reads.report.add(what, Outcome.SHED)
        else:
            self._reads.begin(what, answer, truth, other)

    def _called(self, call: Callable[[], object]) -> Callable[[], Awaitable[object]]:
        def begin() -> Awaitable[object]:
            done = self._loop.create_future()
            self._busy += 1
            self._work.put((call, done))
            return done

        return begin

    def _worker(self) -> None:
        while (job := self._work.get()) is not None:
            call, done = job
            found, error = None, None
            try:
                found = call()
            except Exception as raised:  # noqa: BLE001  it is raised where the answer is awaited
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(self._ended, done, found, error)

    def _ended(self, done: asyncio.Future[object], found: object, error: Exception | None) -> None:
        self._busy -= 1
        if done.cancelled():
            return
        if error is None:
            done.set_result(found)
        else:
            done.set_exception(error)
