"""Records whose document carries a version above this worker's ticket, under a lease that still holds.

No worker of this source has given that version: somebody else writes to the target. The change must not be taken for
done. It is written again once, under an epoch above the version that stands there; if that is outranked too, or if no
epoch can stand above it, the record is parked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from syncline.model.mark import MAX_EPOCH, epoch_of
from syncline.ports import Rejection

CODE = "foreign_version"
HIGHEST_EPOCH = MAX_EPOCH // 2
"""A forged version must not use up the epochs: half of them stay."""

Record = tuple[int, str]
"""Entity and key."""


class Outranked:
    """Remembers, for one session, which records have had their second try."""

    def __init__(self) -> None:
        self._tried: set[Record] = set()

    def judge(self, entity: int, versions: Mapping[str, Any]) -> tuple[list[Rejection], dict[Record, int]]:
        """Tell which of an entity's outranked records are parked, and above which epoch the others are tried again."""
        rejected: list[Rejection] = []
        again: dict[Record, int] = {}
        for key, version in versions.items():
            record = entity, key
            if record in self._tried or not _can_be_outranked(version):
                self._tried.discard(record)
                rejected.append(Rejection(key, CODE, _message(version)))
            else:
                again[record] = epoch_of(version)
        return rejected, again

    def raised(self, records: Iterable[Record]) -> None:
        """Note that these are read again under a higher epoch."""
        self._tried.update(records)

    def settled(self, records: Iterable[Record]) -> None:
        """Forget records that were written."""
        if self._tried:
            self._tried.difference_update(records)


def _can_be_outranked(version: Any) -> bool:
    return isinstance(version, int) and not isinstance(version, bool) and epoch_of(version) <= HIGHEST_EPOCH


def _message(version: Any) -> str:
    return (
        f"the document has version {version!r}, which no worker of this source has given: somebody else writes to the "
        "target; `syncline repair` replaces it"
    )
