"""Those who do jobs for a command: what hangs, what is lost, how many are asked at a time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import aclosing
from types import SimpleNamespace

import pytest
from distributed.client import FutureCancelledError

from syncline.config.settings import Settings, SourceSettings, TargetSettings
from syncline.errors import SynclineError, UnlikeWorkerError, WorkerLostError
from syncline.executing import child, clusters, processes
from syncline.executing.clusters import Cluster, _answered
from syncline.executing.frames import framed
from syncline.executing.parts import Parts, Sizes
from syncline.executing.processes import Processes
from syncline.wiring.work import LinkWork


async def test_a_process_that_says_nothing_is_killed_and_its_job_is_another_ones(monkeypatch):
    started = []
    start = Processes._start

    async def stopped_first(self):
        process = await start(self)
        monkeypatch.setattr(processes, "SILENT_SECONDS", 60.0 if started else 0.3)
        if not started:
            os.kill(process.pid, signal.SIGSTOP)
        started.append(process.pid)
        return process

    monkeypatch.setattr(Processes, "_start", stopped_first)
    settings = Settings(SourceSettings(url="postgresql://x/y"), TargetSettings(url="mongodb://x/y"))
    async with asyncio.timeout(45), Processes(LinkWork(settings), 1) as executor:
        with pytest.raises(RuntimeError, match="no job: str"):
            await executor.run("anything")
        assert [process.pid for process in executor._all] == started[1:]
    assert len(started) == 2


@pytest.mark.parametrize("job", ["anything", "x" * (1 << 20)], ids=["no answer", "not read"])
async def test_of_processes_that_hang_it_is_said(monkeypatch, job):
    start = Processes._start

    async def stopped(self):
        process = await start(self)
        os.kill(process.pid, signal.SIGSTOP)
        return process

    monkeypatch.setattr(Processes, "_start", stopped)
    monkeypatch.setattr(processes, "SILENT_SECONDS", 0.1)
    async with asyncio.timeout(45), Processes(LinkWork(None), 1) as executor:
        with pytest.raises(WorkerLostError, match=r"said nothing for 0\.1 s and was killed, 3 times") as raised:
            await executor.run(job)
        assert executor._all == []
    assert "see what it waits for" in raised.value.hint


LATE = """
import asyncio
from syncline.executing import child

def late():
    raise asyncio.InvalidStateError

async def serve(answers):
    asyncio.current_task().cancel()
    asyncio.get_running_loop().call_soon(late)
    await asyncio.sleep(100)

