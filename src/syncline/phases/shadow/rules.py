"""What is read, and how much of it in the shadow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Protocol

from syncline.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Read:
    """One call of a repository."""

    collection: str
    method: str
    key: str | None = None
    """Of the record that it is about, if it is about one."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one record on both sides."""

    truth: int | None
    """Its version there; ``None``: it is not there."""
    other: int | None
    waiting: bool
    """Whether a change of it is still under way to the other side."""

    def __str__(self) -> str:
        """Say which side is newer."""
        if self.waiting:
            return "a change is still under way"
        if self.truth is not None and (self.other is None or self.other < self.truth):
            return f"the truth is newer: {_said(self.truth)}, the other side has {_said(self.other)}"
        if self.truth is None or (self.other or 0) > self.truth:
            return f"the other side is newer: {_said(self.other)}, the truth has {_said(self.truth)}"
        return f"both sides have version {self.truth}"


class Standings(Protocol):
    """Tells how a record stands."""

    async def standing(self, collection: str, key: str) -> Standing | None:
        """Look at both sides' versions of a record; ``None`` when nothing is known of it."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """How much is read in the shadow, and what a mismatch is.

    Raises:
        ConfigError: a value is out of its range.

    """

    share: float = 1.0
    """Of the reads, 0 to 1, by chance."""
    at_once: int = 8
    """Reads of the other side under way; what comes while there are as many is shed."""
    deadline: timedelta = timedelta(seconds=1)
    """Of a read of the other side."""
    rest: timedelta = timedelta(seconds=5)
    """After an error or a deadline the other side is left alone for so long."""
    looks: tuple[float, ...] = (0.2, 1.0, 5.0)
    """Seconds before each further look, when the first found a difference."""
    looking: int = 1000
    """Differences that wait for their next look; those above it are counted as unsettled."""
    masked: Mapping[str, Sequence[str]] = field(default_factory=lambda: MappingProxyType({}))
    """By collection (``*``: all), paths whose values no report shows: ``address.street``, ``tokens`` with all in it."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.share <= 1:
            raise ConfigError(f"share = {self.share} of the reads", hint="a number from 0 to 1")
        if self.at_once < 1 or self.looking < 1:
            raise ConfigError("at_once and looking are 1 at least", hint="share = 0 reads nothing in the shadow")
        if not self.looks or min(self.looks) < 0:
            raise ConfigError("looks: at least one number of seconds", hint="looks = (0.2, 1.0, 5.0)")

    def hidden(self, collection: str) -> tuple[str, ...]:
        """Give the paths whose values are not shown."""
        return (*self.masked.get(collection, ()), *self.masked.get("*", ()))


def _said(version: int | None) -> str:
    return "nothing" if version is None else f"version {version}"
