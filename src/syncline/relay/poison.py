"""Finding the one record that brings the target down, by halving the batch."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from syncline.ports import Rejection

TRIES = 3
"""Failures, each followed by a probe that succeeds, before a batch is suspected."""
LONE_TRIES = 5
"""The same, before a lone record is put into quarantine: a bad network may fail it several times in a row."""
KNOWN_TRIES = 2
"""The same, for a record that is in quarantine."""
CALM = 200
"""Batches that succeed in a row before the search is given up."""
MOST_HALVINGS = 16

Record = tuple[int, str]
"""Entity and key."""


class Poison:
    """Counts failures that are the batch's and not the server's.

    The server fails with a batch, a small write of our own succeeds, and this happens again: then something in the
    batch is at fault. The batch is halved (``shrink`` times, a bisection) until a lone record fails; that one is
    parked. Trouble of the server parks nothing, however long it lasts.

    The search stops everybody. A record that was found is therefore in quarantine from then on: it is written alone,
    after the others of its batch, and its failures concern nobody else.
    """

    def __init__(self) -> None:
        self.shrink = 0
        self.suspect: Record | None = None
        """The only key of the batch that failed last, if it had only one."""
        self.found: dict[Record, Rejection] = {}
        """Records that are yet to be parked: when they are met next, without a write."""
        self.quarantined: dict[Record, int] = {}
        """Records that were found and have not been written since; how often each failed alone since."""
        self._failures = 0
        self._failed: set[Record] = set()
        """Records of batches that failed which have not been written since."""
        self._lone: tuple[Record | None, int] = (None, 0)
        self._successes = 0

    @property
    def suspects(self) -> bool:
        """Whether a lone record has failed already: the next tries are further apart, it may still be the server."""
        return self._lone[1] > 0

    def server_failed(self) -> None:
        """The server itself is in trouble."""
        self._failures = 0
        self._failed.clear()
        self._lone = (None, 0)
        self.quarantined = dict.fromkeys(self.quarantined, 0)

    def forget_found(self) -> None:
        """Other workers may have written these records meanwhile."""
        self.found.clear()
        self._failed.clear()

    def rejections(self, entity: int, keys: Iterable[str]) -> list[Rejection]:
        """List the rejections that are due among the keys of an entity."""
        if not self.found:
            return []
        return [self.found[entity, key] for key in keys if (entity, key) in self.found]

    def parked(self, record: Record) -> None:
        """Forget the record: it was rejected, for this reason or another."""
        self.found.pop(record, None)
        self._failed.discard(record)

    def failed(self, records: Collection[Record]) -> None:
        """Take in which records a batch had that failed."""
        self.suspect = next(iter(records)) if len(records) == 1 else None
        self._failed.update(records)

    def succeeded(self, written: Iterable[Record]) -> None:
        """Take in that a batch went through, and which of its records were written.

        That others were proves nothing: they may come all the time, from another entity.
        """
        if self._failed or self.quarantined or self._lone[0] is not None:
            self._written(written)
        if not self._failed:
            self._failures = 0
        if self.shrink:
            self._successes += 1
            if self._successes > CALM:
                self.shrink = 0

    def _written(self, records: Iterable[Record]) -> None:
        for record in records:
            self._failed.discard(record)
            self.quarantined.pop(record, None)
            if record == self._lone[0]:
                self._lone = (None, 0)  # it can be written: what had failed was something else

    def failed_alone(self, record: Record) -> bool:
        """Count a failure of a known record though the server takes writes; true when it is to be parked again."""
        count = self.quarantined.get(record, 0) + 1
        self.quarantined[record] = count % KNOWN_TRIES
        return count >= KNOWN_TRIES

    def bisect(self, reason: str) -> Record | None:
        """A batch failed although the server takes writes; return the record to park once it is found."""
        self._failures += 1
        self._successes = 0
        if self.suspect is not None:
            suspect, count = self._lone
            self._lone = (self.suspect, count + 1 if suspect == self.suspect else 1)
            if self._lone[1] < LONE_TRIES:
                return None
            record, self.shrink, self._lone, self._failures = self.suspect, 0, (None, 0), 0
            self.quarantined[record] = 0
            self.found[record] = Rejection(record[1], "poison", reason)
            return record
        if self.shrink or self._failures >= TRIES:
            self.shrink = min(self.shrink + 1, MOST_HALVINGS)
        return None
