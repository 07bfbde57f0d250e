"""The judge of a run of switches names each kind of fault, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.switches.book import Book, Changed, Item, both, neither, openings, outside

LIFE = 1_000_000
LINES = """\
t 1.0 0 1000001
a 1.0 1.2 0 1000001 7 1.1
t 1.0 1 1000001
u 1.0 1.3 1 1000001 lost it
t 2.0 1 1000002
f 2.0 2.3 1 1000002 refused
t 3.0 1 1000003
a 3.0 3.2 1 1000003 8 3.1
r 3.0 3.1
t 4.0 0 2000001
t 4.0 1 10"""
ROWS = [Item(7, (0, LIFE + 1), 0, "primary", 1.15), Item(8, (1, LIFE + 3), 1, "data", 3.15)]
TALLIES = {0: 1, 1: 1}
WATCHED = {0: 1, 1: 0}
CHANGES = [
    Changed(1.5, "primary", "n", 1),
    Changed(1.6, "data", "a", 1),
    Changed(1.7, "primary", "l", 1),
    Changed(4.0, "data", "n", 2),
    Changed(4.5, "primary", "a", 2),
]


@pytest.fixture
def book(tmp_path: Path) -> Book:
    path = tmp_path / "requests"
    path.write_text(LINES)
    book = Book()
    book.read([path])
    with path.open("a") as file:
        file.write("00001\n")
    book.read([path])
    return book


def test_what_is_right_is_not_named(book: Book) -> None:
    assert list(book.against(ROWS, TALLIES, WATCHED)) == []
    unknown = Item(9, (1, LIFE + 1), 0, "primary", 1.2)
    assert list(book.against([*ROWS, unknown], {0: 1, 1: 2}, WATCHED)) == []
    assert book.under_way({0: 2, 1: 1}) == {(0, 2 * LIFE + 1)}
    assert book.under_way({0: 3, 1: 1}) == set()
    assert [failed.said for failed in book.failures] == ["lost it", "refused"]
    assert book.since(1.1, [0, 1])
    assert not book.since(1.2, [0, 1])
    assert [*both(CHANGES), *outside(ROWS, CHANGES)] == []
    assert neither(CHANGES) == [(1.5, 1.6), (4.0, 4.5)]
    assert [change.side for change in openings(CHANGES)] == ["data", "primary"]


@pytest.mark.parametrize(
    ("rows", "tallies", "said"),
    [
        (ROWS[1:], {1: 1}, "is there 0 times"),
        ([*ROWS, replace(ROWS[0], key=17)], {0: 2, 1: 1}, "is there 2 times"),
        ([replace(ROWS[0], key=17), ROWS[1]], TALLIES, "was acknowledged as 7, and is 17"),
        ([*ROWS, Item(10, (1, LIFE + 2), 1, "data", 2.2)], {0: 1, 1: 2}, "is there, and was refused"),
        ([*ROWS, Item(10, (1, 99), 1, "data", 2.2)], {0: 1, 1: 2}, "was never asked for"),
        (ROWS, {0: 1, 1: 5}, "its tally says 5"),
        ([ROWS[0], replace(ROWS[1], seen=0)], TALLIES, "has seen 0 of 1 writes"),
    ],
)
def test_rows_that_are_wrong_are_named(book: Book, rows: list[Item], tallies: dict[int, int], said: str) -> None:
    assert said in "; ".join(book.against(rows, tallies, WATCHED))


def test_sides_that_both_accept_and_rows_of_a_closed_side_are_named() -> None:
    late = [replace(CHANGES[0], at=2.0), *CHANGES[1:]]
    assert list(both(late)) == ["both sides accept writes from 1.600 to 1.700"]
    assert "when that did not accept writes" in "".join(outside([replace(ROWS[0], at=1.55)], CHANGES))
