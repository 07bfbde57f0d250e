"""What the processes of the application have written down, and what follows from it: nothing lost, doubled or stale."""

from __future__ import annotations

import bisect
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.switches.application import LIFE

Write = tuple[int, int]
"""Slot and number."""


@dataclass(frozen=True, slots=True)
class Item:
    """A row that a write has left."""

    key: int
    write: Write
    seen: int
    side: str
    at: float


@dataclass(frozen=True, slots=True)
class Failed:
    """A request that was not answered as it should be."""

    began: float
    ended: float
    said: str


@dataclass
class Book:
    """Read again and again from the files of the processes."""

    tried: set[Write] = field(default_factory=set)
    acknowledged: dict[Write, tuple[float, int, float]] = field(default_factory=dict)
    """When, with which key, and when its transaction began to read."""
    acknowledgements: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By slot, in order."""
    unknown: set[Write] = field(default_factory=set)
    failed: dict[Write, Failed] = field(default_factory=dict)
    failures: list[Failed] = field(default_factory=list)
    """Of writes and reads, those of unknown outcome included."""
    waits: list[float] = field(default_factory=list)
    """Seconds of each write that was acknowledged."""
    reads: list[float] = field(default_factory=list)
    _places: Counter[Path] = field(default_factory=Counter)

    def read(self, files: Iterable[Path]) -> None:
        """Take over what is new; a line that is not whole yet is read the next time."""
        for path in files:
            with path.open("rb") as file:
                file.seek(self._places[path])
                whole, newline, _ = file.read().rpartition(b"\n")
            self._places[path] += len(whole) + len(newline)
            for line in whole.decode(errors="replace").splitlines():
                self._note(*line.split(" "))

    def _note(self, kind: str, *words: str) -> None:
        began = float(words[0])
        if kind == "t":
            self.tried.add((int(words[1]), int(words[2])))
            return
        ended = float(words[1])
        if kind == "r":
            self.reads.append(ended - began)
        elif kind == "x":
            self.failures.append(Failed(began, ended, "a read: " + " ".join(words[2:])))
        elif kind == "a":
            write = (int(words[2]), int(words[3]))
            self.acknowledged[write] = (ended, int(words[4]), float(words[5]))
            self.acknowledgements[write[0]].append(ended)
            self.waits.append(ended - began)
        else:
            write, failed = (int(words[2]), int(words[3])), Failed(began, ended, " ".join(words[4:]))
            self.failures.append(failed)
            if kind == "u":
                self.unknown.add(write)
            else:
                self.failed[write] = failed

    def under_way(self, lives: Mapping[int, int]) -> set[Write]:
        """Give what processes that live have begun and not said more of; ``lives``: slot to the life of its process."""
        open_ = self.tried - self.acknowledged.keys() - self.unknown - self.failed.keys()
        return {write for write in open_ if write[1] // LIFE == lives.get(write[0])}

    def since(self, moment: float, slots: Iterable[int]) -> bool:
        """Tell whether a write of each slot was acknowledged after a moment."""
        return all(self.acknowledgements[slot][-1:] > [moment] for slot in slots)

    # -- the judgement

    def against(self, items: Sequence[Item], tallies: Mapping[int, int], watched: Mapping[int, int]) -> Iterator[str]:
        """Say what is wrong with the rows, when nothing is on its way any more."""
        rows: dict[Write, list[Item]] = defaultdict(list)
        for item in items:
            rows[item.write].append(item)
        for write in self.acknowledged:
            if len(rows[write]) != 1:
                yield f"{write} was acknowledged, and is there {len(rows[write])} times"
            elif rows[write][0].key != self.acknowledged[write][1]:
                yield f"{write} was acknowledged as {self.acknowledged[write][1]}, and is {rows[write][0].key}"
        for write, found in rows.items():
            if write not in self.tried:
                yield f"{write} was never asked for"
            elif write in self.failed and found:
                yield f"{write} is there, and was refused: {self.failed[write].said}"
            elif len(found) > 1 and write not in self.acknowledged:
                yield f"{write} is there {len(found)} times"
        counted = Counter(item.write[0] for item in items)
        for slot in counted.keys() | tallies.keys():
            if counted[slot] != tallies.get(slot, 0):
                yield f"slot {slot} has {counted[slot]} rows, and its tally says {tallies.get(slot)}: an update was lost"
        yield from self._stale(rows, watched)

    def _stale(self, rows: Mapping[Write, Sequence[Item]], watched: Mapping[int, int]) -> Iterator[str]:
        times = {slot: sorted(found) for slot, found in self.acknowledgements.items()}
        for write, (_, _, read) in self.acknowledged.items():
            before = bisect.bisect_left(times.get(watched[write[0]], []), read)
            for item in rows[write]:
                if item.seen < before:
                    yield f"{write} has seen {item.seen} of {before} writes that were acknowledged before it read"


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of a gate."""

    at: float
    side: str
    mode: str
    number: int


def openings(changes: Sequence[Changed]) -> list[Changed]:
    """Those with which the other side began to serve; the first side serves at the beginning."""
    found, serving = [], "primary"
    for change in sorted(changes, key=lambda one: one.at):
        if change.mode == "a" and change.side != serving:
            serving = change.side
            found.append(change)
    return found


def windows(changes: Sequence[Changed]) -> dict[str, list[tuple[float, float]]]:
    """Say when each side accepted writes."""
    found: dict[str, list[tuple[float, float]]] = {"primary": [], "data": []}
    since: dict[str, float | None] = {"primary": float("-inf"), "data": None}
    for change in sorted(changes, key=lambda one: one.at):
        opened = since[change.side]
        if change.mode == "a" and opened is None:
            since[change.side] = change.at
        elif change.mode != "a" and opened is not None:
            found[change.side].append((opened, change.at))
            since[change.side] = None
    for side, opened in since.items():
        if opened is not None:
            found[side].append((opened, float("inf")))
    return found


def both(changes: Sequence[Changed]) -> Iterator[str]:
    """Name the times at which both sides accepted writes."""
    found = windows(changes)
    for a in found["primary"]:
        for b in found["data"]:
            if min(a[1], b[1]) > max(a[0], b[0]):
                yield f"both sides accept writes from {max(a[0], b[0]):.3f} to {min(a[1], b[1]):.3f}"


def neither(changes: Sequence[Changed]) -> list[tuple[float, float]]:
    """Give the times at which no side accepted writes."""
    spans = sorted(span for side in windows(changes).values() for span in side)
    found, until = [], float("-inf")
    for begin, end in spans:
        if begin > until > float("-inf"):
            found.append((until, begin))
        until = max(until, end)
    if until < float("inf"):
        found.append((until, time.time()))
    return found


def outside(items: Iterable[Item], changes: Sequence[Changed]) -> Iterator[str]:
    """Name rows that were written on a side while it did not accept writes."""
    found = windows(changes)
    for item in items:
        if not any(begin <= item.at <= end for begin, end in found[item.side]):
            yield f"{item.write} was written on {item.side} at {item.at:.3f}, when that did not accept writes"
