"""First looks at everything, in the order of the source's keys."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from syncline.ports import Stretch
from syncline.verify.comparison import Comparison


@dataclass(frozen=True, slots=True)
class Walked:
    """A step of a walk."""

    result: Comparison
    left: Stretch
    """What is left of the source."""
    over: bool
    """Nothing is left on either side."""
    records: int
    """Of the source."""
    documents: int
    """Of the target, where it is walked beside the source or was asked for by keys."""
    sample: Sequence[str]
    """Some of its keys."""


class Walk(Protocol):
    """Compares one entity's records."""

    async def begin(self) -> None:
        """Read what a walk needs to know first."""
        ...

    async def side_by_side(self) -> bool:
        """Tell whether one walk sees what only the target has, too: both sides have their keys in one order."""
        ...

    def walk(self, left: Stretch, *, both: bool) -> AsyncGenerator[Walked, None]:
        """Compare what is left of the source; ``both``: and whatever the target has between."""
        ...

    async def some(self, keys: Sequence[str]) -> Walked:
        """Compare the records of keys."""
        ...
