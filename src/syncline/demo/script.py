"""The demo's script: what happens, in which order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable

from syncline.demo.display import Display
from syncline.demo.environment import Environment
from syncline.demo.formatting import duration
from syncline.demo.picture import Picture, WorkerState
from syncline.demo.processes import Processes
from syncline.demo.sampler import Sampler, opened_sampler
from syncline.errors import SynclineError

BURSTS = (0.2, 0.45)
"""When, as parts of the traffic's time; the worker is killed in the last one."""
DEAD_SECONDS = 1.0
"""How long there is no worker at all."""
LISTEN_SECONDS = 0.02
SAMPLE_SECONDS = 0.25
PATIENCE_SECONDS = 60.0


class Script:
    """One run of the demo in its environment: ``perform``, ``drain``, and ``go_on`` for who wants to look around."""

    def __init__(self, environment: Environment, display: Display, *, seconds: float) -> None:
        self._environment = environment
        self._display = display
        self._seconds = seconds
        self.picture = Picture(time.monotonic(), names={e.collection: e.name for e in environment.settings.entities})
        self._processes = Processes(environment, self.picture)
        self._sampled = 0

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Watch and draw during a block; end every process of ours after it."""
        try:
            async with opened_sampler(self._environment.settings) as sampler, asyncio.TaskGroup() as tasks:
                watching = [tasks.create_task(self._sample(sampler)), tasks.create_task(self._watch())]
                yield
                for task in watching:
                    task.cancel()
        except* SynclineError as group:
            raise _first(group) from None
        finally:
            self._processes.end()

    async def perform(self) -> None:
        """Traffic, bursts, and a worker that is killed in the middle."""
        processes, picture, scenario = self._processes, self.picture, self._environment.scenario
        processes.start_services()
        processes.start_worker()
        await self._until(lambda: processes.in_charge, "the worker did not get its lanes")
        await self._until(lambda: processes.serving, "the application does not answer")
        processes.start_traffic(
            self._seconds, bursts=[part * self._seconds for part in BURSTS], rows=scenario.burst_rows
        )
        picture.note(f"traffic from {scenario.who}, the worker applies it")
        await self._until(lambda: processes.bursts == len(BURSTS) or processes.stopped, "the traffic did not get on")
        await self._kill_the_worker()
        await self._until(lambda: processes.stopped, "the traffic did not stop")

    async def _kill_the_worker(self) -> None:
        processes, picture = self._processes, self.picture
        process = processes.kill_worker()
        picture.killed = time.monotonic()
        picture.note(f"kill -9 {process}: the worker dies in the middle of the burst")
        await asyncio.sleep(DEAD_SECONDS)
        processes.start_worker()
        picture.worker = WorkerState.WAITING
        picture.note("a new worker starts and waits for the dead one's leases to run out")
        await self._until(lambda: processes.in_charge, "the new worker got no lanes")
        took = time.monotonic() - picture.killed
        picture.note(f"it has taken over, {duration(took)} after the kill")
        few = self._environment.scenario.burst_rows // 100
        await self._until(lambda: picture.sample.queue < few, "the queue did not drain")
        picture.recovered = time.monotonic()

    async def drain(self) -> None:
        """Wait until nothing is on its way any more."""
        self.picture.note("the traffic has stopped, what is left is applied")
        seen = self._sampled + 1  # the sample under way may have begun earlier
        await self._until(lambda: self._sampled > seen and self.picture.sample.queue == 0, "the queue did not drain")

    async def go_on(self) -> None:
        """Go on with calm traffic until Ctrl-C; whoever kills the worker meanwhile gets another one."""
        self._processes.start_traffic(0)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        try:
            while not stop.is_set():
                if self._processes.revive_worker():
                    self.picture.note("the worker was gone: a new one starts")
                self._processes.check_traffic()
                await asyncio.sleep(LISTEN_SECONDS)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def _sample(self, sampler: Sampler) -> None:
        while True:
            self.picture.sample = await sampler.look()
            self._sampled += 1
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _watch(self) -> None:
        """Hear what the processes say as it comes; draw a few times a second."""
        due = 0.0
        while True:
            self.picture.now = now = time.monotonic()
            self._processes.listen()
            if now >= due:
                due = now + SAMPLE_SECONDS
                self.picture.draw()
                self._display.show(self.picture)
            await asyncio.sleep(LISTEN_SECONDS)

    async def _until(self, condition: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + self._seconds + PATIENCE_SECONDS
        while not condition():
            self._processes.check()
            if time.monotonic() > deadline:
                raise SynclineError(complaint, hint="is this machine very busy? try again")
            await asyncio.sleep(LISTEN_SECONDS / 2)


def _first(group: BaseExceptionGroup[SynclineError]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
