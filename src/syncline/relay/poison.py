"""Finding the one record that brings the target down, by halving the batch."""

from __future__ import annotations

from collections.abc import Iterable

from syncline.ports import Rejection

TRIES = 3
"""Failures, each followed by a probe that succeeds, before a batch is suspected."""
LONE_TRIES = 5
"""The same, before a lone record is convicted: a bad network may fail it several times in a row."""
CALM = 200
"""Batches that succeed in a row before the search is given up."""
MOST_HALVINGS = 16


class Poison:
    """Counts failures that are the batch's and not the server's.

    The server fails with a batch, a small write of our own succeeds, and this happens again: then something in the
    batch is at fault. The batch is halved (``shrink`` times) until a lone record fails; that one is convicted. Trouble
    of the server convicts nobody, however long it lasts. From then on the record is written alone, after the others of
    its batch, and one failure convicts it again: its next changes cost no search.
    """

    def __init__(self) -> None:
        self.shrink = 0
        self.suspect: tuple[int, str] | None = None
        """The only key of the write that failed last, if it had only one."""
        self.sentenced: dict[tuple[int, str], Rejection] = {}
        """Convicted records that are yet to be parked: when they are met next, without a write."""
        self.known: set[tuple[int, str]] = set()
        """Records that were convicted, and have not been written since."""
        self._failures = 0
        self._lone: tuple[tuple[int, str] | None, int] = (None, 0)
        self._successes = 0

    @property
    def suspects(self) -> bool:
        """Whether a lone record has failed already: the next tries are further apart, it may still be the server."""
        return self._lone[1] > 0

    def innocent(self) -> None:
        """The server itself is in trouble."""
        self._failures = 0
        self._lone = (None, 0)

    def sentences(self, entity: int, keys: Iterable[str]) -> list[Rejection]:
        """List the rejections that are due among the keys of an entity."""
        if not self.sentenced:
            return []
        return [self.sentenced[entity, key] for key in keys if (entity, key) in self.sentenced]

    def parked(self, record: tuple[int, str]) -> None:
        """Forget the sentence: the record was rejected, for this reason or another."""
        self.sentenced.pop(record, None)

    def succeeded(self, written: Iterable[tuple[int, str]]) -> None:
        """Take in that a batch went through, and which of its records were written."""
        self._failures = 0
        if self.known or self._lone[0] is not None:
            records = set(written)
            self.known -= records
            if self._lone[0] in records:
                self._lone = (None, 0)  # it can be written: what had failed was something else
        if self.shrink:
            self._successes += 1
            if self._successes > CALM:
                self.shrink = 0

    def guilty(self, reason: str) -> tuple[int, str] | None:
        """A batch failed although the server takes writes; return the record to park once it is found."""
        culprit = self._search()
        if culprit is not None:
            self.known.add(culprit)
            self.sentenced[culprit] = Rejection(culprit[1], "poison", reason)
        return culprit

    def _search(self) -> tuple[int, str] | None:
        if self.suspect in self.known:
            return self.suspect
        self._failures += 1
        self._successes = 0
        if self.suspect is not None:
            known, count = self._lone
            self._lone = (self.suspect, count + 1 if known == self.suspect else 1)
            if self._lone[1] < LONE_TRIES:
                return None
            culprit, self.shrink, self._lone, self._failures = self.suspect, 0, (None, 0), 0
            return culprit
        if self.shrink or self._failures >= TRIES:
            self.shrink = min(self.shrink + 1, MOST_HALVINGS)
        return None
