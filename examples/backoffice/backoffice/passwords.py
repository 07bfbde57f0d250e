"""Passwords: argon2, off the event loop, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

T = TypeVar("T")

AT_ONCE = 4
"""Hashes at the same time: each takes its memory, and a processor."""


class Passwords:
    """Hashes passwords and checks them."""

    def __init__(self, memory_kib: int) -> None:
        self._hasher = PasswordHasher(memory_cost=memory_kib)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._nobody = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        """Hash a password, to be stored."""
        return await self._slowly(lambda: self._hasher.hash(password))

    async def right(self, password: str, stored: str | None) -> bool:
        """Tell whether it is the password; where there is no account it takes as long, and is never right."""
        right = await self._slowly(lambda: self._verify(password, stored or self._nobody))
        return right and stored is not None

    def _verify(self, password: str, stored: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _slowly(self, work: Callable[[], T]) -> T:
        async with self._slots:
            return await asyncio.to_thread(work)
