"""Other work of a worker's process: what it ends with is the process's."""

from __future__ import annotations

from typing import Any

import pytest

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
