"""How often, and how long, what a database rejects is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Retries:
    """How rejected documents are tried again; outages count nothing, and are tried for ever."""

    attempts: int | None = 3
    """Then the document has failed. None: it is tried for ever."""
    delay: timedelta = timedelta(seconds=5)
    """Before the second attempt; twice as long before each further one."""
    longest: timedelta = timedelta(minutes=5)
