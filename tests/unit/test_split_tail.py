"""The comparison of what was written last, without a server."""

from __future__ import annotations

import asyncio

import pytest

from syncline.errors import SwitchError
from syncline.model.entity import TableName
from syncline.split.moving.tail import _query
from syncline.split.switching.gate import both


def test_names_with_percent_signs_are_no_parameters() -> None:
    statement = _query(TableName("pub%lic", "10%s"), ["a %s", "b"], ["integer", "text"]).as_string()
    assert '"pub%%lic"."10%%s"' in statement
    assert statement.count('t."a %%s"') == 2
    assert statement.replace("%%", "").count("%s") == 2, "an array of keys for each column"


async def test_both_sides_are_read_at_the_same_time_and_none_is_left_behind() -> None:
    """Writers are paused meanwhile; and what is still read would share its transaction with what comes next."""
    asked, ended = asyncio.Barrier(2), []

    async def rows(gate: str) -> dict[str, str]:
        await asked.wait()
        if gate == "source":
            raise SwitchError("away")
        await asyncio.sleep(0.01)
        ended.append(gate)
        return {}

    with pytest.raises(SwitchError, match="away"):
        await asyncio.wait_for(both(rows("source"), rows("target")), 60)
    assert ended == ["target"]
