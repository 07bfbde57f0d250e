"""Taking rows over that are another MongoDB's, and taking away what a link has made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncline.documents.claiming import forget
from syncline.documents.installing import install, plan
from syncline.documents.opening import DocumentLink
from syncline.documents.restores import settle
from syncline.documents.standing import copied, foreign_documents, foreign_rows, keeping
from syncline.engines.mongo.marked_database import MarkedDatabase
from syncline.engines.postgres.documents.keeping import Keeping
from syncline.errors import NotInstalledError, SynclineError
from syncline.relay.documents.recovery import restored


@dataclass(frozen=True, slots=True)
class Ownership:
    """Whose documents the rows are."""

    found: str | None
    """As PostgreSQL knows it."""
    ours: str | None
    """As this MongoDB says it."""
    target: str | None
    """The PostgreSQL to which its documents go, as MongoDB knows it."""
    id: str | None
    """Who PostgreSQL is; ``None``: it is not installed."""
    is_copy: bool = False
    """Whether PostgreSQL is a copy of that one."""

    @property
    def settled(self) -> bool:
        """Whether there is nothing to take over."""
        return self.of_this_mongodb and self.target is not None and not self.elsewhere

    @property
    def of_this_mongodb(self) -> bool:
        """Whether the rows are of this MongoDB's documents."""
        return self.found is not None and self.found == self.ours

    @property
    def elsewhere(self) -> bool:
        """Whether the documents go to another PostgreSQL."""
        return self.target is not None and (self.target != self.id or self.is_copy)


async def ownership(link: DocumentLink) -> Ownership:
    """Ask both sides."""
    kept = keeping(link)
    try:
        owner, named = await kept.owner(), await MarkedDatabase(link.database).identity()
        is_copy = named.system is not None and named.system != owner.system
        return Ownership(owner.source, named.id, named.target, owner.id, is_copy)
    finally:
        await kept.close()


async def adopt(link: DocumentLink, collections: Sequence[str] | None = None) -> int:
    """Have every document written anew, under a number that the link never had, and delete rows without a document.

    What is not installed is. Whose documents the rows are is forgotten first, and noted last: stopped anywhere, no
    worker begins until it is called again.

    Args:
        link: both sides.
        collections: the documents of these; by default of all. Of others PostgreSQL is the truth.

    Returns:
        How many documents were marked.

    """
    await install(link, await plan(link, adopting=True))
    kept, database = keeping(link), MarkedDatabase(link.database)
    try:
        await kept.set_source(None)
        for name in link.collections:
            await database.make_indexes(name)
        ours = await kept.kept()
        named = await database.identify(ours.id, ours.system, instead=True)
        marked = await restored(link.source, link.rows, link.collections if collections is None else collections)
        await kept.forget_proofs()
        await settle(link, kept)
        await kept.set_source(named.id)
        return marked
    finally:
        await kept.close()


@dataclass(frozen=True, slots=True)
class Removal:
    """What an uninstallation takes away."""

    tables: Sequence[str]
    """In the schema ``syncline_documents``."""
    collections: Sequence[str]
    working: Sequence[str]
    """Workers that are alive."""

    @property
    def summary(self) -> list[str]:
        """Say it, a line a step."""
        found = [f"drop the schema syncline_documents in PostgreSQL: {', '.join(self.tables)}"] if self.tables else []
        return found + [
            f"remove tombstones, marks and versions from the documents of {name}, and its indexes of marks"
            for name in self.collections
        ]

    def require_idle(self) -> None:
        """See that nobody works.

        Raises:
            SynclineError: a worker is alive.

        """
        if self.working:
            raise SynclineError(
                f"a worker is running: {', '.join(self.working)}", hint="stop it first; a killed one is gone after 10 s"
            )


async def removal(link: DocumentLink) -> Removal:
    """Look at what is there.

    Raises:
        ForeignTargetError: the sides are not each other's.

    """
    kept = keeping(link)
    try:
        await _require_each_other(kept, MarkedDatabase(link.database))
        try:
            alive = [str(one["name"]) for one in await kept.workers() if one["alive"]]
        except NotInstalledError:
            alive = []
        return Removal(await kept.tables(), link.collections, alive)
    finally:
        await kept.close()


async def uninstall(link: DocumentLink, wanted: Removal) -> None:
    """Take it away; rows and documents stay. MongoDB lets go of PostgreSQL first: no worker begins from then on.

    Raises:
        SynclineError: a worker is alive.
        ForeignTargetError: the sides are not each other's.

    """
    wanted.require_idle()
    kept, database = keeping(link), MarkedDatabase(link.database)
    try:
        await _require_each_other(kept, database)
        await database.release()
        await kept.drop()
        for name in wanted.collections:
            await database.forget_marks(name)
        await database.forget_identity()
        await forget(link)
    finally:
        await kept.close()


async def _require_each_other(kept: Keeping, database: MarkedDatabase) -> None:
    owner, named = await kept.owner(), await database.identity()
    if owner.source is not None and owner.source != named.id:
        raise foreign_rows(named)
    if named.target is not None and named.target != owner.id:
        raise foreign_documents()
    if named.system is not None and named.system != owner.system:
        raise copied()
