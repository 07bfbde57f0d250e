"""A document link opened for a command that reads or writes rows by itself."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncline.config.documents import Documents
    from syncline.documents.opening import DocumentLink


def standing(documents: Documents) -> AbstractAsyncContextManager[DocumentLink]:
    """Open a link whose sides are its own, and as declared, for a block.

    Raises:
        SynclineError: they are not, or one does not answer.

    """
    from syncline.documents.standing import opened_standing

    return opened_standing(documents)
