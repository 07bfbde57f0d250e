"""How a revocation reaches the session caches of every process, and how a cache knows that none is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

from syncline.errors import CacheUnavailableError
from syncline.postgres.sql import blocks

Heard = Callable[[Sequence[bytes] | None], None]
"""Takes the digests of revoked names, in the order of arrival; ``None``: any revocation may have been missed."""

DELAY = 1.0
"""Seconds within which a revocation is heard, or the cache is not used."""
DIGEST_BYTES = 16


def digest(name: str) -> bytes:
    """Stand for a name on its way: a session's id is a credential, and must not be read in a log, table or channel."""
    return hashlib.sha256(name.encode()).digest()[:DIGEST_BYTES]


class Revocations(Protocol):
    """Carries revocations between processes.

    From ``open`` on, ``heard`` is called with every revocation once it is committed; with ``None`` whenever one may
    have been missed. It may be called twice with the same one.
    """

    async def open(self, heard: Heard) -> None:
        """Begin to listen; returns without waiting for a server that does not answer."""
        ...

    def current(self) -> bool:
        """Tell whether everything that was revoked more than ``DELAY`` seconds ago has been heard. Microseconds."""
        ...

    async def revoke(self, names: Sequence[bytes]) -> None:
        """Tell every process, this one included.

        Raises:
            CacheUnavailableError: it is not known whether they will hear it; revoking again is harmless.
            NotInstalledError: ``setup_sql`` has not been run in the database that carries them.

        """
        ...

    async def close(self) -> None:
        """Stop listening and let go of connections."""
        ...


class OneProcess:
    """No other process has a cache of these sessions: nothing to carry."""

    def __init__(self) -> None:
        self._heard: Heard | None = None

    async def open(self, heard: Heard) -> None:
        """Remember whom to tell."""
        self._heard = heard

    def current(self) -> bool:
        """Nothing is ever missing."""
        return self._heard is not None

    async def revoke(self, names: Sequence[bytes]) -> None:
        """Tell the cache of this process."""
        if self._heard is None:
            raise CacheUnavailableError("the session cache is not open", hint="use it in `async with`, or await open()")
        self._heard(names)

    async def close(self) -> None:
        """Forget whom to tell."""
        self._heard = None


def revocation_sql(*names: str) -> str:
    """Write the statement that revokes names when its transaction commits, on PostgreSQL.

    It takes no parameters, so that it goes through every driver as it is. Execute it in the transaction that changes
    the password, the role or the session: both or neither. Needs ``setup_sql`` in the database once.
    """
    listed = ", ".join(f"'{digest(name).hex()}'" for name in dict.fromkeys(names))
    return f"SELECT syncline_sessions.revoke(ARRAY[{listed}]::text[])"


def setup_sql() -> str:
    """Give the script that creates schema ``syncline_sessions``: a migration; running it again is harmless."""
    return blocks("revocations.sql", "syncline.cache", comment=False)["setup"]


def removal_sql() -> str:
    """Give the script that removes what ``setup_sql`` created."""
    return blocks("revocations.sql", "syncline.cache", comment=False)["removal"]
