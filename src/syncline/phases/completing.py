"""The last step: MongoDB takes no writes any more, and stays as it is; and the way back from there, which is forced.

Nobody drops anything: MongoDB is a backup from now on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

from syncline.config.documents import Documents
from syncline.documents.opening import opened
from syncline.engines.mongo.gates import LINK, MongoBackGate
from syncline.errors import PhaseError
from syncline.phases.changing import Control
from syncline.phases.standing import Change
from syncline.phases.switching.closing import close_for_good
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB
from syncline.phases.switching.opening import opened_switch, prepare
from syncline.phases.switching.sides import POSTGRESQL
from syncline.phases.way_back import WayBack
from syncline.split.switching.finishing import finish

PATIENCE = timedelta(seconds=60)
"""How long a worker is given to bring back what was written before."""
_PAUSE = timedelta(seconds=30)
_POLL_SECONDS = 0.1


async def complete(
    documents: Documents,
    control: Control,
    change: Change,
    *,
    reason: str | None = None,
    against: Sequence[str] = (),
    patience: timedelta = PATIENCE,
) -> Change:
    """End the way back: what was written before is in MongoDB, and nothing that is written from now on.

    The phase is changed first: stopped before, MongoDB follows as ever; afterwards, a worker does the rest.

    Raises:
        PhaseError: MongoDB does not follow, or does not come to have all in time.

    """
    names, gates = list(change.was), GatesInMongoDB(control.mongodb)
    for name in names:
        if (await asyncio.to_thread(gates.read, name)).mode != LINK:
            raise PhaseError(f"{name} is changing sides", hint="a running `syncline worker` finishes that; try again")
    async with opened(documents) as link:
        await _drained(WayBack(documents, MongoBackGate(link.database)), names, patience)
    made = await asyncio.to_thread(lambda: control.advance(change, reason=reason, against=against))
    await close_for_good(documents.only(names))
    return made


async def _drained(way: WayBack, names: Sequence[str], patience: timedelta) -> None:
    until = time.monotonic() + patience.total_seconds()
    while (count := await way.waiting(names)) > 0:
        if time.monotonic() > until:
            raise PhaseError(
                f"{count} changes have not come to MongoDB within {patience.total_seconds():g} s",
                hint="is a `syncline worker` running? `syncline status` and `syncline parked list` say more",
            )
        await asyncio.sleep(_POLL_SECONDS)


async def reopen(documents: Documents, control: Control, change: Change, *, reason: str | None = None) -> Change:
    """Have MongoDB follow again, after ``complete``: every row is brought back, documents of none are deleted.

    That is asked for before the phase is changed: stopped anywhere, no further step is made before MongoDB has all.
    """
    names = list(change.was)
    await prepare(documents, names)
    async with opened(documents) as link:
        await WayBack(documents, MongoBackGate(link.database)).bring_all(names)
    made = await asyncio.to_thread(lambda: control.take_back(change, reason=reason))
    for name in names:
        async with opened_switch(documents, name) as move:
            outcome = await finish(move, pause=_PAUSE)
        if outcome.serving != POSTGRESQL:
            raise PhaseError(f"{name}: {outcome.serving} serves", hint="look at `syncline phase status`")
    return made
