"""What is under way: a key is in one batch at a time."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping

from syncline.model.mark import Hint, Mark
from syncline.relay.work import Touched, Work

_GRACE = Hint.GRACE.value


class UnderWay:
    """Keys and marks of the batches that are not finished.

    The marks of a key that is under way are passed over; a later pass finds them, when the key is free again.
    """

    def __init__(self) -> None:
        self.reading = False
        """Marks are being read: what is released meanwhile may be among them, and stays taken until ``read``."""
        self.held_back: dict[tuple[int, str], float] = {}
        """Keys that wait for another key's unique value, and until when (monotonic)."""
        self.skipped = False
        """Marks were passed over because their key was under way."""
        self._keys: dict[int, set[str]] = {}
        self._seqs: set[int] = set()
        self._done_meanwhile: list[Work] = []

    def take(self, marks: list[Mark], entities: Collection[int]) -> tuple[dict[int, Touched], list[Mark]]:
        """Take the marks of free keys: return these grouped by entity and key, and as a list."""
        touched = {entity: Touched() for entity in {mark[2] for mark in marks} if entity in entities}
        self._free_held_back()
        busy, held_back = self._keys, self.held_back
        for entity in touched:
            busy.setdefault(entity, set())
        passed_over = []
        for mark in marks:
            _, lane, entity, key, hint, _, _ = mark
            group = touched.get(entity)
            if group is None or key in busy[entity] or (held_back and (entity, key) in held_back):
                passed_over.append(mark)
                continue
            if key in group.hints:
                group.add_again(key, hint)
            else:
                group.hints[key] = hint
                group.lanes[key] = lane
                if hint == _GRACE:
                    group.again.add(key)
        if passed_over:
            gone = {mark[0] for mark in passed_over}
            self.skipped = self.skipped or not gone <= self._seqs
            marks = [mark for mark in marks if mark[0] not in gone]
            touched = {entity: group for entity, group in touched.items() if group.hints}
        for entity, group in touched.items():
            busy[entity].update(group.hints)
        self._seqs.update([mark[0] for mark in marks])
        return touched, marks

    def put_back(self, work: Work, left: Mapping[int, Collection[str]]) -> None:
        """Leave keys of a batch to a later one."""
        for entity, keys in left.items():
            self._keys[entity].difference_update(keys)
        self._seqs.difference_update([mark[0] for mark in work.marks])
        work.leave_out(left)
        self._seqs.update([mark[0] for mark in work.marks])
        self.skipped = True

    def free(self, marks: Iterable[Mark]) -> None:
        """Free the keys of marks that were taken and are in no batch."""
        for seq, _, entity, key, *_ in marks:
            self._keys[entity].discard(key)
            self._seqs.discard(seq)

    def hold_back(self, seconds: Mapping[tuple[int, str], float]) -> None:
        """Pass these keys over for so many seconds each."""
        now = time.monotonic()
        self.held_back |= {record: now + one for record, one in seconds.items()}
        self.skipped = True

    def release(self, work: Work) -> bool:
        """Free a batch's keys; true when marks were passed over, and a new pass would find them."""
        if self.reading:
            self._done_meanwhile.append(work)
            return False
        for entity, touched in work.touched.items():
            self._keys[entity].difference_update(touched.hints)
        self._seqs.difference_update([mark[0] for mark in work.marks])
        skipped, self.skipped = self.skipped, False
        return skipped

    def read(self) -> bool:
        """End the reading of marks and free what ended meanwhile; true when a new pass would find more."""
        self.reading = False
        done, self._done_meanwhile = self._done_meanwhile, []
        freed = [self.release(work) for work in done]
        return any(freed)

    def _free_held_back(self) -> None:
        if self.held_back:
            now = time.monotonic()
            for key in [key for key, until in self.held_back.items() if until <= now]:
                del self.held_back[key]
