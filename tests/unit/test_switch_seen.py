"""What a process tells of moves: how long no side accepted writes."""

from __future__ import annotations

import pytest

from syncline.split.switching.gate import GateRow, Mode
from syncline.split.switching.seen import REMEMBERED_SECONDS, Closings


def rows(home: Mode, goal: Mode) -> dict[str, dict[str, GateRow]]:
    return {"data": {"primary": GateRow(home, 1, 0, 0), "data": GateRow(goal, 1, 0, 0)}}


def test_a_closing_counts_from_its_beginning_and_is_told_of_for_a_while_when_it_is_over():
    now = [1000.0]
    closings = Closings(lambda: now[0])
    closings.note(rows(Mode.APPLICATION, Mode.LINK))
    assert closings.seconds("data") == 0
    closings.note(rows(Mode.NOBODY, Mode.LINK))
    now[0] += 2
    closings.note(rows(Mode.NOBODY, Mode.LINK))
    assert closings.seconds("data") == 2
    now[0] += 1
    closings.note(rows(Mode.LINK, Mode.APPLICATION))
    now[0] += 100
    closings.note(rows(Mode.LINK, Mode.APPLICATION))
    assert closings.seconds("data") == 3
    now[0] += REMEMBERED_SECONDS
    assert closings.seconds("data") == 0
    closings.note(rows(Mode.LINK, Mode.NOBODY))
    now[0] += 0.5
    assert closings.seconds("data") == pytest.approx(0.5)
    assert closings.seconds("another") == 0
