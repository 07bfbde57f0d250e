"""Some of the mutants, each caught by the test that names it; ``make mutants`` runs them all."""

from __future__ import annotations

import pytest

from tests.mutants.__main__ import run
from tests.mutants.catalogue import MUTANTS, Mutant


@pytest.mark.engines
@pytest.mark.parametrize("mutant", [mutant for mutant in MUTANTS if mutant.quick], ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(mutant: Mutant) -> None:
    outcome = run(mutant)
    assert outcome.caught, outcome
