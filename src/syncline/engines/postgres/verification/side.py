"""An SQL database as the side that holds the truth, for one verification."""

from __future__ import annotations

from datetime import timedelta

from syncline.engines.postgres.verification.arrival import arrived
from syncline.engines.postgres.verification.certificates import SqlBacklog, SqlCertificates
from syncline.engines.postgres.verification.digests import SqlDigests
from syncline.engines.postgres.verification.looks import SqlLooks
from syncline.engines.postgres.verification.pages import SqlPages
from syncline.engines.postgres.verification.passes import SqlPasses, SqlRounds
from syncline.ports import Backlog, Certificates, Looks, Pages, Passes, Rounds, SourceDigests
from syncline.postgres.connection import Connection, fetch_one, identify
from syncline.postgres.dialect import Dialect, dialect_of
from syncline.postgres.sql import blocks


class SqlSide:
    """See ``syncline.ports.SourceSide``.

    Args:
        pages: a connection that reads ahead; may lead to a replica, then say so.
        looks: a connection to the primary. Both are made by ``connect(url, keyed=True)``, with our loaders; they stay
            the caller's.
        replica: ``pages`` leads to a replica.

    """

    def __init__(self, pages: Connection, looks: Connection, *, replica: bool = False) -> None:
        self._ahead, self._primary = pages, looks
        self._replica = replica
        self.name = dialect_of(looks).value
        self.pages: Pages = SqlPages(pages)
        self.digests: SourceDigests | None = SqlDigests(pages)
        self.looks: Looks = SqlLooks(looks)
        self.passes: Passes = SqlPasses(looks)
        self.backlog: Backlog = SqlBacklog(looks)
        self.certificates: Certificates = SqlCertificates(looks)

    def rounds(self, owner: str) -> Rounds:
        """Give the turns of a worker."""
        return SqlRounds(self._primary, owner)

    async def arrived(self, patience: timedelta) -> None:
        """Wait until a replica has everything that was committed on the primary before now."""
        if self._replica and dialect_of(self._primary) is Dialect.POSTGRESQL:
            await arrived(self._primary, self._ahead, patience)

    async def identity(self) -> tuple[str, str]:
        """Tell which installation this is, and on which system."""
        (_, _, installation, *_) = await fetch_one(self._primary, blocks("queries.sql")["installation"])
        return installation, (await identify(self._primary)).system
