"""Marks and tickets: the two small things that the whole protocol is made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple


class Hint(StrEnum):
    """Why a key was marked. The relay never takes it for the state; it only chooses the cheaper way of writing."""

    INSERT = "I"
    UPDATE = "U"
    DELETE = "D"
    BACKFILL = "B"
    REPAIR = "R"
    EVENT = "E"
    GRACE = "G"
    """The second delete: due when no older write of the key can still arrive."""


class Mark(NamedTuple):
    """Keys changed, as the relay reads it: one, by a row of the outbox; or those of a block, or a part of them."""

    seq: int
    """The number of the row."""
    lane: int
    entity: int
    key: str
    """The key of a row of the outbox; of a block nothing."""
    hint: str
    durable: bool
    """False when the writer committed asynchronously: the change may still be lost by a crash of the source."""
    keys: Sequence[str] | None = None
    """The keys of a block; ``None``: it is a row of the outbox."""
    whole: bool = True
    """Of a block: these are all keys that it had when it was read. Nothing is ever added to one."""

    @property
    def all_keys(self) -> Sequence[str]:
        """Give the key, or those of the block."""
        return (self.key,) if self.keys is None else self.keys

    def parted(self, gone: Collection[str]) -> tuple[Mark | None, Mark | None]:
        """Part it into what stays and what is among these keys."""
        stays = [key for key in self.all_keys if key not in gone]
        if len(stays) == len(self.all_keys):
            return self, None
        if not stays:
            return None, self
        left = [key for key in self.all_keys if key in gone]
        return self._replace(keys=stays, whole=False), self._replace(keys=left, whole=False)


LANES = 64
"""Parts into which keys are divided, numbered from 0; ``syncline.lane_of`` knows which key is in which."""


def most_blocks(limit: int) -> int:
    """Say how many blocks come at most where so many marks are asked for.

    A statement of few hundred rows makes a block for each lane, of a few keys each.
    """
    return max(2 * LANES, limit // 16)


def there_may_be_more(marks: Sequence[Mark], limit: int) -> bool:
    """Tell whether there may be more than these marks, which came where so many were asked for."""
    return keys_in(marks) >= limit or sum([mark[6] is not None for mark in marks]) == most_blocks(limit)


def any_block(marks: Iterable[Mark]) -> bool:
    """Tell whether there is a block among marks."""
    return any(mark[6] is not None for mark in marks)


def keys_in(marks: Iterable[Mark]) -> int:
    """Count the keys of marks."""
    return sum([1 if mark[6] is None else len(mark[6]) for mark in marks])


def split(marks: Iterable[Mark], gone: Collection[tuple[int, str]]) -> tuple[list[Mark], list[Mark]]:
    """Split marks into those that stay, and those of these records (entity and key)."""
    by_entity: dict[int, set[str]] = {}
    for entity, key in gone:
        by_entity.setdefault(entity, set()).add(key)
    stay: list[Mark] = []
    left: list[Mark] = []
    for mark in marks:
        keys = by_entity.get(mark[2])
        if keys is None:
            stay.append(mark)
        elif mark[6] is None:
            (left if mark[3] in keys else stay).append(mark)
        else:
            one, other = mark.parted(keys)
            stay += [one] if one else []
            left += [other] if other else []
    return stay, left


BATCH_BITS = 31
MAX_BATCH = (1 << BATCH_BITS) - 1
MAX_EPOCH = (1 << (63 - BATCH_BITS)) - 1


def lane_mask(lanes: Iterable[int]) -> int:
    """Pack lanes into a signed 64-bit integer, a bit each, as ``Marks.read`` takes them."""
    mask = sum(1 << lane for lane in lanes)
    return mask - (1 << LANES) if mask >= 1 << (LANES - 1) else mask


def ticket(epoch: int, batch: int) -> int:
    """Pack (epoch, batch number) into one comparable 64-bit integer, the ``_v`` of a document.

    Both count from 1; a higher epoch beats any batch number.

    Raises:
        OverflowError: either number is used up (for batches: acquire a new epoch).

    """
    if not (0 <= batch <= MAX_BATCH and 0 <= epoch <= MAX_EPOCH):
        raise OverflowError(f"no ticket for epoch {epoch}, batch {batch}")
    return epoch << BATCH_BITS | batch


def epoch_of(ticket_: int) -> int:
    """Take the epoch out of a ticket."""
    return ticket_ >> BATCH_BITS
