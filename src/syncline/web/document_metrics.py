"""What the metrics of a document link show beside those of every link: its collections."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Mapping

from syncline.config.documents import Documents
from syncline.documents.status import DocumentHealth
from syncline.errors import SynclineError
from syncline.insight.patience import Patience
from syncline.insight.status import Status
from syncline.phases.enabled import default_phase
from syncline.phases.overview import CollectionPhase, Overview
from syncline.phases.phase import Phase

Gauges = Mapping[str, Mapping[tuple[str, ...], float]]
_OF_BOTH_WAYS = (
    "syncline_collection_marked_documents",
    "syncline_collection_lag_seconds",
    "syncline_collection_rejected_documents",
)
SECONDS = 2.0
"""Limit of a look."""


class DocumentReader:
    """Reads a document link's status, and how its collections stand.

    Args:
        documents: the declaration.

    """

    def __init__(self, documents: Documents) -> None:
        self._health = DocumentHealth(documents)
        sides = (documents.url("source"), documents.url("target"))
        declared = {one.collection.name: one.fingerprint for one in documents.mappings}
        self._overview = Overview(*sides, declared, default_phase(os.environ), seconds=SECONDS)
        self._patience = Patience[Mapping[str, CollectionPhase]](2 * SECONDS)

    async def read(self) -> Status:
        """Look; never raises what a database can cause."""
        return await self._health.read()

    async def further(self) -> Gauges:
        """Give the gauges of collections; what is not known is left out."""
        found: defaultdict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
        for one in (await self._health.read_all()).collections:
            ways = {"forward": (one.waiting, one.oldest_seconds, one.rejected)}
            if one.back is not None:
                ways["back"] = (one.back.waiting, one.back.oldest_seconds, one.back.parked)
            for way, figures in ways.items():
                for gauge, figure in zip(_OF_BOTH_WAYS, figures, strict=True):
                    found[gauge][one.name, way] = figure
        for name, phase in (await self._phases()).items():
            found["syncline_collection_ramp_percent"][name,] = phase.percent
            found["syncline_collection_closed"][name,] = float(phase.closed)
            for each in Phase:
                found["syncline_collection_phase"][name, str(each)] = float(each is phase.phase)
            if phase.shadow is not None:
                for outcome in ("compared", "mismatches", "unproved"):
                    found["syncline_shadow_reads"][name, outcome] = getattr(phase.shadow, outcome)
        return found

    async def close(self) -> None:
        """Close the sessions."""
        await self._health.close()
        await asyncio.to_thread(self._overview.close)

    async def _phases(self) -> Mapping[str, CollectionPhase]:
        try:
            return await self._patience.within(lambda: asyncio.to_thread(self._overview.read))
        except (SynclineError, TimeoutError):
            return {}
