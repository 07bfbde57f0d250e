"""A document link opened for a command that reads or writes rows by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncline.config.documents import Documents
    from syncline.documents.opening import DocumentLink


@asynccontextmanager
async def standing(documents: Documents) -> AsyncIterator[DocumentLink]:
    """Open a link whose sides are its own, and as declared.

    Raises:
        SynclineError: they are not, or one does not answer.

    """
    from syncline.documents.opening import opened
    from syncline.documents.standing import keeping, require_standing

    async with opened(documents) as link:
        kept = keeping(link)
        try:
            await require_standing(link, await kept.kept())
        finally:
            await kept.close()
        yield link
