"""Who does the jobs of a command: itself, processes of this host, or a Dask cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from syncline.executing.clusters import opened_cluster
from syncline.executing.processes import Processes
from syncline.ports import Executor, Work


@asynccontextmanager
async def executing(work: Work, processes: int = 1, dask: str | None = None) -> AsyncIterator[Executor | None]:
    """Give what does jobs elsewhere for a block; ``None``: this process does them.

    Args:
        work: what the jobs are about.
        processes: how many of this host; 1: this one.
        dask: address of a scheduler instead.

    """
    if dask is not None:
        async with opened_cluster(dask, work.origin) as cluster:
            yield cluster
    elif processes > 1:
        async with Processes(work, processes) as executor:
            yield executor
    else:
        yield None
