"""The design holds in every small scope; each mechanism, taken out, has a counterexample."""

from __future__ import annotations

import pytest

from tests.model.explorer import explore
from tests.model.mutants import MUTANTS, mutant
from tests.model.scopes import FOUND, SMALL
from tests.model.search import STUCK, Result


def story(result: Result) -> str:
    return "\n".join([*(f"{number:2} {step}" for number, step in enumerate(result.trace, 1)), f"=> {result.broken}"])


@pytest.mark.parametrize("name", SMALL)
def test_the_design_holds(name):
    result = explore(SMALL[name])
    assert not result.broken, story(result)
    assert result.complete


@pytest.mark.parametrize("name", MUTANTS)
def test_no_mechanism_can_be_left_out(name):
    result = explore(mutant(name))
    assert result.broken, f"nothing breaks in {result.states} states"
    assert result.broken == STUCK or result.trace


@pytest.mark.parametrize("name", [name for name in FOUND if name not in {"frozen, then dead", "one epoch twice"}])
def test_what_is_known_not_to_hold_does_not(name):
    assert explore(FOUND[name]).broken
