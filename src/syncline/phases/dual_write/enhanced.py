"""The service with batches and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from syncline.errors import SynclineError
from syncline.model.strict_bson import encoded
from syncline.phases import Phase
from syncline.phases.dual_write.figures import figures
from syncline.phases.dual_write.operations import BatchResult, Operation, OperationResult
from syncline.phases.dual_write.operations import operations as made
from syncline.phases.dual_write.parts import Parts
from syncline.phases.dual_write.service import AsyncDualWriteService
from syncline.phases.switching.running import arun
from syncline.ports.document_writes import Action, Write, Written
from syncline.ports.documents import Fate, MarkedDocument, Outcome

_TOGETHER = 500
"""So many operations of a transaction."""
_Told = Written | SynclineError | bool | None
"""What became of one: of rows whether it was done."""


class AsyncEnhancedDualWriteService(AsyncDualWriteService):
    """``AsyncDualWriteService``, and batches of operations in a constant number of round trips, and figures."""

    async def batch_operations(self, operations: Sequence[Mapping[str, Any]]) -> BatchResult:
        """Do many operations: for each collection one bulk write in MongoDB, and one transaction in PostgreSQL.

        Several operations on one document are done in their order, in as many bulk writes. Where PostgreSQL is the
        truth, those of a collection are one transaction; if it takes one of them not, each is one of its own.

        Args:
            operations: ``{collection_name, data, mongo_id, operation}`` each, the last one create, update or delete.

        Returns:
            What is true when all were done; ``.results`` has each, in the order of the operations. One that is not done
            keeps no other from being done.

        Raises:
            OperationError: one cannot be done with any document; none is done.
            SynclineError: the side that has the truth does not answer, or its gate stays closed. Where some operations
                were done before, it is not raised: the others have it as their ``error``. Those of the write that was
                cut off may be done all the same; those after it are not tried.

        """
        given = made(operations, self._mappings)
        parts = await self._open()
        number = await parts.inline.begin() if parts.inline is not None else None
        told: dict[int, _Told] = {}
        phases: dict[str, Phase] = {}
        try:
            for collection, round_ in _rounds(given):
                # Where the log keeps values, each is a write of its own in MongoDB: a unit that is done again, then.
                alone = parts.audited.keeps_values(collection) and not self._in_postgresql(collection)
                for some in [[one] for one in round_] if alone else [round_]:
                    await arun(self._phases, collection, partial(self._round, parts, some, told, phases))
        except SynclineError as error:
            if not told:
                raise
            told = {place: told.get(place, error) for place in range(len(given))}
        outcomes = await self._carried(parts, given, told, phases, number)
        return BatchResult(tuple(_result(one, told[place], outcomes) for place, one in enumerate(given)))

    async def _round(
        self,
        parts: Parts,
        round_: Sequence[tuple[int, Operation]],
        told: dict[int, _Told],
        phases: dict[str, Phase],
        phase: Phase,
    ) -> None:
        """Do operations on different documents of a collection where its truth is: those of which nothing is told yet.

        A gate may close between two transactions: what was done before is not done again on the other side.
        """
        left = [(place, one) for place, one in round_ if place not in told]
        collection = left[0][1].collection
        phases[collection] = phase
        if phase.postgresql_is_truth:
            await _done_in_postgresql(parts, left, told)
            return
        writes = [Write(one.action, one.id, parts.writes.new_mark(), one.data) for _, one in left]
        done = await _written(parts, collection, writes, phase)
        told.update(zip((place for place, _ in left), done, strict=True))

    async def _carried(
        self,
        parts: Parts,
        given: Sequence[Operation],
        told: Mapping[int, _Told],
        phases: Mapping[str, Phase],
        number: int | None,
    ) -> dict[str, Outcome]:
        by: dict[str, list[MarkedDocument]] = {}
        for place, one in enumerate(given):
            found = told[place]
            parts.counters.count(isinstance(found, Written) or found is True)
            if isinstance(found, Written) and found.document is not None and phases[one.collection] is not Phase.OFF:
                by.setdefault(one.collection, []).append(found.document)
        outcomes: dict[str, Outcome] = {}
        for collection, documents in by.items():
            outcomes |= await self._carry(parts, parts.inline, collection, documents, number)
        return outcomes

    async def get_sync_metrics(self) -> dict[str, Any]:
        """Say how far PostgreSQL is: the shape of ``GET /api/health/sync``, with each collection's own figures.

        Returns:
            ``status``, ``databases``, ``sync`` (``queueSize``, ``syncLagSeconds``, ``failedEvents``), ``alerts``,
            ``collections`` (by name: ``phase``, ``pending``, ``failed``, ``lagSeconds``) and ``operations``: what this
            process did (``written``, ``refused``, ``inline``, ``left``). What PostgreSQL alone knows is None while it
            is away.

        """
        return await figures(await self._open(), self._mappings, self._phases)


def _rounds(given: Sequence[Operation]) -> list[tuple[str, list[tuple[int, Operation]]]]:
    """Put operations into bulk writes, with their places: of a document's one in each, in their order."""
    seen: dict[tuple[str, bytes], int] = {}
    rounds: dict[tuple[int, str], list[tuple[int, Operation]]] = {}
    for place, one in enumerate(given):
        key = (one.collection, encoded({"": one.id}))
        seen[key] = seen.get(key, -1) + 1
        rounds.setdefault((seen[key], one.collection), []).append((place, one))
    return [(collection, rounds[number, collection]) for number, collection in sorted(rounds, key=lambda one: one[0])]


async def _done_in_postgresql(parts: Parts, left: Sequence[tuple[int, Operation]], told: dict[int, _Told]) -> None:
    """Do operations on different documents of a collection, many in a transaction, or one after the other."""
    for start in range(0, len(left), _TOGETHER):
        some = left[start : start + _TOGETHER]
        done = await parts.rows.together([one for _, one in some]) if len(some) > 1 else None
        if done is not None:
            told.update(zip((place for place, _ in some), done, strict=True))
            continue
        for place, one in some:
            told[place] = await parts.rows.told(one)


async def _written(
    parts: Parts, collection: str, writes: Sequence[Write], phase: Phase
) -> Sequence[Written | SynclineError | None]:
    if phase is not Phase.OFF:
        return await parts.audited.write_many(collection, writes)
    kept = [one for one in writes if one.action is not Action.DELETE]
    found = dict(
        zip([one.mark for one in kept], await parts.audited.write_many(collection, kept) if kept else (), strict=True)
    )
    for one in writes:
        if one.action is Action.DELETE:  # without the other side a tombstone would wait for ever
            found[one.mark] = Written(None) if await parts.audited.erase(collection, one) else None
    return [found[one.mark] for one in writes]


def _result(one: Operation, told: _Told, outcomes: Mapping[str, Outcome]) -> OperationResult:
    document = told.document if isinstance(told, Written) else None
    outcome = outcomes.get(document.mark) if document is not None else None
    synced = outcome is not None and outcome.fate is Fate.APPLIED
    error = str(told) if isinstance(told, SynclineError) else None
    done = isinstance(told, Written) or told is True
    return OperationResult(one.action.value, one.collection, one.mongo_id, done, synced, error)
