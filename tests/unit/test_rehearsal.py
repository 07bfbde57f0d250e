"""How a rehearsal that fails is told, without a server."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from syncline.cli import rehearsing
from syncline.cli.split_copy import Wish
from syncline.errors import RehearsalError, SwitchError
from syncline.split.rehearsing import filling
from syncline.split.rehearsing.records import Clock

SERVING: Any = SimpleNamespace(ends=SimpleNamespace(home="primary"), plan=None)


@pytest.mark.parametrize("error", [SwitchError("it is away"), psycopg.OperationalError("it is away\nmore")], ids=type)
def test_a_step_that_fails_is_named_whoever_has_raised_it(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer or a comparison meets a database that went away by the driver's own error."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(filling, "fill", lambda *_, **__: {})
    monkeypatch.setattr(rehearsing, "schema", fail)
    clock = Clock()
    played = rehearsing.Rehearsal(10, timedelta(seconds=1), clock)
    with pytest.raises(RehearsalError) as told:
        rehearsing.play(SERVING, SERVING, played, Wish(1, None, as_json=True, begins=clock.begin))
    assert told.value.message == "the rehearsal has failed (schema): it is away"
