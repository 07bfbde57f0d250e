"""What a test must not leave behind: settings in the environment, Syncline's threads and tasks, processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import syncline
from syncline.embedded.process import family_of

SETTINGS = ("DATABASE_URL", "MONGODB_URL", "POSTGRES_", "PRIMARY_", "DATA_", "SYNCLINE_")
"""How the names of the variables begin that Syncline reads."""
OWNER = "TESTS_OF_PROCESS"
"""What all processes that tests start have in their environment: the process id of their pytest."""
CALL = "syncline call"
"""A thread that nobody waits for: a resolver that does not answer keeps it."""
OURS = str(Path(syncline.__file__).parent)
LEFT = "left behind"
"""The name of the property of a report that has it."""
ENDING_SECONDS = 60.0
"""What is on its way out may take so long: longer than a busy machine needs for anything."""
_shared: set[object] = set()
"""Threads, and process ids, of what serves several tests."""


class Before:
    """What was there when a test began."""

    def __init__(self) -> None:
        self._settings = settings()
        self._threads = set(threading.enumerate())
        self._processes = children()

    def left(self) -> list[str]:
        """Name what is there and was not; what is ending is waited for."""
        found = [f"the thread {thread.name}" for thread in awaited(self._new_threads)]
        return found + [f"the process {pid} ({command(pid)})" for pid in awaited(self._new_processes)]

    def new(self) -> set[object]:
        """Give the threads, and the ids of the processes, that were not there; none is waited for."""
        return {*self._new_threads(), *self._new_processes()}

    def settings_left(self) -> list[str]:
        """Name the settings that are there, and were not, or say something else."""
        after = settings()
        names = self._settings.keys() | after.keys()
        return sorted(name for name in names if self._settings.get(name) != after.get(name))

    def _new_threads(self) -> list[threading.Thread]:
        new = {one for one in threading.enumerate() if one.name != CALL} - self._threads - _shared
        return [one for one in new if runs_ours(sys._current_frames().get(one.ident or 0))] if new else []

    def _new_processes(self) -> list[int]:
        return [pid for pid in children() - self._processes - _shared if lives(pid)]


@contextlib.contextmanager
def serving_several() -> Iterator[None]:
    """Take what is started within for the session's, and not for that of the test which needed it first."""
    before = Before()
    try:
        yield
    finally:
        _shared.update(before.new())


def awaited(found: Callable[[], list[Any]]) -> list[Any]:
    """Give what is still found after it had time to end."""
    end = time.monotonic() + ENDING_SECONDS
    while (left := found()) and time.monotonic() < end:
        time.sleep(0.01)
    return left


def runs_ours(frame: FrameType | None) -> bool:
    """Tell whether code of Syncline's is being run in a thread: drivers and helpers of tests have threads of their own."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(OURS):
            return True
        frame = frame.f_back
    return False


def settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(SETTINGS)}


def children() -> set[int]:
    """List the processes that this one has started."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found.update(map(int, (task / "children").read_text().split()))
        except OSError:  # the thread has ended
            continue
    return found


def lives(pid: int) -> bool:
    """Tell whether a process has not ended, be it reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def command(pid: int) -> str:
    """Give the command line of a process; empty: it has ended, or is only beginning."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


async def tasks_left() -> list[str]:
    """Name Syncline's tasks in the running loop; those that are ending are waited for."""
    others = {one for one in asyncio.all_tasks() if _is_ours(one)}
    pending = (await asyncio.wait(others, timeout=ENDING_SECONDS))[1] if others else set()
    return [f"the task {task.get_coro()!r}" for task in pending]


def _is_ours(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename.startswith(OURS)


def orphans() -> list[str]:
    """Name the processes that tests of this process have started and that nobody will end any more, and each one's test."""
    mark = f"{OWNER}={os.getpid()}".encode()
    ours = set(family_of(os.getpid()))
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) not in ours:
            variables = _environment(folder)
            if mark in variables and (line := command(int(folder.name))):
                test = next((one for one in variables if one.startswith(b"PYTEST_CURRENT_TEST=")), b"")
                found.append(f"process {folder.name} ({line}) of {test.partition(b'=')[2].decode()}")
    return found


def _environment(folder: Path) -> list[bytes]:
    try:
        return (folder / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is somebody else's
        return []
