"""Other work of a worker's process: what it ends with is the process's."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from syncline import running
from syncline.running import run_workers


async def test_what_other_work_ends_with_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers end with it, and a service that is restarted on failure is restarted."""

    async def until_stopped(self: Any, *_: Any) -> None:
        await self._stopping.wait()

    async def broken() -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(running._Workers, "run", until_stopped)
    link: Any = (None, None)
    with pytest.raises(RuntimeError, match="out of order"):
        await run_workers([link], beside=[broken])


async def test_whatever_befalls_the_following_of_a_file_the_links_that_are_served_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began: list[str] = []
    over, loop = asyncio.Event(), asyncio.get_running_loop()

    async def until_stopped(self: Any, settings: Any, _: Any) -> None:
        began.append(settings.link.name)
        while not self._ends(settings):
            await asyncio.sleep(0.001)

    def link(name: str) -> Any:
        return SimpleNamespace(link=SimpleNamespace(name=name))

    class Declared:
        rounds = observed = left = 0

        def links(self) -> Any:
            self.rounds += 1
            if self.rounds == 1:
                raise OSError("stale")
            if self.left:
                loop.call_soon_threadsafe(over.set)
            return [link("kept")] if "new" in began else [link("kept"), link("new")]

        def observer(self, _: Any) -> Any:
            self.observed += 1
            if self.observed == 1:
                raise RuntimeError("no observer")

        async def leave(self, _: str) -> None:
            self.left += 1
            raise RuntimeError("nothing to close")

    async def other() -> None:
        await over.wait()

    monkeypatch.setattr(running._Workers, "run", until_stopped)
    monkeypatch.setattr(running, "AGAIN_SECONDS", 0.001)
    with capture_logs() as said:
        async with asyncio.timeout(45):
            await run_workers([(link("kept"), None)], declared=Declared(), beside=[other])
    assert began == ["kept", "new"]
    told = [str(one["exc_info"]) for one in said if one["log_level"] == "error"]
    assert told == ["stale", "no observer", "nothing to close"]


async def test_a_link_that_cannot_begin_keeps_no_other_new_one_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    began: set[str] = set()
    over = asyncio.Event()
    others = {
        "kept",
        *(f"new{number}" for number in range(20)),
    }  # in any order: the one that cannot begin is seldom the last

    async def until_stopped(self: Any, settings: Any, _: Any) -> None:
        began.add(settings.link.name)
        if began >= others:
            over.set()
        while not self._ends(settings):
            await asyncio.sleep(0.001)

    def link(name: str) -> Any:
        return SimpleNamespace(link=SimpleNamespace(name=name))

    class Declared:
        def links(self) -> Any:
            return [link(name) for name in (*others, "broken")]

        def observer(self, settings: Any) -> Any:
            if settings.link.name == "broken":
                raise RuntimeError("no observer")

        async def leave(self, _: str) -> None:
            """Nothing is counted."""

    async def other() -> None:
        await over.wait()

    monkeypatch.setattr(running._Workers, "run", until_stopped)
    monkeypatch.setattr(running, "AGAIN_SECONDS", 0.001)
    with capture_logs():
        async with asyncio.timeout(45):
            await run_workers([(link("kept"), None)], declared=Declared(), beside=[other])
    assert began == others
