"""The phases: the switch between documents and rows holds in every small scope; each mechanism, taken out, has a counterexample."""

from __future__ import annotations

import pytest

from tests.model.phases.scopes import MUTANTS, SMALL
from tests.model.phases.world import explore
from tests.model.search import STUCK
from tests.model.test_small_scope import story


@pytest.mark.parametrize("name", SMALL)
def test_the_design_holds(name):
    result = explore(SMALL[name])
    assert not result.broken, story(result)
    assert result.complete


@pytest.mark.parametrize("name", MUTANTS)
def test_no_mechanism_can_be_left_out(name):
    result = explore(MUTANTS[name])
    assert result.broken, f"nothing breaks in {result.states} states"
    assert result.broken == STUCK or result.trace
