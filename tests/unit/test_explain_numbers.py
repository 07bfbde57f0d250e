"""An operator sees the number that is stored, not the nearest float."""

from __future__ import annotations

import pytest

from syncline.insight.explain import _exact


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("1.5", 1.5),
        ("0.1", 0.1),
        ("1.10", 1.1),
        ("1." + "1" * 40, "1." + "1" * 40),
        ("12345678901234567890.5", "12345678901234567890.5"),
        ("1e400", "1e400"),
    ],
)
def test_what_a_float_would_round_is_shown_as_text(stored: str, shown: object) -> None:
    assert _exact(stored) == shown
