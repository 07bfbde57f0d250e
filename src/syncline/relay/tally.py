"""The tally: what a session has written so far, and the event of each batch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta

from syncline.model.mark import keys_in
from syncline.ports import Plan, Report
from syncline.relay.outcome import Outcome
from syncline.telemetry.observer import BatchDone, Observer


class Tally:
    """Counts the batches that are acknowledged, and tells the observer of each."""

    def __init__(self, plans: Mapping[int, Plan], observer: Observer) -> None:
        self.totals = {"applied": 0, "deleted": 0, "stale": 0, "rejected": 0, "batches": 0, "marks": 0}
        self._plans = plans
        self._observer = observer

    def count(self, outcome: Outcome) -> None:
        """Take in a batch."""
        work, rejected = outcome.work, outcome.rejected_by_entity()
        took = timedelta(seconds=time.monotonic() - work.begun)
        size, several = work.size, len(work.touched) > 1
        for entity, touched in work.touched.items():
            plan, report = self._plans[entity], outcome.reports.get(entity) or Report()
            present, absent = work.counts.get(entity, (0, 0))
            done = BatchDone(
                plan.name,
                plan.entity.collection,
                marks=keys_in(mark for mark in work.marks if mark[2] == entity) if several else size,
                applied=present,
                deleted=absent,
                stale=report.stale,
                rejected=rejected.get(entity, ()),
                took=took,
                keys=list(touched.hints) if self._observer.wants_keys else (),
            )
            self._add(applied=present, deleted=absent, stale=report.stale, rejected=len(done.rejected))
            self._observer.tell(done)
        self._add(batches=1, marks=size)

    def _add(self, **counts: int) -> None:
        for name, count in counts.items():
            self.totals[name] += count
