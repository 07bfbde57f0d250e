"""The end of a move as its last coordinator, without a server."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from syncline.errors import SupersededError
from syncline.split.moving import charge
from syncline.split.switching.gate import GateBusyError


class _Gate:
    side = "primary"

    def __init__(self, busy: int) -> None:
        self.busy = busy

    async def change(self, number: int, verb: object, patience: timedelta) -> None:
        if self.busy:
            self.busy -= 1
            raise GateBusyError


class _Journal:
    def __init__(self, renewals: int) -> None:
        self.left = renewals

    async def renew(self, number: int, goal: str) -> bool:
        self.left -= 1
        return self.left >= 0


async def _take(busy: int, renewals: int) -> int:
    journal = _Journal(renewals)
    move: Any = SimpleNamespace(name="data", journal=journal)
    await charge._take(move, _Gate(busy), 7, "primary")  # type: ignore[arg-type]
    return journal.left


async def test_the_lease_is_kept_while_writers_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is shorter than writers are waited for: otherwise another coordinator would change sides meanwhile."""
    monkeypatch.setattr(charge, "_BREATH_SECONDS", 0)
    assert await _take(busy=3, renewals=9) == 9 - 4
    with pytest.raises(SupersededError, match="another coordinator is at work"):
        await _take(busy=3, renewals=2)
