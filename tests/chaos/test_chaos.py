"""Twenty kills in every `make test`; `make chaos` does five hundred."""

from __future__ import annotations

import pytest

from tests.chaos.rows import RowChaos
from tests.chaos.run import Chaos, Wanted, played

pytestmark = [pytest.mark.engines, pytest.mark.slow]


def test_nothing_is_lost_parked_or_seen_going_back_in_a_postgresql_over_20_kills():
    outcome = played(RowChaos, Wanted(20_261, kills=20, say=False, workers=2, hurry=4, operators=0, rows=500))
    assert outcome.kills >= 20
    assert outcome.commits > 100
    assert outcome.records > 1000


def test_nothing_is_lost_parked_seen_going_back_or_called_damage_over_20_kills():
    outcome = played(Chaos, Wanted(20_260, kills=20, say=False, workers=3, hurry=4, operators=1))
    assert outcome.kills >= 20
    assert outcome.commits > 100
    assert outcome.damaged > 0
