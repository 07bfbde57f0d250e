"""Which side of a move serves, as both gates say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from syncline.split.moving.ends import Ends
from syncline.split.switching.gate import GateRow, Mode, gate_in


@dataclass(frozen=True, slots=True)
class Gates:
    """What they say; ``None``: a side has none."""

    home: str
    rows: Mapping[str, GateRow | None]

    @property
    def serving(self) -> str | None:
        """The side that accepts writes; without gates it is home, and ``None`` while they change."""
        if not any(self.rows.values()):
            return self.home
        return next((side for side, row in self.rows.items() if row and row.mode is Mode.APPLICATION), None)

    def opened(self, side: str) -> int:
        """Say which coordinator opened a side last; 0: none, or there is no gate."""
        row = self.rows[side]
        return row.opened if row else 0


def read_gates(
    ends: Ends, home: psycopg.Connection[Any], goal: psycopg.Connection[Any], last: Gates | None = None
) -> Gates:
    """Read both; where the last reading has found gates, with one question each."""
    rows = {}
    for side, connection in zip(ends.names, (home, goal), strict=True):
        rows[side] = gate_in(connection, ends.database, known=last is not None and last.rows[side] is not None)
    return Gates(ends.home, rows)


def serving(ends: Ends, home: psycopg.Connection[Any], goal: psycopg.Connection[Any]) -> str | None:
    """Say which side serves; without gates it is home."""
    return read_gates(ends, home, goal).serving
