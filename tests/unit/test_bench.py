"""Who runs a task for a command waits for a target that is away, as the command itself would."""

from __future__ import annotations

from typing import Any, cast

import pytest

from syncline.errors import TargetUnavailableError, UnlikeWorkerError
from syncline.ports import Same
from syncline.wiring import backfilling
from syncline.wiring.backfilling import Bench

ANYTHING = cast(Any, None)
SAME = Same("1", "guard", "mapping")


async def test_a_target_that_is_away_is_waited_for_with_the_claim_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfilling, "PAUSE_SECONDS", 0.001)
    answers = [TargetUnavailableError("away"), TargetUnavailableError("away"), SAME]
    renewed = []

    async def same_here(*_: object) -> Same:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def renew() -> None:
        renewed.append(len(answers))

    monkeypatch.setattr(backfilling, "same_here", same_here)
    bench = Bench(ANYTHING, ANYTHING, None, ANYTHING, ANYTHING)
    assert await bench.same_when_there(ANYTHING, targets=True, renew=renew) == SAME
    assert renewed == [2, 1]


async def test_what_else_is_wrong_with_it_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def same_here(*_: object) -> Same:
        raise UnlikeWorkerError("another target")

    monkeypatch.setattr(backfilling, "same_here", same_here)
    with pytest.raises(UnlikeWorkerError, match="another target"):
        await Bench(ANYTHING, ANYTHING, None, ANYTHING, ANYTHING).same_when_there(
            ANYTHING, targets=True, renew=cast(Any, None)
        )
