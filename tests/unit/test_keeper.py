"""A worker ends when another one goes on compiling an entity otherwise, not when it did so for a moment."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from syncline.errors import ConfigError
from syncline.relay import keeper as shipped
from syncline.relay.keeper import Keeper
from syncline.relay.rest import Rhythm

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


async def test_second_deletes_that_are_due_wait_for_no_long_pause_between_renewals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One of many links renews every few seconds; a mass delete would be done again at a thousand a second."""
    due, marked = 2 * shipped.PROMOTED + 1, []
    hour = timedelta(hours=1)
    rhythm = Rhythm(hour.total_seconds(), hour)

    async def promote(limit: int) -> int:
        marked.append(min(limit, due - sum(marked)))
        if marked[-1] < limit:
            keeper.stop()
        return marked[-1]

    async def renew(**_: object) -> None:
        """Renew nothing."""

    source: Any = Source()
    source.waker, source.marks = None, SimpleNamespace(promote_deferred=promote)
    leases: Any = SimpleNamespace(grown=0, renew=renew)
    pump: Any = SimpleNamespace(in_flight=SimpleNamespace(lanes=0), wake=lambda: None)
    rest: Any = SimpleNamespace(rhythm=lambda: rhythm, at_rest=None)
    settings: Any = SimpleNamespace(worker=SimpleNamespace(renew=timedelta(seconds=0.01)))
    nothing: Any = SimpleNamespace(by_id={}, problems={})
    keeper = Keeper(source, nothing, nothing, leases, pump, settings=settings, compiled={}, rest=rest)
    keeper._look_due = keeper._tables_due = keeper._housekeeping_due = float("inf")
    monkeypatch.setattr(keeper, "_report", dict)
    await asyncio.wait_for(keeper.run(), 30)
    assert marked == [shipped.PROMOTED, shipped.PROMOTED, 1]


def test_looks_are_as_often_as_noticing_within_seconds_needs() -> None:
    """Cases 4 and 5: a table that was swapped or made again; their tests look more often than a worker does."""
    assert shipped.LOOK_SECONDS <= 2
    assert shipped.TABLES_SECONDS <= 10
