"""Gates in the target's database, as a link that writes behind one meets them: docs/explanation/switch.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from syncline.postgres.sql import blocks

LINK = "l"
"""The mode of a gate that lets in links."""
_REFUSED, _SCHEMA = "40001", "syncline_gate"


@dataclass(frozen=True, slots=True)
class Gates:
    """What they said at one moment: by name, the mode, and the coordinator that last gave the side to its link."""

    said: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def admission(self) -> str:
        """Write down what a transaction shows to pass; a gate that was given to its link anew since refuses it."""
        return json.dumps({name: number for name, (_, number) in self.said.items()}) if self.said else ""

    def lets_in(self, gate: str) -> bool:
        """Tell whether links may write; one that is gone is found out by trying."""
        return gate not in self.said or self.said[gate][0] == LINK


def gates_of(rows: Iterable[tuple[Any, ...]]) -> Gates:
    """Take in rows of ``gates``."""
    return Gates({name: (mode, number) for name, mode, number in rows})


def statement(name: str) -> str:
    """Give a statement: ``exists``, then ``gates``."""
    return blocks("gates.sql", "syncline.engines.postgres.target")[name]


async def read(connection: psycopg.AsyncConnection[Any]) -> Gates:
    """Read the gates of the database; one short statement where there are none."""
    row = await (await connection.execute(statement("exists"))).fetchone()
    if row is None or not row[0]:
        return Gates()
    return gates_of(await (await connection.execute(statement("gates"))).fetchall())


def gate_that_refused(error: psycopg.Error) -> str | None:
    """Name the gate that has refused a transaction."""
    ours = error.sqlstate == _REFUSED and error.diag.schema_name == _SCHEMA
    return error.diag.table_name if ours else None
