"""Marks in blocks: the keys of one statement and lane are one row, and are acknowledged together or in parts.

What is acknowledged of a block leaves its row, in the statement of the acknowledgement; the row goes with its last key. What is left keeps
its numbers and its transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from tests.model.scope import Scope
from tests.model.state import Batch, Mark, Source


def rows(marks: Iterable[Mark]) -> list[tuple[Mark, ...]]:
    """Put marks together that are one row."""
    return [tuple(row) for _, row in groupby(sorted(marks, key=_row), key=_row)]


def _row(mark: Mark) -> int:
    return mark.row or mark.seq


def made(scope: Scope, seqs: Sequence[int], keys: Sequence[int]) -> tuple[int, ...]:
    """Give the rows of the marks that one statement makes: a block for each lane, whose number is that of its last key."""
    if not scope.blocks:
        return (0,) * len(keys)
    one = scope.broken == "a block has the lane of its first key"
    last = {0 if one else key % scope.lanes: seq for seq, key in zip(seqs, keys, strict=True)}
    return tuple(last[0 if one else key % scope.lanes] for key in keys)


def lane_of_row(scope: Scope, outbox: Sequence[Mark], mark: Mark) -> int:
    """Give the lane under whose lease a mark is read and removed."""
    if mark.row and scope.broken == "a block has the lane of its first key":
        return min(other.key for other in (*outbox, mark) if other.row == mark.row) % scope.lanes
    return mark.key % scope.lanes


def waits(outbox: Sequence[Mark], key: int, *, broken: str) -> bool:
    """Tell whether a key waits."""
    if broken == "blocks are asked for by one key":
        return any(row[-1].key == key for row in rows(outbox))
    return any(mark.key == key for mark in outbox)


def acknowledged(scope: Scope, source: Source, batch: Batch, done: Sequence[Mark]) -> Source:
    """Take marks out of their rows, as these are now and not as they were read."""
    outbox, following = [], source.next_seq
    bad = {write.key for write in batch.writes if write.status == "bad"}
    for row in rows(source.outbox):
        left = [mark for mark in row if mark not in done]
        touched = len(left) < len(row)
        if touched and row[0].row and scope.broken == "remainder as it was read":
            left = [mark for mark in batch.seen if mark.row == row[0].row and mark not in done]
        elif touched and left:
            if scope.broken == "remainder lost" or (
                scope.broken == "a rejected part takes the block along" and any(mark.key in bad for mark in row)
            ):
                left = []
            elif scope.broken == "remainder of another transaction":
                left = [mark._replace(made=0) for mark in left]
            elif scope.broken == "remainder doubled":
                outbox += row
                left = [mark._replace(seq=following + n, row=0) for n, mark in enumerate(left)]
                following += len(left)
        outbox += left
    return source._replace(outbox=tuple(sorted(outbox)), next_seq=following)
