"""Words for people: numbers with their nouns."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """Say how many, as "1 record" or "2,000 records"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
