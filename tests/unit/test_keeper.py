"""A worker ends when another one goes on compiling an entity otherwise, not when it did so for a moment."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from syncline.errors import ConfigError
from syncline.relay import keeper as shipped
from syncline.relay.keeper import Keeper

OURS = SimpleNamespace(id=1, name="t", projection=SimpleNamespace(fingerprint="ours"))


class Source:
    """Says what was noted; remembers what was asked for."""

    def __init__(self) -> None:
        self.noted = "ours"
        self.asked: list[str] = []
        self.journal = SimpleNamespace(entities=self, tasks=self, notices=None)

    def lookout(self, *_: object, **__: object) -> None:
        """Have none."""

    async def fingerprints(self) -> dict[int, str]:
        return {1: self.noted}

    async def request(self, kind: str, *_: object) -> None:
        self.asked.append(kind)


async def _looks(keeper: Keeper, source: Source, *noted: str) -> None:
    for one in noted:
        source.noted = one
        await keeper._look_for_newer_mappings()


async def test_only_what_another_worker_goes_on_to_say_ends_this_one() -> None:
    source: Any = Source()
    nothing: Any = SimpleNamespace()
    plans: Any = SimpleNamespace(by_id={1: OURS}, problems={})
    keeper = Keeper(source, nothing, plans, nothing, nothing, settings=nothing, compiled={}, rest=nothing)
    await _looks(keeper, source, "older", "older", "ours", "older", "other", "older", "older")
    assert source.asked == []
    with pytest.raises(ConfigError, match="another mapping"):
        await _looks(keeper, source, "older")
    assert source.asked == ["backfill"]


def test_looks_are_as_often_as_noticing_within_seconds_needs() -> None:
    """Cases 4 and 5: a table that was swapped or made again; their tests look more often than a worker does."""
    assert shipped.LOOK_SECONDS <= 2
    assert shipped.TABLES_SECONDS <= 10
