"""What queries of a collection go by: paths, never values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class QueryShape:
    """Paths on which documents are chosen, each in its order of the alphabet."""

    collection: str
    equal: tuple[str, ...] = ()
    """Those that have a value, or one of several, or none."""
    ranged: tuple[str, ...] = ()
    """Those whose values are between limits, or begin with a text."""

    def __str__(self) -> str:
        return f"{self.collection} by {', '.join(self.equal + self.ranged)}"
