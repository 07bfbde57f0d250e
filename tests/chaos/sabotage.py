"""Workers and verifications with a mechanism taken out: does a run notice? `python -m tests.chaos --round 15 --sabotage NAME`.

Each of these is found within a few rounds. Mechanisms whose loss shows only in a window of microseconds are the business
of `tests.mutants`, which opens that window by force.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from syncline.engines.mongo import writes
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.postgres.marks import PostgresMarks
from syncline.ports import Acknowledgement, Batch, Report
from syncline.verify.second_look import SecondLook, SourceView


def no_fence() -> None:
    """Replace whatever is there: the last to arrive wins."""
    writes.NEWER_WINS = [{"$replaceWith": "$$new"}]


def no_second_delete() -> None:
    """Delete once only."""
    acknowledge = PostgresMarks.acknowledge

    async def once(self: PostgresMarks, ack: Acknowledgement, **options: Any) -> set[int]:
        ack.absent.clear()
        return await acknowledge(self, ack, **options)

    PostgresMarks.acknowledge = once  # type: ignore[method-assign]


def believed() -> None:
    """Take a failed write for a success."""
    apply = MongoTarget.apply

    async def optimistic(self: MongoTarget, batch: Batch) -> Report:
        try:
            return await apply(self, batch)
        except Exception:  # noqa: BLE001
            return Report()

    MongoTarget.apply = optimistic  # type: ignore[method-assign]


def marks_unseen() -> None:
    """Verify without a look at what is on its way."""
    view = SecondLook._view

    async def blind(self: SecondLook, keys: Sequence[str]) -> SourceView:
        return replace(await view(self, keys), unsettled={})

    SecondLook._view = blind  # type: ignore[method-assign]


SABOTEURS: dict[str, Callable[[], None]] = {
    one.__name__: one for one in (no_fence, no_second_delete, believed, marks_unseen)
}
