"""The gate of MongoDB, for tests of the way back that have no coordinator."""

from __future__ import annotations


class Gate:
    """What the gate of the tasks says, as somebody else changes it."""

    def __init__(self) -> None:
        self.number: int | None = 5
        self.asked = 0

    async def links(self) -> dict[str, int]:
        self.asked += 1
        return {} if self.number is None else {"tasks": self.number}