child.serve = serve
child.main()
"""


def test_a_process_that_gives_up_prints_no_traceback_of_a_callback():
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


async def test_a_process_that_cannot_be_started_is_an_error_of_ours(monkeypatch):
    def refused(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refused)
    async with Processes(LinkWork(None), 2) as executor:
        with pytest.raises(WorkerLostError, match="no process can be started: Resource temporarily unavailable"):
            await executor.run("anything")


async def test_whoever_is_at_work_says_so(monkeypatch):
    monkeypatch.setattr(child, "BEAT_SECONDS", 0.01)
    there, here = os.pipe()
    beating = asyncio.create_task(child._beat(here))
    said = framed(())
    assert await asyncio.to_thread(lambda: [os.read(there, len(said)) for _ in range(3)]) == [said] * 3
    beating.cancel()
    await asyncio.wait({beating})
    await asyncio.get_running_loop().shutdown_default_executor()  # whoever writes has written
    os.close(here)
    os.close(there)


async def test_an_answer_comes_behind_what_says_that_it_will_come():
    reader = asyncio.StreamReader()
    for said in ((), (), ("answer",)):
        reader.feed_data(framed(said))

    async def drained():
        pass

    pipe = SimpleNamespace(write=lambda _: None, drain=drained)
    assert await processes._asked(SimpleNamespace(stdin=pipe, stdout=reader), 5) == "answer"


class Client:
    """A client of a cluster whose workers answer what they are told to."""

    status = "running"

    def __init__(self, answers):
        self.answers, self.at_a_time, self.most, self.cancelled = answers, 0, 0, 0

    def submit(self, function, job, origin, *, pure):
        return self._future(job)

    async def _future(self, job):
        self.at_a_time += 1
        self.most = max(self.most, self.at_a_time)
        await asyncio.sleep(0.001)
        self.at_a_time -= 1
        found = self.answers.get(job, job)
        if isinstance(found, Exception) and not isinstance(found, SynclineError):
            raise found
        return found

    async def cancel(self, futures, *, force):
        self.cancelled += 1
        raise OSError("closed")


def cluster(client, width=2):
    return Cluster(client, "tcp://there:8786", None, width)


async def test_no_more_jobs_are_done_at_a_time_than_there_were_threads():
    client = Client({})
    asked = cluster(client)
    assert await asyncio.gather(*map(asked.run, range(20))) == [*range(20)]
    assert client.most == 2


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (SynclineError("the worker tcp://a: no"), SynclineError, "^the worker tcp://a: no"),
        (FutureCancelledError("key", None, "lost.\nmore"), WorkerLostError, "tcp://there:8786 is lost.*: lost"),
        (FutureCancelledError("key", None), WorkerLostError, "the connection is closed"),
        (AttributeError("no do_job"), UnlikeWorkerError, "cannot read what it is to do: AttributeError: no do_job"),
    ],
)
async def test_what_befalls_a_job_is_an_error_of_ours(answer, kind, said):
    with pytest.raises(kind, match=said):
        await cluster(Client({1: answer})).run(1)


async def test_what_a_closed_client_says_is_that_the_scheduler_is_lost():
    client = Client({1: OSError("Client is closed")})
    client.status = "closed"
    with pytest.raises(WorkerLostError, match="with it what its workers were at: Client is closed"):
        await cluster(client).run(1)


async def test_an_interrupted_job_is_cancelled_though_the_scheduler_is_gone():
    client = Client({})
    running = asyncio.create_task(cluster(client).run(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert client.cancelled == 1


async def test_a_worker_without_a_configuration_says_so():
    def work():
        raise SynclineError("no file", hint="make one")

    found = await _answered(5, SimpleNamespace(work=work))
    assert (type(found), found.message, found.hint) == (UnlikeWorkerError, "no file", "make one")


async def test_parts_come_in_their_order_and_what_is_left_of_one_comes_next():
    async def cut():
        for number in range(6):
            yield number

    waited_for, done = asyncio.Event(), []

    class Late:
        width = 2

        async def run(self, job):
            if job == 1:
                await waited_for.wait()
            done.append(job)
            return job

    parts = Parts(Late(), cut(), lambda part: part, beat=0.005)
    found = []
    async with aclosing(parts.results()) as results:
        async for part, result in results:
            if result is None:
                waited_for.set()
                continue
            found.append((part, result))
            if part == 2:
                parts.again(20)
    assert found == [(part, part) for part in (0, 1, 2, 20, 3, 4, 5)]
    assert done.index(1) > done.index(2)


def test_a_part_takes_about_as_long_as_it_should():
    sizes = Sizes(1000, 100, 5000)
    for done, seconds, size in ((1000, 1.0, 2000), (0, 9.0, 2000), (2000, 0.1, 4000), (4000, 1.0, 5000), (1, 5.0, 100)):
        sizes.fit(done, seconds)
        assert sizes.size == size


@pytest.mark.parametrize(
    ("address", "said"), [("tls://127.0.0.1:9", "TLS"), ("tcp://127.0.0.1:9", "Timed out"), ("nonsense", "port")]
)
async def test_a_scheduler_that_cannot_be_reached_is_said_with_its_address(monkeypatch, address, said):
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 0.3)
    with pytest.raises(SynclineError, match=f"no Dask scheduler answers at {address}: .*{said}"):
        async with clusters.opened_cluster(address, None):
            pass
