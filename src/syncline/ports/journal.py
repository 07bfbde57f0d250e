"""The journal: our own tables, beside the marks. What stands there is durable when a call returns.

Every method may raise ``SourceUnavailableError``: the session is over, and the call may be repeated in another one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

from syncline.model.notice import Notice
from syncline.ports.records import Plan, Plans
from syncline.ports.tasks import Tasks

PENDING = "pending"
"""State of an entity whose installation is not at its end."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """The answer to a renewal: the source's counters and who holds what."""

    beat: int
    confirmed_beat: int
    installation: str
    epoch: int
    lanes: Mapping[int, LaneRow]
    workers: Sequence[str]
    nonces: Sequence[str] = ()
    """What renewals have left in the target, newest first."""
    contested: str | None = None
    """Who else was seen to write to the target."""


@dataclass(frozen=True, slots=True)
class LaneRow:
    """A lane's lease as the source has it."""

    owner: str | None
    epoch: int
    confirmed: int
    free: bool
    """No live worker owns it."""


USUAL: Final = "usual_lease_seconds"
"""In the report of a worker at rest: how long its leases are else."""


class Lanes(Protocol):
    """Who may serve which lane, and the counters that show a restore. One worker; ``Journal`` says of whom.

    An epoch belongs to one acquisition, and grows with each. A lease counts by the source's clock.
    """

    async def renew(
        self, *, name: str, version: str, ttl: timedelta, confirmed: int, report: Mapping[str, Any], seen: str = ""
    ) -> Renewal:
        """Renew this worker's leases, advance the beat, and read who holds what.

        Raises:
            SourceChangedError: the session leads to another server than at its start (a pooler may do that).
            VersionError: this release's time is over here.

        """
        ...

    async def call(self) -> bool:
        """Shorten the leases of other workers that rest to their usual length; tell whether there are any.

        Notify them then: who lives renews.
        """
        ...

    async def acquire(self, lanes: Sequence[int], *, above: int) -> dict[int, int]:
        """Take the free ones of these lanes under one new epoch higher than ``above``; return lane to epoch."""
        ...

    async def confirm(self, leases: Mapping[int, int]) -> set[int]:
        """Note that these epochs stand in the target; return the lanes that we still own. Idempotent."""
        ...

    async def release(self, leases: Mapping[int, int]) -> None:
        """Give lanes back, where these epochs still count. Idempotent."""
        ...

    async def leave(self) -> None:
        """Take this worker off the list, with what it has claimed. Idempotent."""
        ...

    async def trim(self) -> None:
        """End leases in time that were given before the source's clock was set back."""
        ...

    async def forget_workers(self) -> None:
        """Remove the rows of workers that are long gone."""
        ...

    async def current_epoch(self) -> int:
        """Read the epoch counter as it stands."""
        ...

    async def current_beat(self) -> int:
        """Read the beat as it stands."""
        ...

    async def raise_beat(self, beat: int, nonce: str = "") -> None:
        """Set the beat to at least this; the nonce that came with it is ours too. Idempotent."""
        ...

    async def nonces(self) -> Sequence[str]:
        """Read what renewals have left in the target, as of now."""
        ...

    async def contested(self) -> str | None:
        """Tell who else was seen to write to the target."""
        ...

    async def contest(self, who: str) -> None:
        """Note that somebody else writes to the target: no worker starts here before it is settled. Idempotent."""
        ...

    async def adopt(self, *, count: int, above: int) -> tuple[int, str, str]:
        """Take counters above these; return beat, installation and a new nonce. Nobody contests the target any more."""
        ...


class Notices(Protocol):
    """Messages for the operators. One of a name is open for an entity, with the newest message."""

    async def leave(self, name: Notice, severity: str, message: str, *, entity: str | None = None) -> None:
        """Leave a message, once.

        Who leaves one of a condition also ends it: ``end``, ``end_others``, or ``settle_causes``.
        """
        ...

    async def end(self, name: Notice, entity: str) -> None:
        """Say that a condition is over. Idempotent, as the others are."""
        ...

    async def end_others(self, name: Notice, *, still: Collection[str]) -> None:
        """Say that a condition is over, for every entity but those for which it still holds."""
        ...

    async def settle(self, name: Notice) -> None:
        """Resolve the notices of this name: their cause is gone."""
        ...

    async def settle_causes(self, verdicts: Collection[str]) -> None:
        """End the notices whose causes our tables show to be gone.

        Args:
            verdicts: reasons of the tasks that a restore asks for.

        """
        ...


class Entities(Protocol):
    """What is installed, by id, and whether that is still what was compiled."""

    async def names(self) -> dict[int, str]:
        """List the installed entities."""
        ...

    async def states(self) -> dict[int, tuple[str, str]]:
        """Read name and state of every entity; see ``registry.InstalledEntity``."""
        ...

    async def with_parked(self) -> set[int]:
        """List the entities that have parked records."""
        ...

    async def copied_lately(self, within: timedelta) -> set[int]:
        """List the entities whose changes wait for the copy of their table, or did within a time."""
        ...

    async def fingerprints(self) -> dict[int, str]:
        """Read from what each entity was last compiled, by whichever worker."""
        ...

    async def changed(self, plans: Plans) -> str | None:
        """Say what an installation has changed since these were compiled; ``None``: nothing that they depend on."""
        ...

    async def tables_changed(self, plans: Plans) -> bool:
        """Tell whether their tables are not what they were."""
        ...

    async def others_installed(self, plans: Plans) -> bool:
        """Tell whether anything is installed otherwise than when these were compiled."""
        ...

    async def note_fingerprints(self, plans: Collection[Plan]) -> set[int]:
        """Remember what entities were compiled from; give those for which it changed: all their records are marked."""
        ...


class Journal(Protocol):
    """Our tables, for one worker."""

    @property
    def lanes(self) -> Lanes:
        """Leases and heartbeat."""
        ...

    @property
    def notices(self) -> Notices:
        """Messages for the operators."""
        ...

    @property
    def entities(self) -> Entities:
        """What is installed."""
        ...

    @property
    def tasks(self) -> Tasks:
        """Backfills and sweeps."""
        ...

    async def foreign_rules(self) -> Sequence[str]:
        """Name what somebody has put on our tables that may refuse what a worker writes, as far as that is known."""
        ...

    async def rotate_history(self, keep: timedelta) -> None:
        """Make room for what is applied today and tomorrow, remove what is older than ``keep``. Idempotent."""
        ...
