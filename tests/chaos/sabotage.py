"""Workers with a mechanism taken out: does a run notice? `python -m tests.chaos --sabotage NAME`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymongo.write_concern import WriteConcern

from syncline.outbox.acknowledge import Acknowledgement
from syncline.outbox.source import PostgresSource
from syncline.ports import Batch, Report
from syncline.targets import mongo
from syncline.targets.mongo import MongoTarget


def no_fence() -> None:
    """Replace whatever is there: the last to arrive wins."""
    mongo.NEWER_WINS = [{"$replaceWith": "$$new"}]


def no_second_delete() -> None:
    """Delete once only."""
    acknowledge = PostgresSource.acknowledge

    async def once(self: PostgresSource, ack: Acknowledgement, **options: Any) -> set[int]:
        ack.absent.clear()
        return await acknowledge(self, ack, **options)

    PostgresSource.acknowledge = once  # type: ignore[method-assign]


def not_durable() -> None:
    """Take the target's word before its journal has it."""
    mongo.DURABLE = WriteConcern(w=1, j=False)


def believed() -> None:
    """Take a failed write for a success."""
    apply = MongoTarget.apply

    async def optimistic(self: MongoTarget, batch: Batch) -> Report:
        try:
            return await apply(self, batch)
        except Exception:  # noqa: BLE001
            return Report()

    MongoTarget.apply = optimistic  # type: ignore[method-assign]


def unleased() -> None:
    """Acknowledge whoever holds the lane."""
    acknowledge = PostgresSource.acknowledge

    async def anyway(self: PostgresSource, ack: Acknowledgement, **options: Any) -> set[int]:
        held = await acknowledge(self, ack, **options)
        if lost := ack.leases.keys() - held:
            await self.acker.execute(
                "DELETE FROM syncline.outbox WHERE seq = ANY(%s) AND lane = ANY(%s)", (list(ack.seqs), list(lost))
            )
        return set(ack.leases)

    PostgresSource.acknowledge = anyway  # type: ignore[method-assign]


SABOTEURS: dict[str, Callable[[], None]] = {
    one.__name__: one for one in (no_fence, no_second_delete, not_durable, believed, unleased)
}
