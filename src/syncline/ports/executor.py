"""Who does the jobs of bulk work: this process, other processes of this host, or other hosts."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol

from syncline.model.link import Link


@dataclass(frozen=True, slots=True)
class Same:
    """What must be the same wherever a job is done; neither names nor passwords of servers are in it."""

    release: str
    guard: str
    """This source, on this timeline, as installed now: see ``Passes.guard``."""
    mapping: str
    """Fingerprint of the entity."""
    owner: str = ""
    """Whose copy the target is: installation and system; empty: the target does not matter, or the guard tells."""
    renewals: int = 0
    """As many had reached the target: a copy that was made of it before stays behind."""


class Executor(Protocol):
    """Has jobs done elsewhere.

    A job is a small value that says all there is to know but for settings; it may be done twice, even at the same time.
    """

    @property
    def width(self) -> int:
        """How many are done at a time."""
        ...

    async def run(self, job: Any) -> Any:
        """Have a job done, and again where whoever does it is lost; its result and its errors come from here."""
        ...


class Performer(Protocol):
    """Does jobs in a process."""

    async def perform(self, job: Any) -> Any:
        """Do a job.

        Raises:
            SynclineError: as of the job.

        """
        ...


class Origin(Protocol):
    """How a host finds the work with a configuration of its own: besides jobs this is all that a cluster is sent."""

    def work(self) -> Work:
        """Read the configuration of this host.

        Raises:
            SynclineError: there is none of it.

        """
        ...


class Work(Protocol):
    """What jobs are about, settings included: goes as it is to processes of the same command, and nowhere else."""

    @property
    def link(self) -> Link:
        """Whose it is."""
        ...

    @property
    def origin(self) -> Origin:
        """How another host finds the same."""
        ...

    def performer(self, stack: AsyncExitStack) -> Performer:
        """Make what does its jobs; what that opens is closed with the stack."""
        ...
