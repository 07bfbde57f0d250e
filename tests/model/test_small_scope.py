"""Each design holds in every small scope of its model; each of its mechanisms, taken out, has a counterexample."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest

from tests.model.documents import scopes as documents
from tests.model.documents import world as document_world
from tests.model.explorer import explore
from tests.model.mutants import MUTANTS, mutant
from tests.model.phases import scopes as phases
from tests.model.phases import world as phase_world
from tests.model.scopes import FOUND, SMALL
from tests.model.search import STUCK, Result
from tests.model.sql import scopes as sql
from tests.model.sql import world as sql_world
from tests.model.switch import scopes as switching
from tests.model.switch import world as switch_world

MODELS = {
    "sql": (sql, sql_world.explore),
    "switch": (switching, switch_world.explore),
    "documents": (documents, document_world.explore),
    "phases": (phases, phase_world.explore),
}

Exploration = Callable[[], Result]


def designs() -> Iterable[Any]:
    for name, scope in SMALL.items():
        yield pytest.param(partial(explore, scope), id=f"relay, {name}")
    for model, (scopes, of_model) in MODELS.items():
        for name, scope in scopes.SMALL.items():
            yield pytest.param(partial(of_model, scope), id=f"{model}, {name}")


def mutants() -> Iterable[Any]:
    for name in MUTANTS:
        yield pytest.param(lambda name=name: explore(mutant(name)), id=f"relay, {name}")
    for model, (scopes, of_model) in MODELS.items():
        for name, scope in scopes.MUTANTS.items():
            yield pytest.param(partial(of_model, scope), id=f"{model}, {name}")


def story(result: Result) -> str:
    return "\n".join([*(f"{number:2} {step}" for number, step in enumerate(result.trace, 1)), f"=> {result.broken}"])


@pytest.mark.parametrize("exploration", [*designs()])
def test_the_design_holds(exploration: Exploration) -> None:
    result = exploration()
    assert not result.broken, story(result)
    assert result.complete


@pytest.mark.parametrize("exploration", [*mutants()])
def test_no_mechanism_can_be_left_out(exploration: Exploration) -> None:
    result = exploration()
    assert result.broken, f"nothing breaks in {result.states} states"
    assert result.broken == STUCK or result.trace


@pytest.mark.parametrize("name", [name for name in FOUND if name not in {"frozen, then dead", "one epoch twice"}])
def test_what_is_known_not_to_hold_does_not(name: str) -> None:
    assert explore(FOUND[name]).broken
