"""The places where the chaos harness stops a worker are methods that there are."""

from __future__ import annotations

import pytest

from tests.chaos.migrate.commands import STEPS as OF_DOCUMENTS
from tests.chaos.points import STEPS


@pytest.mark.parametrize(
    ("owner", "method"),
    [(owner, method) for owner, steps in (*STEPS.items(), *OF_DOCUMENTS.items()) for method in steps],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_step_is_a_method(owner: type, method: str) -> None:
    assert callable(getattr(owner, method))
