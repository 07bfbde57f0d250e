"""Taking over a target that is another source's copy: one act of an operator, never a worker's own decision."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from syncline.model.notice import Notice
from syncline.ports import Beat, Source, Target, same_system

REASON = "adopted"


@dataclass(frozen=True, slots=True)
class Ownership:
    """Whose copy the target is, as this source sees it."""

    found: Beat | None
    ours: bool
    contested: str | None
    """Who else was seen to write to it."""

    @property
    def settled(self) -> bool:
        """Say whether there is nothing to take over."""
        return self.found is None or (self.ours and self.contested is None)


async def ownership(source: Source, target: Target) -> Ownership:
    """Look whose copy the target is; nothing is changed.

    Raises:
        TargetUnavailableError, SourceUnavailableError: a side cannot be reached.

    """
    found = await target.read_beat()
    ours = found is not None and same_system(found.system, source.identity.system)
    return Ownership(found, ours, await source.journal.lanes.contested())


async def adopt(source: Source, target: Target, entities: Collection[int], owner: Ownership) -> None:
    """Make the target this source's: every record is marked and what is foreign swept, under epochs above all others.

    The work stands in the source before the target forgets whose it was. The other source's workers end at their next
    renewal. May be repeated.

    Raises:
        TargetUnavailableError, SourceUnavailableError: a side cannot be reached; run it again.
        DamagedRecordError: a record of the target is not what was written.

    """
    above = max((await target.lane_epochs()).values(), default=0)
    journal = source.journal
    for entity in sorted(entities):
        await journal.tasks.request("backfill", entity, REASON)
        await journal.tasks.request("sweep", entity, REASON)
    beat, installation, nonce = await journal.lanes.adopt(count=owner.found.count if owner.found else 0, above=above)
    identity = source.identity
    mine = Beat(installation, identity.system, beat, identity.timeline, nonce, "syncline adopt")
    await target.beat(mine, over=owner.found.system if owner.found else None)
    await journal.notices.settle(Notice.FOREIGN_TARGET)
    before = owner.found.system if owner.found else "nobody"
    await journal.notices.leave(
        Notice.ADOPTED, "info", f"the target was taken over from {before}: everything is written anew"
    )
