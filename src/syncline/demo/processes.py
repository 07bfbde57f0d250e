"""The worker, the traffic and the services of the demo, and what they report."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from syncline.demo.children import Child, Lines
from syncline.demo.environment import Environment
from syncline.demo.formatting import duration, number
from syncline.demo.picture import Picture, WorkerState
from syncline.demo.scenario import Service
from syncline.embedded.paths import LOOPBACK

CALM_PAUSE_SECONDS = 0.1
"""Mean pause of a user when the show is over and the traffic goes on."""


class Processes:
    """Starts and ends the processes; what they say goes into the picture."""

    def __init__(self, environment: Environment, picture: Picture) -> None:
        self._environment = environment
        self._picture = picture
        self._children: list[Child] = []
        self._workers: list[Child] = []
        self._traffic: Child | None = None
        self._services: dict[Service, Child] = {}
        self.in_charge = False
        """Whether the newest worker has lanes."""
        self.bursts = 0
        self.stopped = False
        """Whether the traffic has said its last word."""

    def start_worker(self) -> None:
        """Start a worker; ``in_charge`` when it has its lanes."""
        self.in_charge = False
        arguments = ["syncline.cli.main", "worker", "-c", str(self._environment.config)]
        worker = self._start("worker", arguments, f"worker-{len(self._workers) + 1}.log")
        self._workers.append(worker)
        self._picture.worker_pid = worker.pid

    def start_services(self) -> None:
        """Start the processes beside the worker; ``serving`` when all of them answer."""
        for service in self._environment.prepared.services:
            self._services[service] = self._start(service.name, service.arguments, f"{service.name}.log")

    @property
    def serving(self) -> bool:
        """Whether all services take connections."""
        return all(_answers(service.port) for service in self._services)

    def kill_worker(self) -> int:
        """SIGKILL for the worker; return which process it was."""
        worker = self._workers[-1]
        worker.kill_9()
        self.in_charge = False
        self._picture.kills += 1
        self._picture.worker = WorkerState.KILLED
        return worker.pid

    def revive_worker(self) -> bool:
        """Start another worker if somebody has ended this one; tell whether that was so."""
        if self._workers[-1].running:
            return False
        self.start_worker()
        self._picture.worker = WorkerState.WAITING
        return True

    def start_traffic(self, seconds: float, *, bursts: Sequence[float] = (), rows: int = 0) -> None:
        """Start the traffic: for so long with these bursts, or calm and until the end for 0."""
        self.stopped = False
        length = ["--seconds", f"{seconds}"] if seconds else ["--pause", f"{CALM_PAUSE_SECONDS}"]
        when = [f"--burst-at={second}" for second in bursts]
        arguments = [*self._environment.prepared.traffic, *length, *when, f"--burst-rows={rows}"]
        self._picture.restart(time.monotonic(), seconds)
        self._traffic = self._start("traffic", arguments, f"traffic-{len(self._children)}.log")

    def listen(self) -> None:
        """Hear what was said since the last time."""
        if self._traffic is not None:
            for report in self._traffic.lines.new():
                self._hear_traffic(report)
        for worker in self._workers:
            for line in worker.lines.new():
                self._hear_worker(line, newest=worker is self._workers[-1])

    def check(self) -> None:
        """See that everybody who should be here is.

        Raises:
            SynclineError: a process has ended on its own.

        """
        for service in self._services.values():
            service.check()
        if self._workers and self._picture.worker is not WorkerState.KILLED:
            self._workers[-1].check()
        self.check_traffic()

    def check_traffic(self) -> None:
        """See that the traffic goes on, or has ended as it should.

        Raises:
            SynclineError: it has not.

        """
        if self._traffic is not None and not self.stopped:
            self._traffic.check()

    def end(self) -> None:
        """End every process that was started here."""
        for child in self._children:
            child.end()

    def _start(self, name: str, arguments: Sequence[str], log: str) -> Child:
        environment = self._environment
        lines = Lines(environment.folder / log)
        child = Child(
            name, arguments, folder=environment.folder, lines=lines, environment=environment.prepared.environment
        )
        self._children.append(child)
        return child

    def _hear_traffic(self, report: Mapping[str, Any]) -> None:
        if "at" not in report:
            return
        self._picture.traffic(report)
        match report.get("event"):
            case "burst":
                self.bursts += 1
                took = duration(report["took"])
                where = report.get("where", "in one transaction")
                self._picture.note(f"burst: {number(report['rows'])} rows {where}, committed in {took}")
            case "stopped":
                self.stopped = True
            case _:
                pass

    def _hear_worker(self, line: Mapping[str, Any], *, newest: bool) -> None:
        match line.get("event"):
            case "batch":
                self._picture.batch(line)
            case "lanes" if newest and line["owned"]:
                self.in_charge = True
                self._picture.worker = WorkerState.WORKING
            case _:
                pass


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=0.2):
        return True
    return False
