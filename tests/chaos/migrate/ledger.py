"""What writers have written down, and what follows from it: no acknowledged write lost, no answer from before one.

Each line of a writer's file is a list: what it is about to do, or what came of it. A writer does one thing after the
other, so that of what it alone writes it knows what must be there: what was acknowledged last, or something whose
outcome it was never told.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIFE = 100_000
"""Numbers of a process's writes begin with how many processes were there before."""
PROMISING = {"shadow", "ramp", "live"}
"""Phases in which a delete was that of one that leaves a tombstone, if it was asked for and told in them."""
DONE, ABSENT, THERE, REFUSED, UNKNOWN = "done", "absent", "there", "refused", "unknown"
Value = int | None
"""The number of the write that a key is of; ``None``: there is no document."""
Place = tuple[int, str]
"""A writer and a key."""


@dataclass
class Known:
    """What a writer knows of a key."""

    certain: Value = None
    """Of the last write that was acknowledged."""
    maybe: set[Value] = field(default_factory=set)
    """Of writes whose outcome nobody knows: each may have come last."""
    counted: int = 0
    uncounted: int = 0
    """How often it has counted, and perhaps has."""
    life: int = -1
    """The process that wrote it last through the service; -1: it was written past it, by nobody, or perhaps deleted in
    `off`, where no tombstone is left, and rows stay until a repair."""

    @property
    def possible(self) -> set[Value]:
        return {self.certain, *self.maybe}


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of the phase that somebody has asked for."""

    began: float
    ended: float
    """When it was said to be in effect; infinite: it was never said."""
    phase: str


@dataclass
class Ledger:
    """Read again and again from the files of the processes."""

    known: defaultdict[Place, Known] = field(default_factory=lambda: defaultdict(Known))
    acknowledged: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reads: Counter[str] = field(default_factory=Counter)
    last: dict[int, float] = field(default_factory=dict)
    """When each writer was acknowledged something last."""
    wrong: list[str] = field(default_factory=list)
    begun: list[tuple[float, float, str, int]] = field(default_factory=list)
    """Of each write and read since the last judgement: when the phase was asked for and told, which it was, and whose it is."""
    histories: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """By key, the last lines about it."""
    _open: dict[int, list[Any]] = field(default_factory=dict)
    _places: Counter[Path] = field(default_factory=Counter)

    def read(self, files: Iterable[Path]) -> None:
        """Take over what is new; a line that is not whole yet is read the next time."""
        for path in sorted(files):
            with path.open("rb") as file:
                file.seek(self._places[path])
                whole, newline, _ = file.read().rpartition(b"\n")
            self._places[path] += len(whole) + len(newline)
            for line in whole.decode().splitlines():
                self._note(json.loads(line))

    def under_way(self, lives: Mapping[int, int]) -> list[int]:
        """Name the writers that are in the midst of something; ``lives``: writer to the life of its process."""
        return [slot for slot, one in self._open.items() if one[2] // LIFE == lives[slot]]

    def since(self, moment: float) -> set[int]:
        """Name the writers that were acknowledged something after a moment."""
        return {slot for slot, at in self.last.items() if at > moment}

    def _note(self, line: list[Any]) -> None:
        kind, slot = line[0], line[1]
        if kind == "!":
            self.wrong.append(f"writer {slot} met an error that nobody had announced: {line[2]}")
        elif kind == "begin":
            self._close(slot)
            self._open[slot] = line
            self.begun.append((line[5], line[6], line[7], slot))
            self._remember(line[4], line)
        elif kind == "end":
            begun = self._open.pop(slot)
            self._remember(begun[4], line)
            self._judge(begun, *line[2:])
        elif kind == "read":
            if slot in self._open:  # who was killed before, and has begun anew
                self._close(slot)
            self.begun.append((line[3], line[4], line[5], slot))
            self._remember([line[6]], line)
            self._seen(line)

    def _remember(self, keys: Sequence[str], line: list[Any]) -> None:
        for key in keys:
            self.histories[key] = [*self.histories[key][-30:], json.dumps(line)]

    def close(self) -> None:
        """Take what nobody has ended for something of unknown outcome: all processes rest or are gone."""
        for slot in list(self._open):
            self._close(slot)

    def _close(self, slot: int) -> None:
        """A process that was killed in the midst of something has not said what came of it."""
        if slot in self._open:
            begun = self._open.pop(slot)
            self._judge(begun, 0.0, [UNKNOWN] * len(begun[4]))

    def _judge(self, begun: list[Any], ended: float, outcomes: Sequence[str], phase: str = "") -> None:
        _, slot, number, what, keys, _, _, before = begun
        unpromised = what["effect"] == "gone" and not {before, phase} <= PROMISING
        for key, outcome in zip(keys, outcomes, strict=True):
            self.outcomes[outcome] += 1
            known = self.known[slot, key]
            value = None if what["effect"] == "gone" else number
            counts = what["counts"]
            if outcome == DONE:
                known.certain, known.counted = value, known.counted + counts
                known.life = number // LIFE if what["by_service"] and not unpromised else -1
                self.acknowledged += 1
                self.last[slot] = max(self.last.get(slot, 0.0), ended)
            elif outcome == UNKNOWN:
                known.maybe.add(value)
                known.uncounted += counts
                known.life = -1
            elif outcome == ABSENT and None not in known.possible:
                self.wrong.append(f"writer {slot} was told that {key} is not there, at {number}: {known}")
            elif outcome == THERE and known.possible == {None}:
                self.wrong.append(f"writer {slot} was told that {key} is there, at {number}: {known}")

    def _seen(self, line: Sequence[Any]) -> None:
        """Judge what a writer has read of a key of its own; a ramp promises what this process wrote by the service."""
        _, slot, life, _, _, phase, key, value, how, in_ramp = line
        known = self.known[slot, key]
        promised = how == "truth" or not in_ramp or known.life == life
        self.reads[f"{how} in {'ramp' if in_ramp else phase}{'' if promised else ', not promised'}"] += 1
        if promised and value not in known.possible:
            self.wrong.append(f"writer {slot} reads {value} of {key} ({how}, in {phase}), and wrote {known}")

    # -- the judgement

    def against(self, documents: Mapping[str, Mapping[str, Any]], keys: Iterable[str]) -> Iterator[str]:
        """Say what is wrong with what MongoDB has, when nothing is on its way any more; what is there is certain then."""
        yield from self.wrong
        self.wrong.clear()
        for (slot, key), known in self.known.items():
            document = documents.get(key)
            value = None if document is None else document.get(f"w{slot}", 0)
            if value not in known.possible:
                yield f"{key} has {value} of writer {slot}, who wrote {known}"
            counted = 0 if document is None else document.get(f"h{slot}", 0)
            if key.startswith("s") and not known.counted <= counted <= known.counted + known.uncounted:
                yield f"{key} was counted {counted} times by writer {slot}, who did so {known.counted} times: {known}"
            known.certain, known.maybe = value, set()
            known.counted, known.uncounted = counted, 0
        if strangers := documents.keys() - {*keys}:
            yield f"documents that nobody has written: {sorted(strangers)[:5]}"

    def outdated(self, changes: Sequence[Changed], first: str) -> Iterator[str]:
        """Name what went by a phase that was over: whoever began after a change was in effect goes by it, or a later one."""
        for began, told, phase, slot in self.begun:
            done = [place for place, one in enumerate(changes) if one.ended < began]
            since = done[-1] if done else -1
            allowed = {changes[since].phase if done else first}
            allowed |= {one.phase for one in changes[since + 1 :] if one.began <= told}
            if phase not in allowed:
                yield f"writer {slot} went by {phase} at {began:.3f}, when {' or '.join(sorted(allowed))} was in effect"
        self.begun.clear()
