"""Twenty-four kills in every `make test`; `make chaos` does five hundred."""

from __future__ import annotations

import pytest

from tests.chaos.run import run

pytestmark = [pytest.mark.engines, pytest.mark.slow]


def test_nothing_is_lost_parked_or_seen_going_back_over_24_kills():
    outcome = run(20_260, kills=24, say=False, workers=3, hurry=3)
    assert outcome.kills >= 24
    assert outcome.commits > 100
