"""Sequences at a switch: those of the side that opens go on beyond those of the side that closed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Composed, Identifier, Literal

from syncline.errors import SwitchError
from syncline.model.entity import TableName
from syncline.postgres.sql import blocks
from syncline.split.switching.gate import PACKAGE, Gate, both, quoted, superseded

MARGIN = 1000
"""Steps that are left out at a switch: numbers that clients drew ahead on the side that closed."""
_SHARE = 1000
"""Of what is left of a sequence, a switch takes this part at most: a small one is not used up by switches."""

_Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Definition:
    """What a sequence is."""

    increment: int
    low: int
    high: int
    cycle: bool
    cache: int


@dataclass(frozen=True, slots=True)
class Position:
    """Where it stands."""

    value: int
    called: bool
    """The value was handed out; otherwise it is the next one."""


def beyond(definition: Definition, source: Position, target: Position) -> int | None:
    """Give the value that counts as handed out last on the target; ``None``: leave it as it is.

    With CYCLE no position is beyond another: the source's counts, the target's was not used meanwhile. A small
    sequence, or one that is nearly used up, has a smaller margin or none: it ends, or comes round, where it would have.
    """
    step = definition.increment
    start, own = _last(definition, source), _last(definition, target)
    if not definition.cycle:
        start = max(start, own) if step > 0 else min(start, own)
    left = (definition.high - start if step > 0 else start - definition.low) // abs(step)
    value = start + step * min(MARGIN + definition.cache, left // _SHARE)
    return value if definition.low <= value <= definition.high else None


def _last(definition: Definition, position: Position) -> int:
    """Give what was handed out last; before the first one, a step before it."""
    return position.value if position.called else position.value - definition.increment


async def definitions(gate: Gate, tables: Iterable[TableName], drawn: Iterable[_Name] = ()) -> dict[_Name, Definition]:
    """Find the sequences of tables, and others that are drawn from for them.

    Raises:
        SwitchError: a table that stays draws from one, too: the two sides would hand out the same numbers.

    """
    given = {"tables": [quoted(each) for each in tables], "drawn": [Identifier(*each).as_string() for each in drawn]}
    rows = await gate.session.rows(blocks("sequences.sql", PACKAGE)["used"], given)
    for schema, name, *_, others in rows:
        if others:
            raise SwitchError(
                f"{gate.side}: the sequence {schema}.{name} is used by {', '.join(others)}, which does not move",
                hint="give one of the tables a sequence of its own",
            )
    return {(schema, name): Definition(*rest) for schema, name, *rest, _ in rows}


async def raise_sequences(
    source: Gate, target: Gate, tables: Sequence[TableName], number: int, *, drawn: Sequence[_Name] = ()
) -> dict[_Name, int]:
    """Set the target's sequences beyond the source's; give the values.

    Args:
        source: the side that has closed.
        target: the one that is about to open.
        tables: whose sequences these are.
        number: the coordinator's.
        drawn: more of them, which functions or applications draw from.

    Raises:
        SupersededError: the gate of the target is not this coordinator's any more.
        SwitchError: a sequence is not on both sides, or is used by a table that does not move.

    """
    theirs, known = await both(definitions(source, tables, drawn), definitions(target, tables, drawn))
    if missing := theirs.keys() ^ known.keys():
        told = ", ".join(sorted(".".join(name) for name in missing))
        raise SwitchError(f"these sequences are on one side only: {told}", hint="the two schemas must be the same")
    if not known:
        return {}
    before, own = await both(_positions(source, known), _positions(target, known))
    wanted = {name: beyond(known[name], before[name], own[name]) for name in known}
    values = {name: value for name, value in wanted.items() if value is not None}
    await _set(target, values, number)
    return values


async def _positions(gate: Gate, names: Iterable[_Name]) -> dict[_Name, Position]:
    names = list(names)
    parts = [_part("position", place, name) for place, name in enumerate(names)]
    rows = await gate.session.together((SQL(" UNION ALL ").join(parts), None))
    return {names[place]: Position(value, called) for place, value, called in rows[0]}


async def _set(gate: Gate, values: Mapping[_Name, int], number: int) -> None:
    """Set them while the gate is this coordinator's: nobody else can have changed it since the positions were read."""
    if not values:
        return
    parts = [
        _part("set", place, name, as_literal=True, value=Literal(value))
        for place, (name, value) in enumerate(values.items())
    ]
    held = SQL(blocks("sequences.sql", PACKAGE)["held"]).format(name=Literal(gate.move), number=Literal(number))
    rows = await gate.session.together((held + SQL(" UNION ALL ").join(parts), None))
    if any(value is None for _, value in rows[0]):
        raise superseded(gate.move, number)


def _part(block: str, place: int, name: _Name, *, as_literal: bool = False, **more: Any) -> Composed:
    sequence = Identifier(*name)
    text = blocks("sequences.sql", PACKAGE, comment=False)[block]
    named = Literal(sequence.as_string()) if as_literal else sequence
    return SQL(text).format(place=Literal(place), sequence=named, **more)
