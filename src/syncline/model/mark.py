"""Marks and tickets: the two small things that the whole protocol is made of."""

from __future__ import annotations

from collections.abc import Iterable
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
    """A key changed: a row of the outbox, or a part of a block, as the relay reads it."""

    seq: int
    lane: int
    entity: int
    key: str
    hint: str
    durable: bool
    """False when the writer committed asynchronously: the change may still be lost by a crash of the source."""
    block: int = 0
    """The block that it stands in; 0: it is a row of its own."""


LANES = 64
"""Parts into which keys are divided, numbered from 0; ``syncline.lane_of`` knows which key is in which."""
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
