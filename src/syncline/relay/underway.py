"""What is under way: a key is in one batch at a time."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from syncline.model.mark import Mark, any_block
from syncline.relay.work import Touched, Work

_NOTHING: frozenset[str] = frozenset()


class Taken(NamedTuple):
    """Marks that were taken."""

    touched: dict[int, Touched]
    """By entity and key."""
    marks: list[Mark]
    left: int | None
    """The number of the first mark that was left, or of which a part was left, for want of room."""


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
        self._parts: dict[int, set[str]] = {}
        """Of blocks, by their numbers, the keys that are under way because of them."""
        self._done_meanwhile: list[Work] = []

    def take(self, marks: Sequence[Mark], entities: Collection[int], *, most: int) -> Taken:
        """Take the marks of free keys, as far as the marks of no more than so many keys go.

        A block is taken whole where it fits and its keys are free. One that does not fit is left; but of the first mark
        something is taken.
        """
        self._free_held_back()
        touched = {entity: Touched() for entity in {mark[2] for mark in marks} if entity in entities}
        for entity in touched:
            self._keys.setdefault(entity, set())
        left = None
        if any_block(marks):
            marks, left = _fitting(marks, most)
            taken = self._take_rows([mark for mark in marks if mark[6] is None], touched)
            for block in [mark for mark in marks if mark[6] is not None]:
                part = self._free_part(block, touched)
                if part is None:
                    continue
                if len(part.all_keys) > most:
                    part, left = part._replace(keys=part.all_keys[:most], whole=False), part.seq
                touched[part.entity].add(part.lane, part.hint, part.all_keys)
                taken.append(part)
        else:
            taken = self._take_rows(marks, touched)
        touched = {entity: group for entity, group in touched.items() if group.hints}
        for entity, group in touched.items():
            self._keys[entity].update(group.hints)
        self._note(taken)
        return Taken(touched, taken, left)

    def _take_rows(self, marks: Sequence[Mark], touched: Mapping[int, Touched]) -> list[Mark]:
        """Group marks of free keys, and give them."""
        busy, held_back = self._keys, self.held_back
        passed_over = set()
        for mark in marks:
            entity, key = mark[2], mark[3]
            group = touched.get(entity)
            if group is None or key in busy[entity] or (held_back and (entity, key) in held_back):
                passed_over.add(mark[0])
            else:
                group.add_key(mark[1], mark[4], key)
        if not passed_over:
            return list(marks)
        self.skipped = self.skipped or not passed_over <= self._seqs
        return [mark for mark in marks if mark[0] not in passed_over]

    def _free_part(self, block: Mark, touched: Mapping[int, Touched]) -> Mark | None:
        """Give what of a block is free; mostly all of it."""
        entity, keys = block.entity, block.all_keys
        if entity not in touched:
            self.skipped = True
            return None
        busy = self._keys[entity].intersection(keys)
        if self.held_back:
            busy |= {key for key in keys if (entity, key) in self.held_back}
        if not busy:
            return block
        self.skipped = self.skipped or not busy <= self._parts.get(block.seq, _NOTHING)
        return block.parted(busy)[0]

    def put_back(self, work: Work, left: Mapping[int, Collection[str]]) -> None:
        """Leave keys of a batch to a later one."""
        for entity, keys in left.items():
            self._keys[entity].difference_update(keys)
        self._forget(work.leave_out(left))
        self.skipped = True

    def free(self, marks: Iterable[Mark]) -> None:
        """Free the keys of marks that were taken and are in no batch."""
        marks = list(marks)
        for mark in marks:
            self._keys[mark[2]].difference_update((mark[3],) if mark[6] is None else mark[6])
        self._forget(marks)

    def _note(self, marks: Sequence[Mark]) -> None:
        self._seqs.update([mark[0] for mark in marks if mark[6] is None])
        for mark in marks:
            if mark[6] is not None:
                self._parts.setdefault(mark[0], set()).update(mark[6])

    def _forget(self, marks: Sequence[Mark]) -> None:
        self._seqs.difference_update([mark[0] for mark in marks if mark[6] is None])
        for mark in marks:
            if mark[6] is not None and (parts := self._parts.get(mark[0])) is not None:
                parts.difference_update(mark[6])
                if not parts:
                    del self._parts[mark[0]]

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
        self._forget(work.marks)
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


def _fitting(marks: Sequence[Mark], most: int) -> tuple[Sequence[Mark], int | None]:
    """Cut marks to so many keys, but to one mark at least; give the number of the first that is left, too."""
    total = 0
    for place, mark in enumerate(marks):
        total += 1 if mark[6] is None else len(mark[6])
        if total > most and place:
            return marks[:place], mark[0]
    return marks, None
