"""Twenty kills in every `make test`; `make chaos ARGS=migrate` does three hundred."""

from __future__ import annotations

import pytest

from tests.chaos.migrate.run import run
from tests.programs import DOCUMENT_LINKS

pytestmark = [pytest.mark.engines, pytest.mark.slow, DOCUMENT_LINKS]


def test_no_key_diverges_and_no_acknowledged_write_is_lost_over_20_kills():
    outcome = run(20_264, kills=20, say=False, hurry=4)
    assert outcome.kills >= 20
    assert outcome.acknowledged > 100
    assert len(outcome.faults) > 5
    assert outcome.commands["done"] > 1
