"""A few seconds of schema changes in every `make test`; `make chaos ARGS="--ddl"` makes a quarter of an hour of it."""

from __future__ import annotations

import pytest

from tests.chaos import ddl

pytestmark = [pytest.mark.engines, pytest.mark.slow]


def test_of_schema_changes_beside_writers_nothing_is_lost_or_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddl, "PATIENCE", 300.0)
    outcome = ddl.run(20_261, rounds=1, seconds=6, trouble=False, reinstall=False, say=False)
    assert outcome.rounds == 1
    assert outcome.changes.total() >= 5
