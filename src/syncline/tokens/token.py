"""Read-your-writes tokens: which transactions a reader wants to see.

Opaque to all but us: ``1.<installation>.<transaction>[-<transaction>…]``, or ``2.<link>.<installation>.<transaction>…``
of a link with a name, several joined by ``~``; URL-safe.
A token comes back from clients, so nothing in it is believed: it is short, its parts are numbers, and all that can be
learned with it is whether a transaction's changes have been applied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from syncline.errors import TokenError

INFO = "syncline_token"
"""Where ``session.info`` keeps the token of its last commit that wrote."""
UNKNOWN = "00000000"
"""Stands for an installation that could not be asked: nobody takes such a token for applied."""
MAX_LENGTH = 1024
_PART = re.compile(
    r"(?:1|2\.(?P<link>[a-z][a-z0-9_]{0,23}))\.(?P<installation>[0-9a-f]{8})\.(?P<numbers>[0-9a-z]{1,13}(?:-[0-9a-z]{1,13})*)"
)
_MAX_TRANSACTION = (1 << 64) - 1
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def make(installation: str, transactions: Iterable[int], link: str = "") -> str:
    """Write a token: the installation's id, of which the first eight digits count, and transaction ids (``xid8``)."""
    return _written(f"{link}.{installation[:8]}" if link else installation[:8], transactions)


def _written(origin: str, transactions: Iterable[int]) -> str:
    numbers = "-".join(_base36(number) for number in sorted(set(transactions)))
    return f"{2 if '.' in origin else 1}.{origin}.{numbers}"


def parse(token: str) -> Mapping[str, frozenset[int]]:
    """Read a token: transactions by installation, ``<link>.<installation>`` of a link with a name; empty for none.

    Raises:
        TokenError: it is malformed, or of another version.

    """
    if not token:
        return {}
    if len(token) > MAX_LENGTH:
        raise TokenError(f"a token of {len(token)} characters", hint=f"at most {MAX_LENGTH}; merge fewer")
    found: dict[str, frozenset[int]] = {}
    for part in token.split("~"):
        match = _PART.fullmatch(part)
        numbers = [int(number, 36) for number in match["numbers"].split("-")] if match else []
        if match is None or not all(0 < number <= _MAX_TRANSACTION for number in numbers):
            raise TokenError(
                f"{token[:60]!r} is not a token",
                hint='take it from session.info["syncline_token"] as it is; treat a bad one from a client as no token',
            )
        origin = f"{match['link']}.{match['installation']}" if match["link"] else match["installation"]
        found[origin] = found.get(origin, frozenset()) | frozenset(numbers)
    return found


def merge(*tokens: str | None) -> str | None:
    """Combine tokens into one that asks for all of their transactions; ``None`` and empty ones ask for nothing.

    Raises:
        TokenError: one of them is malformed, or they are too many for one token.

    """
    merged: dict[str, frozenset[int]] = {}
    for token in tokens:
        for origin, transactions in parse(token or "").items():
            merged[origin] = merged.get(origin, frozenset()) | transactions
    token = "~".join(_written(origin, merged[origin]) for origin in sorted(merged))
    parse(token)
    return token or None


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
