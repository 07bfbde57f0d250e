"""Jobs of bulk work on an existing Dask cluster: ``dask.distributed`` schedules them, does them again, and shows them.

Workers read settings of their own, from ``SYNCLINE_CONFIG`` and their environment: neither URLs nor passwords are sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

from syncline import ending
from syncline.errors import SynclineError, UnlikeWorkerError, WorkerLostError
from syncline.executing.answering import answer
from syncline.model.link import entered
from syncline.ports import Origin
from syncline.version import __version__

CONNECT_SECONDS = 10.0
LOOK_SECONDS = 30.0
"""So long workers have to say who they are."""


class Cluster:
    """See ``syncline.ports.Executor``.

    Args:
        client: of ``distributed``, asynchronous; it stays the caller's.
        address: of the scheduler.
        origin: how workers find what the jobs are about.
        width: threads of the workers. Those that join later take jobs, too, but no more at a time: the rate is divided
            by this number.

    """

    def __init__(self, client: Any, address: str, origin: Origin, width: int) -> None:
        self._client, self._address, self._origin, self.width = client, address, origin, width
        self._turns = asyncio.Semaphore(width)

    async def run(self, job: Any) -> Any:
        """Have a job done by a worker of the cluster; one that is lost is Dask's to replace."""
        async with self._turns:
            found = await self._done(job)
        if isinstance(found, BaseException):
            raise found
        return found

    async def _done(self, job: Any) -> Any:
        """Give what ``do_job`` has said; it raises nothing, so whatever is raised here is Dask's.

        Raises:
            UnlikeWorkerError: a worker could not read the job.
            WorkerLostError: workers end over it, or the scheduler is gone.

        """
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        future = None
        try:
            future = self._client.submit(do_job, job, self._origin, pure=False)
            return await future
        except KilledWorker as error:
            raise WorkerLostError(
                f"workers of the cluster end over the same part: {error.last_worker.address} was the last one",
                hint="see its log; has it enough memory?",
            ) from None
        except FutureCancelledError as error:
            raise self._gone(error.msg) from None
        except Exception as error:
            if self._client.status != "running":
                raise self._gone(str(error)) from error
            raise UnlikeWorkerError(
                f"a worker of the cluster cannot read what it is to do: {type(error).__name__}: {error}", hint=_INSTALL
            ) from error
        except BaseException:
            if future is not None:
                with suppress(Exception):  # when the scheduler is gone, there is nothing to cancel
                    await self._client.cancel([future], force=True)
            raise

    def _gone(self, said: str | None) -> WorkerLostError:
        said = (said or "the connection is closed").splitlines()[0]
        return WorkerLostError(
            f"the Dask scheduler at {self._address} is lost, and with it what its workers were at: {said}",
            hint="when it runs again, start the command anew: it goes on as after Ctrl-C",
        )


_INSTALL = f"install syncline {__version__} with what it needs on every worker"


@asynccontextmanager
async def opened_cluster(address: str, origin: Origin) -> AsyncIterator[Cluster]:
    """Connect to a cluster for a block, once each of its workers has the package and a configuration.

    Args:
        address: of the scheduler.
        origin: how workers find what the jobs are about.

    Raises:
        SynclineError: there is no scheduler, or no worker, or ``distributed`` is not installed.
        UnlikeWorkerError: a worker has another release, or no configuration of the link.

    """
    try:
        from distributed import Client
    except ImportError as error:
        hint = "pip install 'syncline[dask]'"
        raise SynclineError("--dask needs the package `distributed`, which is not installed", hint=hint) from error
    with _quiet():
        client = await _connected(Client, address)
        try:
            width = sum((await client.nthreads()).values())
            if not width:
                raise SynclineError(
                    f"the Dask cluster at {address} has no worker", hint="start some: `dask worker ADDRESS`"
                )
            for worker, said in (await _looked(client, origin)).items():
                _require(worker, said)
            yield Cluster(client, address, origin, width)
        finally:
            await client.close(timeout=CONNECT_SECONDS)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what ``distributed`` logs of a lost scheduler, tracebacks included, from a command: it says so itself."""
    logs = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)


async def _connected(connect: Any, address: str) -> Any:
    """Connect to a scheduler.

    Raises:
        SynclineError: none answers.

    """
    client = None
    try:
        client = connect(address, asynchronous=True, timeout=CONNECT_SECONDS, set_as_default=False)
        return await client
    except (OSError, ValueError, TypeError, RuntimeError) as error:  # the last ones: TLS that is not configured
        if client is not None:
            with suppress(Exception):
                await client.close(timeout=CONNECT_SECONDS)  # or it ends when nobody can wait for it
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise SynclineError(f"no Dask scheduler answers at {address}: {said}", hint="see that it runs there") from error


async def _looked(client: Any, origin: Origin) -> dict[str, Any]:
    """Have each worker look at itself.

    Raises:
        WorkerLostError: one does not answer.

    """
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            found: dict[str, Any] = await client.run(look_at_worker, origin, on_error="return")
    except TimeoutError:
        raise WorkerLostError(
            f"a worker of the cluster has not answered for {LOOK_SECONDS:.0f} s",
            hint="see which one hangs on the cluster's dashboard, and end it",
        ) from None
    return found


def _require(worker: str, said: Any) -> None:
    """Refuse a worker by name for what its look at itself has given.

    Raises:
        UnlikeWorkerError: it cannot do any part.
        WorkerLostError: it is gone.

    """
    if isinstance(said, SynclineError):
        hint = said.hint or "it reads SYNCLINE_CONFIG and its own environment"
        raise UnlikeWorkerError(f"the worker {worker}: {said.message}", hint=hint)
    if isinstance(said, ModuleNotFoundError):
        raise UnlikeWorkerError(f"the worker {worker} has no {said.name}", hint=_INSTALL)
    if isinstance(said, OSError):
        raise WorkerLostError(f"the worker {worker} does not answer: {said}", hint="is it gone? start the command anew")
    if isinstance(said, BaseException):
        raise UnlikeWorkerError(f"the worker {worker}: {type(said).__name__}: {said}", hint=_INSTALL)
    if said != __version__:
        raise UnlikeWorkerError(f"the worker {worker} has Syncline {said}, the command {__version__}", hint=_INSTALL)


def look_at_worker(origin: Origin) -> str:
    """Give the release of this worker, once its configuration can be read."""
    origin.work()
    return __version__


def do_job(job: Any, origin: Origin) -> Any:
    """Do a job in a thread of a worker, with connections that are opened for it; an error has the worker's name."""
    from distributed import get_worker

    found = ending.run(_answered(job, origin))
    if isinstance(found, SynclineError):
        found.message = f"the worker {get_worker().address}: {found.message}"
    return found


async def _answered(job: Any, origin: Origin) -> Any:
    try:
        work = origin.work()
    except SynclineError as error:
        return UnlikeWorkerError(error.message, hint=error.hint)
    with entered(work.link):
        async with AsyncExitStack() as stack:
            return await answer(work.performer(stack), job)
