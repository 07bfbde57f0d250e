"""What the operations page says of moves that cannot be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from syncline.errors import SwitchError
from syncline.web.page.moves import MovesWatch

FOLLOWING = {"database": "data", "phase": "following"}


@pytest.mark.parametrize("error", [SwitchError("data is away"), psycopg.errors.QueryCanceled("data is away")], ids=type)
async def test_a_move_that_cannot_be_looked_at_does_not_take_the_page_along(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncline.web.page.moves.EVERY_SECONDS", 0.0)
    answers: list[Any] = [[FOLLOWING], error]

    async def read() -> Sequence[Any]:
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    watch = MovesWatch(read, deadline=5.0)
    assert await watch.current() == {"moves": [FOLLOWING]}
    told = await watch.current()
    assert told["moves"] == [FOLLOWING], "what was known stays"
    assert "data is away" in told["moves_error"]
