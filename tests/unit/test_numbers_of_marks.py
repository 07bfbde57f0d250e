"""Numbers of marks that a worker looks at while its relay reads on."""

from __future__ import annotations

from typing import Any

import pytest

from syncline.engines.postgres import our_schema
from syncline.engines.postgres.floor import Drawn
from syncline.engines.postgres.our_schema import OurSchema
from syncline.errors import StalePlanError


def looking(monkeypatch: pytest.MonkeyPatch, drawn: Drawn, *, given: int, meanwhile: int) -> Any:
    """Make what looks at numbers; while it does so the relay reads the highest one."""

    async def numbers(_: Any) -> dict[str, tuple[int, int]]:
        drawn.highest = max(drawn.highest, meanwhile)
        return {"outbox": (given, 0)}

    monkeypatch.setattr(our_schema.tables, "numbers", numbers)
    return OurSchema(None, None, drawn)  # type: ignore[arg-type]  # neither is used


async def test_what_the_relay_draws_meanwhile_is_no_sign_of_numbers_that_were_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = Drawn(1024)
    assert await looking(monkeypatch, drawn, given=1024, meanwhile=1536)._numbers() == []
    assert drawn.highest == 1536


async def test_numbers_below_those_that_were_seen_before_were_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StalePlanError, match="set back from 1024 to 512"):
        await looking(monkeypatch, Drawn(1024), given=512, meanwhile=0)._numbers()
