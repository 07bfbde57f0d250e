"""Whether both sides of a link are its own, and as declared: what every process asks before it works."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from syncline.config.documents import Documents
from syncline.documents.opening import DocumentLink, opened
from syncline.engines.mongo import gates
from syncline.engines.mongo.marked import translated
from syncline.engines.mongo.marked_database import MarkedDatabase, Named
from syncline.engines.postgres.documents.keeping import Keeping, Kept
from syncline.engines.postgres.documents.rows import other_declaration
from syncline.errors import ForeignTargetError, NotInstalledError


@asynccontextmanager
async def opened_standing(documents: Documents) -> AsyncIterator[DocumentLink]:
    """Open a link whose sides are its own, and as declared, for a block.

    Raises:
        SynclineError: they are not, or one does not answer.

    """
    async with opened(documents) as link:
        kept = keeping(link)
        try:
            await require_standing(link, await kept.kept())
        finally:
            await kept.close()
        yield link


def keeping(link: DocumentLink) -> Keeping:
    """Open what the link keeps in PostgreSQL, over a session of its own. Close it when done."""
    return Keeping(link.documents.url("target"))


async def require_standing(link: DocumentLink, kept: Kept) -> None:
    """See that a worker may begin.

    Raises:
        NotInstalledError: something of ours is missing, on either side.
        OtherDeclarationError: a collection is written under another declaration.
        ForeignTargetError: the rows are of another MongoDB, or this one's documents go to another PostgreSQL.
        SourceUnavailableError: MongoDB does not answer.

    """
    database = MarkedDatabase(link.database)
    require_same(kept, await database.identity())
    require_declared(link, kept)
    for name in link.collections:
        if lacking := await database.lacking(name):
            raise NotInstalledError(
                f"the collection {name} lacks the indexes by which its marks are found: {', '.join(lacking)}",
                hint="`syncline install` makes them",
            )


def require_declared(link: DocumentLink, kept: Kept) -> None:
    """See that the rows of each collection are written under its declaration.

    Raises:
        NotInstalledError: nobody has said under which.
        OtherDeclarationError: it is another one.

    """
    for mapping in link.mappings:
        name = mapping.collection.name
        fingerprint = kept.declared.get(name)
        if fingerprint is None:
            raise NotInstalledError(f"the collection {name} is not installed", hint="`syncline install` does it")
        if fingerprint != mapping.fingerprint:
            raise other_declaration(name, "its rows are written under another")


def require_same(kept: Kept, named: Named) -> None:
    """See that the rows are of this MongoDB's documents, and that they go to no other PostgreSQL.

    Raises:
        NotInstalledError: nobody has said whose they are, or where they go.
        ForeignTargetError: the rows are another one's: read for what is missing here, every row would be deleted. Or
            the documents go to another PostgreSQL: a mark that is cleared here would never reach it.

    """
    if kept.source is None:
        raise NotInstalledError("nobody has said whose documents these rows are", hint="`syncline install` does")
    require_no_other(kept, named)
    if named.target is None:
        raise NotInstalledError(
            "MongoDB does not say to which PostgreSQL its documents go", hint="`syncline install` notes it"
        )


def require_no_other(kept: Kept, named: Named) -> None:
    """See that neither side says that it is another one's.

    Raises:
        ForeignTargetError: one does.

    """
    if kept.source is not None and kept.source != named.id:
        raise foreign_rows(named)
    if named.target is not None and named.target != kept.id:
        raise foreign_documents()
    if named.system is not None and named.system != kept.system:
        raise copied()


async def require_sides(link: DocumentLink) -> None:
    """Ask both sides whether one says that it is another one's, over the session of the link's ``rows``.

    Raises:
        NotInstalledError: our tables are not there.
        ForeignTargetError: one does.
        SourceUnavailableError, TargetUnavailableError: a side does not answer.

    """
    kept = Keeping(link.documents.url("target"), lent=link.rows.session)
    require_no_other(await kept.kept(), await MarkedDatabase(link.database).identity())


def foreign_rows(named: Named) -> ForeignTargetError:
    """Say that the rows are of another MongoDB."""
    said = "says that it is another one" if named.id else "does not say that it is the one"
    return ForeignTargetError(
        f"the rows are of another MongoDB: this one {said}",
        hint="look at `url` in [source] and [target]; if MongoDB was restored from before the installation, or"
        " this one takes the other's place, `syncline adopt` writes everything anew",
    )


def foreign_documents() -> ForeignTargetError:
    """Say that the documents go to another PostgreSQL."""
    return ForeignTargetError(
        "the documents of this MongoDB go to another PostgreSQL, which would miss what is carried here",
        hint="look at `url` in [source] and [target]; if this PostgreSQL takes the other's place, stop the other's"
        " workers, then `syncline adopt` writes everything here",
    )


def copied() -> ForeignTargetError:
    """Say that the PostgreSQL is a copy of the one to which the documents go."""
    return ForeignTargetError(
        "this PostgreSQL is a copy of the one to which the documents of this MongoDB go: it says that it is the same,"
        " and is another cluster, or another database",
        hint="look at `url` in [target]; if it takes the other's place (a dump, pg_upgrade), stop the other's workers,"
        " then `syncline phase restored postgresql` writes everything anew",
    )


async def backups(link: DocumentLink) -> frozenset[str]:
    """Name the collections in complete: their documents are those of another moment than their rows."""
    with translated():
        _, complete = await gates.read_with_complete(link.database)
    return complete
