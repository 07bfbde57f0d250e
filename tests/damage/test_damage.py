"""Two rounds in every `make test`; `make damage` does a hundred, on as many rows as you like."""

from __future__ import annotations

import pytest

from tests.damage.run import run

pytestmark = [pytest.mark.engines, pytest.mark.slow]


def test_verification_finds_exactly_the_damage_done_by_hand():
    outcome = run(3000, 2, 20_261, damage=60, say=False)
    assert outcome.rounds == 2
    assert outcome.harms.keys() == {"missing", "extra", "different", "unissued", "foreign"}
    assert outcome.harmless > 0
    assert outcome.commits > 50
