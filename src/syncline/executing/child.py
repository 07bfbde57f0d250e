"""A process that does jobs for a command that has started it: see ``Processes``.

It reads what jobs are about and then jobs from standard input, and answers on standard output, where it also says that
it is at work. When standard input is closed, by the command or because the command is gone, it gives up what it is at,
and ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from contextlib import AsyncExitStack
from typing import Any

from syncline import ending
from syncline.executing.answering import answer
from syncline.executing.collector import tune_garbage_collection
from syncline.executing.frames import BEAT, framed, receive
from syncline.model.link import enter

BEAT_SECONDS = 5.0
LAST_SECONDS = 3.0
"""So long it takes at most to give back what it holds."""
_WRITING = threading.Lock()


async def serve(answers: int) -> None:
    """Do jobs until there are no more."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    work = await receive(reader)
    enter(work.link)
    tune_garbage_collection()
    jobs: asyncio.Queue[Any] = asyncio.Queue()
    reading = asyncio.create_task(_read(reader, jobs, asyncio.current_task()))
    try:
        async with AsyncExitStack() as stack:
            performer = work.performer(stack)
            while True:
                job = await jobs.get()
                beating = asyncio.create_task(_beat(answers))
                try:
                    said = await answer(performer, job)
                finally:
                    beating.cancel()
                await asyncio.to_thread(_write, answers, framed((said,)))
    finally:
        reading.cancel()


async def _beat(answers: int) -> None:
    """Say again and again that this process has something to do, and can do it."""
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        await asyncio.to_thread(_write, answers, framed(BEAT))


async def _read(reader: asyncio.StreamReader, jobs: asyncio.Queue[Any], doing: asyncio.Task[Any] | None) -> None:
    """Take in jobs; at the end of the pipe cancel what is being done."""
    try:
        while True:
            jobs.put_nowait(await receive(reader))
    except EOFError:
        asyncio.get_running_loop().call_later(LAST_SECONDS, os._exit, 1)
        if doing is not None:
            doing.cancel()


def _write(answers: int, frame: bytes) -> None:
    left = memoryview(frame)
    with _WRITING:
        while left:
            left = left[os.write(answers, left) :]


def main() -> None:
    """Serve; whatever else is printed goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.dup(1)
    os.dup2(2, 1)
    try:
        ending.run(ending.quiet_when_cancelled(serve(answers)))
    except (asyncio.CancelledError, EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    main()
