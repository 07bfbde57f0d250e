"""Telling that one side was restored to an earlier time, and what follows: mark and sweep of everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from syncline.outbox.source import PostgresSource, Renewal
from syncline.outbox.states import Plan
from syncline.ports import Beat
from syncline.telemetry.observer import Observer

Verdict = Literal["source behind", "target behind", "target empty", "reinstalled", "promoted"]

_MESSAGES: Mapping[Verdict, str] = {
    "source behind": "the source is older than what the target has seen of it: it was restored to an earlier time",
    "target behind": "the target has forgotten what it had confirmed: it was restored to an earlier time",
    "target empty": "the target has forgotten everything that it had confirmed: it was replaced or dropped",
    "promoted": "the source is on another timeline: a standby was promoted, and may lack what was committed last",
    "reinstalled": "Syncline was installed anew in the source: changes made in between were not captured",
}


def judge_beat(found: Beat | None, mine: Beat, confirmed: int) -> Verdict | Literal["foreign"] | None:
    """Compare the target's heartbeat record with the source's counters.

    Args:
        found: what the target has stored.
        mine: the source's newest beat.
        confirmed: the highest beat that the source knows to have reached the target.

    """
    if found is None:
        return "target empty" if confirmed else None
    if found.installation != mine.installation:
        return "reinstalled" if found.system == mine.system else "foreign"
    if found.count < confirmed:
        return "target behind"
    if found.count > mine.count:
        return "source behind"
    if found.timeline and mine.timeline and found.timeline != mine.timeline:
        return "promoted"
    return None


def judge_lanes(stored: Mapping[int, int], renewal: Renewal) -> Verdict | None:
    """Compare the target's lane records with the source's leases."""
    if any(stored.get(lane, 0) < row.confirmed for lane, row in renewal.lanes.items()):
        return "target behind" if stored else "target empty"
    if max(stored.values(), default=0) > renewal.epoch:
        return "source behind"
    return None


class Restores:
    """Reconciles after a restore: a notice, and for every entity a backfill and a sweep.

    New changes are never taken for old: epochs are drawn above the target's, so that what is read now wins.
    """

    def __init__(self, source: PostgresSource, plans: Mapping[int, Plan], observer: Observer) -> None:
        self._source = source
        self._plans = plans
        self._observer = observer

    async def reconcile(self, verdict: Verdict) -> None:
        """Say it and request the work; tasks stand in the source before anything forgets the evidence."""
        message = _MESSAGES[verdict] + "; every record is being marked and the target swept"
        for entity in _ids(self._plans):
            await self._source.request_task("backfill", entity, verdict)
            await self._source.request_task("sweep", entity, verdict)
        name = "Reinstalled" if verdict == "reinstalled" else "Restored"
        severity = "warning" if verdict == "reinstalled" else "critical"
        await self._source.notice(name, severity, message)
        self._observer.notice(name, severity, message)


def _ids(plans: Mapping[int, Plan]) -> Sequence[int]:
    return sorted(plans)
