"""An entity stays apart as long as its records cannot be written, however few a group has; and not longer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from syncline.relay.apart import CROWD, Apart, Crowds


@pytest.mark.parametrize(
    ("served", "unwritten", "stays"),
    [(4, 4, True), (1000, 500, True), (1000, CROWD, False), (100, 0, False), (0, 0, False)],
    ids=["a small block", "many", "here and there", "good ones", "lost with the lease"],
)
def test_a_group_says_whether_its_entity_stays_apart(served: int, unwritten: int, stays: bool) -> None:
    crowds = Crowds()
    refused = SimpleNamespace(
        rejected=True,
        waiting=(),
        unwritten=lambda: {1: CROWD},
        work=SimpleNamespace(touched={1: SimpleNamespace(hints=range(CROWD))}),
    )
    crowds.look(cast(Any, refused))
    assert 1 in crowds
    crowds.leave(Apart(cast(Any, SimpleNamespace(id=1)), {}, served=served, unwritten=unwritten))
    assert (1 in crowds) is stays
