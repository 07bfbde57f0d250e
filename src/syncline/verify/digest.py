"""The digest of a pass: of all records in their order, kept so that a pass can be interrupted and go on.

A chain over blocks of ``BLOCK`` records: ``D(i) = BLAKE2b-256(D(i-1) || body || body || …)`` with ``D(0)`` empty; a
body is a record's BSON without ``_syncedAt`` and ``_v``. It does not depend on how the records came in pages.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Mapping

BLOCK = 1000
"""Records of one link."""


class Digest:
    """Takes records in their order; between two blocks its state is 32 bytes."""

    def __init__(self, state: str = "") -> None:
        self._last = bytes.fromhex(state)
        self._count = 0
        self._open = self._fresh()

    def take(self, bodies: Mapping[bytes, int], count: int) -> None:
        """Take in a page.

        Args:
            bodies: encoded records, each with its place; in order. (Some may be missing: they cannot be encoded.)
            count: records of the page, those included.

        """
        encoded, places, start = list(bodies), list(bodies.values()), 0
        while start < count:
            end = min(count, start + BLOCK - self._count)
            self._open.update(b"".join(encoded[bisect_left(places, start) : bisect_left(places, end)]))
            self._count += end - start
            start = end
            if self._count == BLOCK:
                self._close()

    @property
    def resumable(self) -> bool:
        """Whether it stands between two blocks."""
        return self._count == 0

    @property
    def state(self) -> str:
        """What a new one needs to go on from between two blocks."""
        return self._last.hex()

    def final(self) -> str:
        """Give the digest of everything."""
        if self._count or not self._last:
            self._close()
        return self._last.hex()

    def _close(self) -> None:
        self._last = self._open.digest()
        self._count = 0
        self._open = self._fresh()

    def _fresh(self) -> hashlib.blake2b:
        return hashlib.blake2b(self._last, digest_size=32)
