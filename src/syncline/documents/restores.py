"""Restores of either side, noticed by two counters that both sides have; each is advanced on its own side first.

So MongoDB's own counter is nowhere lower than PostgreSQL knows it, and PostgreSQL's own nowhere lower than MongoDB
knows it, if what is known is read before the counter itself. A side that was restored is lower.
"""

from __future__ import annotations

from syncline.documents.opening import DocumentLink
from syncline.engines.mongo.marked_database import MarkedDatabase
from syncline.engines.postgres.documents.keeping import Keeping
from syncline.errors import RestoredError

MONGODB, POSTGRESQL = "mongodb", "postgresql"


async def require_unrestored(link: DocumentLink, kept: Keeping) -> None:
    """See that neither side was restored since workers were here last.

    Raises:
        RestoredError: one was: what was carried since its backup is missing there, and marked nowhere.

    """
    database = MarkedDatabase(link.database)
    _, here = await database.beats()
    known = await kept.beats()
    there, _ = await database.beats()
    if there < known.there:
        raise _restored("MongoDB", MONGODB)
    if known.here < here:
        raise _restored("PostgreSQL", POSTGRESQL)


async def advance(link: DocumentLink, kept: Keeping) -> None:
    """Advance both counters, each on its own side first."""
    database = MarkedDatabase(link.database)
    there, _ = await database.advance()
    known = await kept.advance(there)
    await database.advance(here=known.here, by=0)


async def settle(link: DocumentLink, kept: Keeping) -> None:
    """Have both sides begin anew, after a restore: each counter is above all that was known of it."""
    database = MarkedDatabase(link.database)
    known, (_, here) = await kept.beats(), await database.beats()
    there, _ = await database.advance(there=known.there)
    known = await kept.advance(there, here)
    await database.advance(here=known.here, by=0)


def _restored(name: str, side: str) -> RestoredError:
    return RestoredError(
        f"{name} was restored, or is a copy: it is older than what workers have seen of it",
        hint=f"`syncline phase restored {side}` has every document written anew; until then nothing is carried",
    )
