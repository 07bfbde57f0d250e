"""Reading records of which some cannot be read: those are found one by one, the others are had all the same.

A database evaluates computed fields, virtual columns and filters as it reads: one row that fails them fails the
statement for all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from syncline.errors import SourceError
from syncline.model.mapping import Row
from syncline.ports import Excerpt, Plan, States

Read = Callable[[list[str]], Awaitable[States]]
STEP = 4
"""After a failure so much less is read at a time."""
DOUBTFUL = 8
"""So many records that all fail with an internal error are no damaged rows: the catalog has changed under them."""


def is_of_records(error: BaseException) -> bool:
    """Tell whether a statement failed for what it read, not for what it is."""
    return isinstance(error, SourceError) and error.of_records and not error.retryable


@dataclass(slots=True)
class Narrowed:
    """What came of reading some keys."""

    states: States
    bad: dict[str, str] = field(default_factory=dict)
    """Keys whose record cannot be read, and why."""
    impossible: list[str] = field(default_factory=list)
    """Keys that the source's encoding has no bytes for: it can have neither a row of them nor a mark."""
    left: list[str] = field(default_factory=list)
    """Keys that were not looked at: so many statements were too many."""
    tries: int = 0
    """Statements that it took."""


async def narrowed(plan: Plan, read: Read, keys: Sequence[str], *, most: int | None = None) -> Narrowed:
    """Read keys; where that fails for what a record is, read fewer at a time until it stands alone.

    After a failure a quarter is tried, after a success twice as many: records that cannot be read come in crowds, and
    of a crowd each takes one statement.

    Args:
        plan: the entity.
        read: reads the states of keys, in a statement of its own.
        keys: their texts.
        most: statements at most; what is not read then is left.

    Raises:
        SourceError: it failed for another reason.

    """
    result = Narrowed(nothing(plan))
    found: list[States] = []
    place, size = 0, len(keys)
    while place < len(keys) and (most is None or result.tries < most):
        part = list(keys[place : place + size])
        result.tries += 1
        try:
            found.append(await read(part))
        except SourceError as error:
            if not is_of_records(error):
                raise
            if len(part) > 1:
                size = len(part) // STEP or 1
                continue
            _file(result, part[0], error)
            if len(result.bad) >= DOUBTFUL and not any(one.rows for one in found) and error.internal:
                raise
            size = 1
        else:
            size = len(part) * 2
        place += len(part)
    result.left = list(keys[place:])
    result.states = joined(plan, found)
    return result


def _file(result: Narrowed, key: str, error: SourceError) -> None:
    """Note why a record cannot be read."""
    if error.unsayable:
        result.impossible.append(key)
    else:
        result.bad[key] = error.message


def joined(plan: Plan, parts: Sequence[States]) -> States:
    """Put states together that were read apart."""
    if len(parts) == 1:
        return parts[0]
    children: list[list[tuple[object, ...]]] = [[] for _ in plan.projection.embeds]
    for part in parts:
        for place, rows in enumerate(part.children):
            children[place] += rows
    kind = Excerpt if any(isinstance(part, Excerpt) for part in parts) else States
    return kind(plan, [row for part in parts for row in part.rows], children)


def nothing(plan: Plan) -> States:
    """Give the states of no keys."""
    return States(plan, [], [[] for _ in plan.projection.embeds])


def without(states: States, keys: Collection[str]) -> States:
    """Leave out some keys."""
    return States(states.plan, [row for row in states.rows if row[-1] not in keys], states.children)


def unmappable(states: States) -> dict[str, str]:
    """Find the keys of which no document can be made, and why."""
    return {key: why for key, why in trials(states) if why is not None}


def trials(states: States) -> Iterator[tuple[str, str | None]]:
    """Try to make a document of each row alone: its key, and why that fails."""
    children = [_by_parent(rows) for rows in states.children]
    for row in states.rows:
        of_key = [rows.get(row[-1], []) for rows in children]
        try:
            States(states.plan, [row], of_key).present(0)
        except Exception as error:  # noqa: BLE001  whatever it is, it is this record's
            yield row[-1], f"{type(error).__name__}: {error}"
        else:
            yield row[-1], None


def _by_parent(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    return found


def ambiguous(states: States) -> set[str]:
    """Find keys that more than one row has: inheritance does not keep them apart."""
    if len({row[-1] for row in states.rows}) == len(states.rows):
        return set()
    seen: set[str] = set()
    return {key for key in (row[-1] for row in states.rows) if key in seen or seen.add(key)}  # type: ignore[func-returns-value]


def width(row: Row) -> int:
    """Bytes of a row's values, roughly."""
    return 64 + sum(
        len(value) if isinstance(value, (str, bytes)) else 16 if value.__class__ in _SMALL else 500 for value in row
    )


_SMALL = {int, float, bool, type(None), datetime}
