"""A process's metrics as text: what it counted, and what a look at the databases finds within the probes' deadline."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Protocol, runtime_checkable

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from syncline.insight.status import Status, tasks_for_a_worker
from syncline.telemetry.metrics import Snapshot, SnapshotCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST


class StatusReader(Protocol):
    """Looks at a link's databases within the probes' deadline."""

    async def read(self) -> Status:
        """Look; never raises what a database can cause."""
        ...

    async def close(self) -> None:
        """Close the sessions."""
        ...


@runtime_checkable
class FurtherReader(Protocol):
    """A reader that knows gauges which other kinds of links have not."""

    async def further(self) -> Mapping[str, Mapping[tuple[str, ...], float]]:
        """Give them, by their whole name and their labels' values."""
        ...


class OfLink:
    """What is shown of one link: what a look finds, and what its worker counts, if it is in this process.

    Args:
        link: its name.
        reader: looks at its databases.
        counted: what its worker counts.

    """

    def __init__(self, link: str, reader: StatusReader, counted: CollectorRegistry | None = None) -> None:
        self.link = link
        self.registries = [CollectorRegistry(), *([] if counted is None else [counted])]
        self._reader = reader
        self._collector = SnapshotCollector(self.registries[0])

    async def look(self) -> None:
        """Look at the databases."""
        found = snapshot_of(await self._reader.read())
        further = await self._reader.further() if isinstance(self._reader, FurtherReader) else {}
        self._collector.snapshot = replace(found, further=further)

    def families(self, *, labelled: bool) -> Iterator[Metric]:
        """Give what there is to show; ``labelled`` says of which link it is."""
        for registry in self.registries:
            for found in registry.collect():
                family = Metric(found.name, found.documentation, found.type)
                label = {"link": self.link} if labelled else {}
                family.samples = [sample._replace(labels={**label, **sample.labels}) for sample in found.samples]
                yield family


class Exposition:
    """Writes the metrics of a process as text. Where links have names, each figure of a link has a label ``link``.

    Args:
        registry: what the process counted.
        links: what is shown of each link.
        shared: several processes of one application (``PROMETHEUS_MULTIPROC_DIR``) show their counts together.

    """

    def __init__(self, registry: CollectorRegistry, *links: OfLink, shared: bool = False) -> None:
        self._registry = registry
        self._shared = shared
        self._links = list(links)
        self._looks = CollectorRegistry()
        self._looks.register(self)

    def show(self, link: OfLink) -> None:
        """Show one more link from here on."""
        self._links.append(link)

    def hide(self, name: str) -> None:
        """Show a link no more."""
        self._links = [one for one in self._links if one.link != name]

    async def text(self) -> bytes:
        """Look at the databases, and write."""
        await asyncio.gather(*(one.look() for one in self._links))
        return counted(self._registry, shared=self._shared) + generate_latest(self._looks)

    def collect(self) -> Iterator[Metric]:
        """Give the links' metrics, each once with the samples of all: a name may stand in one place only."""
        labelled = any(one.link for one in self._links)
        together: dict[str, Metric] = {}
        for one in self._links:
            for family in one.families(labelled=labelled):
                together.setdefault(family.name, family)
                if together[family.name] is not family:
                    together[family.name].samples += family.samples
        yield from together.values()


def counted(registry: CollectorRegistry, *, shared: bool = False) -> bytes:
    """Write what a process counted.

    Args:
        registry: has it.
        shared: where ``PROMETHEUS_MULTIPROC_DIR`` is set, what all processes of the application counted, instead.

    """
    if shared and "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def snapshot_of(status: Status) -> Snapshot:
    """Turn a status into what the metrics show of it."""
    found = status.measures
    measures: dict[str, float] = {}
    if found is not None:
        names = ("queue_size", "lag_seconds", "failed_events", "deferred_deletes", "held_by_copy")
        measures = {name: float(getattr(found, name)) for name in names}
        measures["tasks"] = float(tasks_for_a_worker(status.tasks, status.notices))
        measures["pending_entities"] = float(len(status.pending))
        measures["workers"] = float(sum(bool(worker["alive"]) for worker in status.workers))
    latencies = {n: s.latency_ms / 1000 for n, s in status.databases.items() if s.latency_ms is not None}
    lanes = {state: status.lanes[state] for state in ("owned", "free") if state in status.lanes}
    up = {name: state.connected for name, state in status.databases.items()}
    open_ones = (one for one in status.notices if not one["resolved"] and one["severity"] != "info")
    notices = Counter((str(one["name"]), str(one["severity"])) for one in open_ones)
    divergent = {str(one["entity"]): sum((one["divergent"] or {}).values()) for one in status.certificates}
    return Snapshot(status.health.value, up, latencies, measures, lanes, notices, divergent)
