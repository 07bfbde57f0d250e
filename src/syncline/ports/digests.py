"""Sides that sum up their records by themselves, in one form: what is equal need not travel.

A record's hash is one of 64 bits over its values as texts, ``NULL`` told from empty. It finds what went wrong by
itself; it is no seal against somebody who looks for two records of one hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from syncline.ports.records import Plan


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the order of keys, by key texts: from ``first`` (included) up to ``end`` (not included)."""

    first: str | None = None
    """``None``: from the beginning."""
    end: str | None = None
    """``None``: to the end."""
    passed: bool = False
    """``first`` itself has been dealt with."""

    def rest(self, end: str | None) -> Stretch:
        """Give what comes after it, up to ``end``."""
        return Stretch(self.end, end)


@dataclass(frozen=True, slots=True)
class Sum:
    """Records of a stretch, in any order."""

    records: int
    digest: int
    """The sum of their hashes."""


class SourceDigests(Protocol):
    """Sums and hashes of the side that holds the truth, for first looks: see ``Pages``.

    Every method may raise ``SourceError`` (``of_records``) where a record cannot be read.
    """

    async def boundary(self, plan: Plan, stretch: Stretch, size: int) -> str | None:
        """Find the key behind about so many records; ``None``: no more are left."""
        ...

    async def sum(self, plan: Plan, stretch: Stretch, *, keys_only: bool) -> Sum:
        """Sum up a stretch."""
        ...

    async def hashes(
        self, plan: Plan, stretch: Stretch, *, keys_only: bool, limit: int | None = None
    ) -> list[tuple[str, int]]:
        """Hash the records of a stretch in the order of their keys: key text and hash."""
        ...


class TargetDigests(Protocol):
    """Sums and hashes of a target, from its primary."""

    async def orders_like(self, plan: Plan) -> bool:
        """Tell whether a stretch of the source's keys is the same stretch here."""
        ...

    async def sum(self, plan: Plan, stretch: Stretch, *, keys_only: bool) -> Sum:
        """Sum up a stretch."""
        ...

    async def hashes(self, plan: Plan, stretch: Stretch, *, keys_only: bool) -> list[tuple[Any, int]]:
        """Hash the records of a stretch: key as the target has it, and hash."""
        ...

    async def hashes_of(self, plan: Plan, keys: Sequence[str], *, keys_only: bool) -> list[tuple[Any, int]]:
        """Hash the records of keys, in any order."""
        ...
