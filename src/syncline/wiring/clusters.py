"""Jobs of bulk work on an existing Dask cluster: ``dask.distributed`` schedules them, does them again, and shows them.

Workers read settings of their own, from ``SYNCLINE_CONFIG`` and their environment: neither URLs nor passwords are sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from syncline import ending
from syncline.config import load
from syncline.errors import SynclineError, UnlikeWorkerError, WorkerLostError
from syncline.model.link import entered
from syncline.version import __version__
from syncline.wiring.performing import Performer, answer

CONNECT_SECONDS = 10.0


class Cluster:
    """See ``syncline.ports.Executor``.

    Args:
        client: of ``distributed``, asynchronous; it stays the caller's.
        link: name of the link.
        width: threads of the workers.

    """

    def __init__(self, client: Any, link: str, width: int) -> None:
        self._client, self._link, self.width = client, link, width

    async def run(self, job: Any) -> Any:
        """Have a job done by a worker of the cluster; one that is lost is Dask's to replace."""
        from distributed import KilledWorker

        future = self._client.submit(do_job, job, self._link, pure=False)
        try:
            found = await future
        except KilledWorker as error:
            raise WorkerLostError(
                f"workers of the cluster end over the same part: {error.last_worker.address} was the last one",
                hint="see its log; has it enough memory?",
            ) from None
        except ModuleNotFoundError as error:
            raise UnlikeWorkerError(f"a worker of the cluster has no {error.name}", hint=_INSTALL) from None
        except BaseException:
            await self._client.cancel([future], force=True)
            raise
        if isinstance(found, BaseException):
            raise found
        return found


_INSTALL = f"install syncline {__version__} with what it needs on every worker"


@asynccontextmanager
async def opened_cluster(address: str, link: str) -> AsyncIterator[Cluster]:
    """Connect to a cluster for a block, once each of its workers has the package and a configuration.

    Args:
        address: of the scheduler.
        link: name of the link.

    Raises:
        SynclineError: there is no scheduler, or no worker, or ``distributed`` is not installed.
        UnlikeWorkerError: a worker has another release, or no configuration of the link.

    """
    try:
        from distributed import Client
    except ImportError as error:
        hint = "pip install 'syncline[dask]'"
        raise SynclineError("--dask needs the package `distributed`, which is not installed", hint=hint) from error
    connect: Any = Client
    try:
        client = await connect(address, asynchronous=True, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise SynclineError(f"no Dask scheduler answers at {address}: {said}", hint="see that it runs there") from error
    try:
        width = sum((await client.nthreads()).values())
        if not width:
            raise SynclineError(
                f"the Dask cluster at {address} has no worker", hint="start some: `dask worker ADDRESS`"
            )
        for worker, said in (await client.run(look_at_worker, link, on_error="return")).items():
            _require(worker, said)
        yield Cluster(client, link, width)
    finally:
        await client.close(timeout=CONNECT_SECONDS)


def _require(worker: str, said: Any) -> None:
    """Refuse a worker by name for what its look at itself has given.

    Raises:
        UnlikeWorkerError: it cannot do any part.

    """
    if isinstance(said, ModuleNotFoundError):
        raise UnlikeWorkerError(f"the worker {worker} has no {said.name}", hint=_INSTALL)
    if isinstance(said, SynclineError):
        hint = said.hint or "it reads SYNCLINE_CONFIG and its own environment"
        raise UnlikeWorkerError(f"the worker {worker}: {said.message}", hint=hint)
    if isinstance(said, BaseException):
        raise said
    if said != __version__:
        raise UnlikeWorkerError(f"the worker {worker} has Syncline {said}, the command {__version__}", hint=_INSTALL)


def look_at_worker(link: str) -> str:
    """Give the release of this worker, once its configuration can be read."""
    load(link=link or None)
    return __version__


def do_job(job: Any, link: str) -> Any:
    """Do a job in a thread of a worker, with connections that are opened for it; an error has the worker's name."""
    from distributed import get_worker

    found = ending.run(_done(job, link))
    if isinstance(found, SynclineError):
        found.message = f"the worker {get_worker().address}: {found.message}"
    return found


async def _done(job: Any, link: str) -> Any:
    try:
        settings = load(link=link or None)
    except SynclineError as error:
        return UnlikeWorkerError(error.message, hint=error.hint)
    with entered(settings.link):
        async with AsyncExitStack() as stack:
            return await answer(Performer(settings, stack), job)
