"""So many a second may pass, whoever asks."""

from __future__ import annotations

import pytest

from syncline.model.turns import Turns


def test_the_next_ones_wait_for_what_has_passed() -> None:
    turns = Turns(0.5, now=100.0)
    assert turns.passed(20, 10, now=100.0) == pytest.approx(102.0)
    assert turns.passed(10, 10, now=100.1) == pytest.approx(103.0)


def test_lost_time_is_made_up_for_by_so_much_and_no_more() -> None:
    turns = Turns(0.5, now=100.0)
    assert turns.passed(10, 10, now=200.0) == pytest.approx(200.5)
