"""Who does the jobs of bulk work: this process, other processes of this host, or other hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Same:
    """What must be the same wherever a job is done; neither names nor passwords of servers are in it."""

    release: str
    guard: str
    """This source, on this timeline, as installed now: see ``Passes.guard``."""
    mapping: str
    """Fingerprint of the entity."""


class Executor(Protocol):
    """Has jobs done elsewhere.

    A job is a small value that says all there is to know but for settings; it may be done twice.
    """

    @property
    def width(self) -> int:
        """How many are done at a time."""
        ...

    async def run(self, job: Any) -> Any:
        """Have a job done, and again where whoever does it is lost; its result and its errors come from here."""
        ...
