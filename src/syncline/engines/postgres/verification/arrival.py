"""Waiting until a replica has everything that was committed on the primary before now."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from uuid import uuid4

from syncline.errors import SourceUnavailableError
from syncline.postgres.connection import Connection, fetch_one, translated
from syncline.postgres.sql import blocks

LOOK_SECONDS = 0.05


async def arrived(primary: Connection, replica: Connection, patience: timedelta) -> None:
    """Write a row on the primary and wait until the replica shows it.

    A standby replays commits in the order in which they were made, so all earlier ones are there by then. Positions in
    the log would prove less: a standby that followed another timeline may be "further" and lack them.

    Raises:
        SourceUnavailableError: it did not come in time.

    """
    queries = blocks("verification.sql")
    values = {"nonce": f"arrival {uuid4()}"}
    (values["id"],) = await fetch_one(primary, queries["arrival_begin"], values)
    end = time.monotonic() + patience.total_seconds()
    try:
        while not (await fetch_one(replica, queries["arrival_there"], values))[0]:
            if time.monotonic() > end:
                (behind,) = await fetch_one(replica, queries["arrival_behind"])
                raise SourceUnavailableError(
                    f"the replica has not replayed what the primary committed {patience.total_seconds():g} s ago"
                    + (f" (its newest commit is {behind:.0f} s old)" if behind is not None else ""),
                    hint="see that it follows this primary, or leave `replica_url` out of [source]",
                )
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        with translated():
            await primary.execute(queries["arrival_end"], values)
