"""Who does the jobs of a command: itself, processes of this host, or a Dask cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from syncline.config import Settings
from syncline.ports import Executor
from syncline.wiring.clusters import opened_cluster
from syncline.wiring.processes import Processes


@asynccontextmanager
async def executing(settings: Settings, processes: int = 1, dask: str | None = None) -> AsyncIterator[Executor | None]:
    """Give what does jobs elsewhere for a block; ``None``: this process does them.

    Args:
        settings: of the link.
        processes: how many of this host; 1: this one.
        dask: address of a scheduler instead.

    """
    if dask is not None:
        async with opened_cluster(dask, settings.link.name) as cluster:
            yield cluster
    elif processes > 1:
        async with Processes(settings, processes) as executor:
            yield executor
    else:
        yield None
