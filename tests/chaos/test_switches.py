"""Twenty changes of sides in every `make test`; `make chaos ARGS=split` does four hundred."""

from __future__ import annotations

import pytest

from tests.chaos.switches.run import run

pytestmark = [pytest.mark.engines, pytest.mark.slow]


def test_nothing_is_lost_doubled_stale_or_failed_over_20_changes_of_sides():
    outcome = run(20_262, switches=20, say=False, lease=1.0, pause="1s", rate=80)
    assert outcome.changes >= 20
    assert outcome.acknowledged > 100
    assert len(outcome.faults) > 5
