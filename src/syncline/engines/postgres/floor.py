"""Where a pass over the outbox may start: below this, no mark can appear any more."""

from __future__ import annotations

from dataclasses import dataclass

from syncline.journal.named import Statements


@dataclass(slots=True)
class Drawn:
    """What a session has seen of the numbers of marks."""

    highest: int = 0
    """The highest that was given out."""


class PostgresFloor:
    """A lower bound for reading marks, in memory; see ``syncline.ports.Floor``.

    Deleted marks leave dead index entries, and while an old snapshot pins them every pass that starts at zero walks
    over all of them. Starting higher is sound only up to a sequence value at a moment all of whose transactions have
    ended: number drawn, then a transaction id above all that could have drawn it, then wait until the oldest running
    one has reached that id. It does not survive a reconnect, nor lanes that are new to this worker.
    """

    def __init__(self, statements: Statements, drawn: Drawn) -> None:
        self.value = 0
        self._drawn = drawn
        self._statements = statements
        self._candidate: tuple[int, int] | None = None
        self._settled = 0
        self._resets = 0

    def reset(self) -> None:
        """Start from zero again: there are new lanes."""
        self.value = 0
        self._candidate = None
        self._settled = 0
        self._resets += 1

    async def advance(self) -> None:
        """Take the next step; call it now and then while there is work. A ``reset`` meanwhile undoes it."""
        candidate, resets = self._candidate, self._resets
        if candidate is None:
            drawn = await self.drawn()
            (following,) = await self._statements.one("next_transaction")
            candidate = (drawn, following)
            if resets == self._resets:
                self._candidate = candidate
        elif (await self._statements.one("oldest_transaction"))[0] >= candidate[1] and resets == self._resets:
            self._settled, self._candidate = candidate[0], None

    async def drawn(self) -> int:
        """Read the highest number that was given out: marks that are made from now on are above it."""
        (drawn,) = await self._statements.one("drawn")
        self._drawn.highest = max(self._drawn.highest, drawn)  # one who sets it back is found out by this
        return int(drawn)

    def seen(self, first: int | None) -> None:
        """Raise the floor after a read that started at it: ``first`` is the lowest mark that was there."""
        below = self._settled if first is None else min(self._settled, first - 1)
        self.value = max(self.value, below)
