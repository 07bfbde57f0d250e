"""Rows that are read for conflicts: one that cannot be read hides none of the others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from syncline.errors import SourceError, SourceUnavailableError
from syncline.relay.rows import CHUNK, read_rows


class Records:
    """Reads every key, but for one."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def read(self, _plan: Any, keys: list[str], *, apart: bool = False) -> Any:
        if "bad" in keys:
            raise self.error
        found = [SimpleNamespace(key=key, body={"n": int(key)}) for key in keys]
        return SimpleNamespace(present=lambda _lane: found)


def source(error: Exception) -> Any:
    return SimpleNamespace(records=Records(error))


@pytest.mark.parametrize("error", [SourceError("not to be read"), ValueError("the mapping stumbles")])
async def test_the_others_are_there_and_it_is_named(error: Exception) -> None:
    keys = [*map(str, range(CHUNK)), "bad"]
    rows = await read_rows(source(error), None, keys)  # type: ignore[arg-type]  # nobody looks at the plan
    assert len(rows.bodies) == CHUNK
    assert (rows.unreadable, rows.impossible) == ({"bad"}, set())


async def test_a_source_that_is_away_is_no_fault_of_a_row() -> None:
    with pytest.raises(SourceUnavailableError):
        await read_rows(source(SourceUnavailableError("away")), None, ["1", "bad"])  # type: ignore[arg-type]
