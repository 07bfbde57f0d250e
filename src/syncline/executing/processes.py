"""Jobs of bulk work in processes of this host, started anew: nothing is inherited but the environment."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from types import TracebackType
from typing import Any, Self

from syncline.errors import WorkerLostError
from syncline.executing.frames import framed, receive
from syncline.ports import Work

MODULE = "syncline.executing.child"
TRIES = 3
"""A job that so many processes have ended over is given up."""
SILENT_SECONDS = 60.0
"""A process that has said nothing for so long hangs: it is killed, and its job is another one's."""
END_SECONDS = 4.0
"""So long a process has to give back what it holds."""


class Processes:
    """See ``syncline.ports.Executor``: starts processes as they are needed, and ends them with the block.

    They are told what jobs are about on a pipe: passwords are neither in their arguments nor in files. When this
    process is killed, their pipe is closed, and they end.

    Args:
        work: what the jobs are about.
        width: how many processes.

    """

    def __init__(self, work: Work, width: int) -> None:
        self._work, self.width = work, width
        self._turns = asyncio.Semaphore(width)
        self._idle: list[Process] = []
        self._all: list[Process] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*map(_end, self._all))

    async def run(self, job: Any) -> Any:
        """Have a job done by a process that has nothing to do; one that ends or hangs meanwhile is replaced."""
        async with self._turns:
            for tries in range(1, TRIES + 1):
                process = self._idle.pop() if self._idle else await self._start()
                try:
                    answer = await _asked(process, job)
                except (EOFError, TimeoutError) as error:
                    if (status := await _ended(process)) is None:
                        process.kill()
                    self._all.remove(process)
                    if tries == TRIES:
                        raise _lost(None if isinstance(error, TimeoutError) else status) from None
                    continue
                except BaseException:
                    process.stdin.close()  # type: ignore[union-attr]  # it has something to do still: nobody wants it
                    raise
                self._idle.append(process)
                if isinstance(answer, BaseException):
                    raise answer
                return answer
        raise AssertionError

    async def _start(self) -> Process:
        """Start a process; it is in a group of its own, so that Ctrl-C is this process's business.

        Raises:
            WorkerLostError: the system lets no further one start.

        """
        words = (sys.executable, "-P", "-m", MODULE)
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=PIPE, stdout=PIPE, process_group=0, limit=1 << 20
            )
        except OSError as error:
            raise WorkerLostError(f"no process can be started: {error.strerror}", hint="fewer --processes") from error
        self._all.append(process)
        process.stdin.write(framed(self._work))  # type: ignore[union-attr]  # it was asked for
        return process


async def _asked(process: Process, job: Any) -> Any:
    """Have a process do a job, and give its answer.

    Raises:
        EOFError: it has ended.
        TimeoutError: it neither took the job nor said anything for so long, and is killed.

    """
    assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018  they were asked for
    process.stdin.write(framed(job))
    try:
        while True:
            async with asyncio.timeout(SILENT_SECONDS):
                await process.stdin.drain()
                said = await receive(process.stdout)
            if said:
                return said[0]
    except ConnectionError as error:
        raise EOFError from error
    except TimeoutError:
        process.kill()
        raise


async def _end(process: Process) -> None:
    """End a process, and see that it is gone."""
    assert process.stdin is not None  # noqa: S101  it was asked for
    process.stdin.close()
    if await _ended(process) is None:
        process.kill()
        await _ended(process)


async def _ended(process: Process) -> int | None:
    """Wait for the end of a process, and give its status; ``None``: the system does not let it end, even if killed."""
    try:
        return await asyncio.wait_for(process.wait(), END_SECONDS)
    except TimeoutError:
        return None


def _lost(status: int | None) -> WorkerLostError:
    """Say how a process was lost; ``None``: it hung."""
    hint = "see what has ended it; fewer --processes need less memory"
    if status is None:
        how = f"said nothing for {SILENT_SECONDS:g} s and was killed"
        hint = "see what it waits for: a disk, swapped memory"
    else:
        how = f"was killed by signal {-status}" if status < 0 else f"has ended with status {status}"
    return WorkerLostError(f"a process that does a part of the work {how}, {TRIES} times over the same part", hint=hint)
