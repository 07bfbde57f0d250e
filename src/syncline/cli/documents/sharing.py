"""Sharing work on collections among several processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncline.cli.sharing import Sharing
    from syncline.config.documents import Documents
    from syncline.documents.parts import Others


@asynccontextmanager
async def sharing(documents: Documents, asked: Sharing, rate: float | None) -> AsyncIterator[Others | None]:
    """Open those who do parts for a block; ``None``: this process does everything.

    Args:
        documents: the collections.
        asked: who is to do them.
        rate: documents a second at most, of all together.

    """
    from syncline.documents.parts import Others
    from syncline.documents.performing import DocumentWork, Likeness

    async with asked.executing(DocumentWork(documents)) as executor:
        if executor is None:
            yield None
            return
        likeness = Likeness(documents)
        try:
            yield Others(executor, rate, likeness.of)
        finally:
            await likeness.close()
