"""The mutants still fit the source, and their tests exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.__main__ import check_applies
from tests.mutants.catalogue import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_applies_and_its_text_is_python(mutant: Mutant) -> None:
    check_applies(mutant)
    for file in mutant.files:
        if file.endswith(".py"):
            ast.parse(mutant.applied(file, (ROOT / "src" / file).read_text("utf-8")))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutants_tests_exist(mutant: Mutant) -> None:
    for test in mutant.tests:
        file, *_, name = test.split("::")
        text = (ROOT / file).read_text("utf-8")
        if "Contract" in text:
            text += "".join(part.read_text("utf-8") for part in (ROOT / "src/syncline/testing/contract").glob("*.py"))
        assert f"def {name}(" in text


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
