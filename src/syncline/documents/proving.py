"""Whether writes have been compared: a token stands for all that was written before it was drawn."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from syncline.documents.opening import DocumentLink
from syncline.documents.standing import keeping
from syncline.engines.mongo.marked_database import MarkedDatabase
from syncline.errors import NotInstalledError, TokenError

PATIENCE = timedelta(minutes=1)
_POLL_SECONDS, _LONGEST_SECONDS = 0.05, 1.0


async def draw_token(link: DocumentLink) -> str:
    """Give a token for everything that was written before, on either side, whoever wrote it.

    Raises:
        NotInstalledError: the link is not installed.
        SourceUnavailableError: MongoDB, which draws it, does not answer.

    """
    database = MarkedDatabase(link.database)
    named, moment = await database.identity(), await database.moment()
    if named.id is None or moment is None:
        raise NotInstalledError("MongoDB does not say who it is", hint="`syncline install` has it say so")
    return f"{named.id}.{round(moment.replace(tzinfo=UTC).timestamp() * 1000)}"


async def verified(
    link: DocumentLink,
    token: str,
    *,
    collections: Sequence[str] = (),
    timeout: timedelta = PATIENCE,  # noqa: ASYNC109  it ends with an answer, not with an error
) -> bool:
    """Wait until everything that was written before a token has been compared, and proved equal on both sides.

    It compares nothing by itself: a worker that verifies, or `syncline verify`, does. What proves it is a whole pass
    over each collection that began after the token was drawn.

    Args:
        link: both sides.
        token: what ``draw_token`` gave.
        collections: these alone; by default all that are declared.
        timeout: how long to wait; 0: look once.

    Returns:
        Whether it has been.

    Raises:
        TokenError: it is no token of this link.
        TargetUnavailableError: PostgreSQL, which has the proofs, does not answer.

    """
    moment = await _moment(link, token)
    names = [one.collection.name for one in link.documents.only(collections or None).mappings]
    loop = asyncio.get_running_loop()
    ends, pause, kept = loop.time() + timeout.total_seconds(), _POLL_SECONDS, keeping(link)
    try:
        while await kept.unproved(names, moment):
            if (left := ends - loop.time()) <= 0:
                return False
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_SECONDS)
    finally:
        await kept.close()
    return True


async def _moment(link: DocumentLink, token: str) -> datetime:
    who, _, millis = token.partition(".")
    try:
        moment = datetime.fromtimestamp(int(millis) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise TokenError(f"{token!r} is no token", hint="give what token() returned") from None
    kept = keeping(link)
    try:
        source = (await kept.kept()).source
    finally:
        await kept.close()
    if who != source:
        raise TokenError("the token is of another MongoDB than the one whose documents these rows are")
    return moment
