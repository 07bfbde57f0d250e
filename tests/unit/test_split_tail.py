"""The comparison of what was written last, without a server."""

from __future__ import annotations

import asyncio

import pytest
from psycopg.sql import SQL

from syncline.errors import SwitchError
from syncline.model.entity import TableName
from syncline.split.moving import tail
from syncline.split.moving.tail import _query


def test_names_with_percent_signs_are_no_parameters() -> None:
    statement = _query(TableName("pub%lic", "10%s"), ["a %s", "b"], ["integer", "text"]).as_string()
    assert '"pub%%lic"."10%%s"' in statement
    assert statement.count('t."a %%s"') == 2
    assert statement.replace("%%", "").count("%s") == 2, "an array of keys for each column"


async def test_both_sides_are_read_at_the_same_time_and_none_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers are paused meanwhile; and what is still read would share its transaction with what comes next."""
    both, ended = asyncio.Barrier(2), []

    async def rows(gate: str, *_: object) -> dict[str, str]:
        await both.wait()
        if gate == "source":
            raise SwitchError("away")
        await asyncio.sleep(0.01)
        ended.append(gate)
        return {}

    monkeypatch.setattr(tail, "_rows", rows)
    with pytest.raises(SwitchError, match="away"):
        await asyncio.wait_for(tail._both("source", "target", SQL("").format(), []), 60)  # type: ignore[arg-type]
    assert ended == ["target"]
