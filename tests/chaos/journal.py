"""What happened in a run, by the clock: faults, writes, and what readers of the target saw."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, str]
"""(collection, key text)."""


@dataclass(frozen=True, slots=True)
class Write:
    """A transaction's dealings with a key."""

    at: float
    what: str
    removes: bool
    """The key may be absent in the target after this."""


@dataclass
class Journal:
    """Written to by many threads; times are seconds since the run began."""

    began: float = field(default_factory=time.monotonic)
    events: list[tuple[float, str]] = field(default_factory=list)
    writes: dict[Key, list[Write]] = field(default_factory=lambda: defaultdict(list))
    sights: dict[Key, list[tuple[float, Any]]] = field(default_factory=lambda: defaultdict(list))
    """What readers saw of a key, each time that it had changed."""
    retired: set[Key] = field(default_factory=set)
    """Keys that writers shall not put again in this round."""
    power_cuts: list[float] = field(default_factory=list)
    """When the target lost its power: what it had shown but not made durable is gone."""
    aloud: bool = False
    """Print events as they come."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> float:
        """Give the seconds since the run began."""
        return time.monotonic() - self.began

    def note(self, text: str) -> None:
        """Write down an event."""
        with self._lock:
            self.events.append((self.now(), text))
        if self.aloud:
            print(f"{self.now():9.3f} {text}", flush=True)  # noqa: T201

    def wrote(self, key: Key, what: str, *, removes: bool = False) -> None:
        """Write down a write; before its commit and after it, since nobody knows when it takes effect in between."""
        with self._lock:
            self.writes[key].append(Write(self.now(), what, removes))

    def saw(self, key: Key, at: float, state: Any) -> None:
        """Write down what a reader saw."""
        self.sights[key].append((at, state))

    def timeline(self, last: int = 200) -> str:
        """Print the events."""
        return "\n".join(f"{at:9.3f} {text}" for at, text in self.events[-last:])

    def history(self, key: Key, last: int = 40) -> str:
        """Print what was written to a key and seen of it, in one line of time."""
        lines = [(write.at, f"wrote {write.what}") for write in self.writes.get(key, [])]
        lines += [(at, f"saw   {state}") for at, state in self.sights.get(key, [])]
        lines.sort()
        return "\n".join(f"{at:9.3f} {text}" for at, text in lines[-last:])
