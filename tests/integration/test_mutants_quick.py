"""Some of the mutants, each caught by the test that names it; ``make mutants`` runs them all."""

from __future__ import annotations

import pytest

from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.postgres import PrivatePostgres
from tests import engines
from tests.mutants.__main__ import run
from tests.mutants.catalogue import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", [mutant for mutant in MUTANTS if mutant.quick], ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(mutant: Mutant, postgres: PrivatePostgres, mongo: PrivateMongo) -> None:
    outcome = run(mutant, {engines.SHARED_POSTGRES: postgres.url, engines.SHARED_MONGO: mongo.url})
    assert outcome.caught, outcome
