"""Tickets as documents have them: whoever wrote those, and whatever type the number has."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bson.decimal128 import Decimal128

from syncline.model.mark import BATCH_BITS


def issued(document: Mapping[str, Any], epoch: int) -> bool:
    """Tell whether a document's ticket may have been issued: a number, of this epoch or an earlier one."""
    ticket: Any = document.get("_v")
    if isinstance(ticket, Decimal128):
        ticket = ticket.to_decimal()
    if isinstance(ticket, bool) or not isinstance(ticket, (int, float, Decimal)):
        return False
    try:
        number = int(ticket)
    except (ValueError, ArithmeticError):  # NaN, infinity
        return False
    return number >= 0 and number >> BATCH_BITS <= epoch
