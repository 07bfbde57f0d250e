"""Telling whose target it is, and that a side was restored to an earlier time: then everything is marked and swept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from syncline.model.notice import Notice
from syncline.ports import Beat, Journal, Plan, Renewal, same_system
from syncline.telemetry.observer import Noticed, Observer

Verdict = Literal["source behind", "target behind", "target empty", "reinstalled", "promoted"]
Foreign = Literal["foreign", "forked"]

_MESSAGES: Mapping[Verdict, str] = {
    "source behind": "the source is older than what the target has seen of it: it was restored to an earlier time",
    "target behind": "the target has forgotten what it had confirmed: it was restored to an earlier time",
    "target empty": "the target has forgotten everything that it had confirmed: it was replaced or dropped",
    "promoted": "the source is on another timeline: a standby was promoted, and may lack what was committed last",
    "reinstalled": "Syncline was installed anew in the source: changes made in between were not captured",
}


def judge_beat(
    found: Beat | None, mine: Beat, confirmed: int, *, nonces: Collection[str] = (), lasting: bool = False
) -> Verdict | Foreign | None:
    """Compare the target's heartbeat record with the source's counters.

    Args:
        found: what the target has stored.
        mine: the source's newest beat.
        confirmed: the highest beat that the source knows to have reached the target.
        nonces: what the source's renewals have left in the target.
        lasting: this session has exchanged beats before. Since then the source was not restored, which ends sessions:
            who has written is another one. At its start a restored source and a copy look the same; then the one that
            runs already will see it.

    """
    if found is None:
        return "target empty" if confirmed else None
    if not same_system(found.system, mine.system):
        return "foreign"
    if found.installation != mine.installation:
        return "reinstalled"
    if found.count < confirmed:
        return "target behind"
    if found.count > mine.count:
        return "forked" if lasting else "source behind"
    if found.timeline and mine.timeline and found.timeline != mine.timeline:
        return "forked" if lasting else "promoted"
    if found.nonce and nonces and found.nonce not in nonces:
        return "forked" if lasting else "source behind"
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

    def __init__(self, journal: Journal, plans: Mapping[int, Plan], observer: Observer) -> None:
        self._journal = journal
        self._plans = plans
        self._observer = observer

    async def reconcile(self, verdict: Verdict) -> None:
        """Say it and request the work; tasks stand in the source before anything forgets the evidence."""
        message = _MESSAGES[verdict] + "; every record is being marked and the target swept"
        for entity in _ids(self._plans):
            await self._journal.tasks.request("backfill", entity, verdict)
            await self._journal.tasks.request("sweep", entity, verdict)
        name = Notice.REINSTALLED if verdict == "reinstalled" else Notice.RESTORED
        severity = "warning" if verdict == "reinstalled" else "critical"
        await self._journal.notices.leave(name, severity, message)
        self._observer.tell(Noticed(name, severity, message))


def _ids(plans: Mapping[int, Plan]) -> Sequence[int]:
    return sorted(plans)
