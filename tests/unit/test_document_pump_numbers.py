"""A walk over marks ends where the link gets another number: which gate was open is asked as a walk begins."""

from __future__ import annotations

from typing import Any

from syncline.ports.documents import Fate, MarkedDocument, Outcome
from syncline.relay.documents.pump import DocumentPump


class Source:
    """Marked documents, a page each; a walk reads what is left."""

    def __init__(self, count: int) -> None:
        self.left = [MarkedDocument(n, f"{n:024x}", 1, deleted=False) for n in range(count)]
        self.walks = 0

    async def pages(self, _collection: str, _size: int) -> Any:
        self.walks += 1
        for one in [*self.left]:
            yield [one]

    async def clear(self, _collection: str, documents: Any) -> None:
        self.left = [one for one in self.left if one not in documents]

    async def raise_above(self, _collection: str, _refused: Any) -> None: ...


class Rows:
    """Takes all, and says the numbers that it is given, the last one for ever."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = list(numbers)
        self.put_: list[tuple[int, int]] = []

    async def number(self) -> int:
        return self.numbers.pop(0) if len(self.numbers) > 1 else self.numbers[0]

    async def due(self, _collection: str, found: Any) -> Any:
        return found

    async def put(self, _collection: str, documents: Any, number: int) -> Any:
        self.put_ += [(one.id, number) for one in documents]
        return [Outcome(one, Fate.APPLIED) for one in documents]


async def walked(source: Source, rows: Rows, **options: Any) -> int:
    pump, walks = DocumentPump(source, rows, ["tasks"], batch=1, **options), 1
    while (await pump.walk()).moved:
        walks += 1
    return walks


async def test_under_one_number_a_walk_carries_everything():
    source, rows = Source(4), Rows(1)
    await walked(source, rows)
    assert rows.put_ == [(0, 1), (1, 1), (2, 1), (3, 1)]
    assert source.walks == 2


async def test_under_another_number_what_is_left_is_read_by_another_walk():
    source, rows = Source(4), Rows(1, 1, 1, 2)
    await walked(source, rows)
    assert rows.put_ == [(0, 1), (1, 1), (2, 1), (3, 2)]
    assert source.walks == 3


async def test_a_walk_that_goes_on_after_others_had_their_turn_does_so_under_its_number_alone():
    source, rows = Source(3), Rows(1, 2)
    await walked(source, rows, turn=0.0)
    assert rows.put_ == [(0, 1), (1, 2), (2, 2)]
