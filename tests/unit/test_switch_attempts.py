"""How long a transaction that is refused again and again waits before its next attempt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from syncline.errors import GateClosedError
from syncline.split.switching.running import Attempts


class Looked:
    """Counts how often the gates were asked."""

    def __init__(self) -> None:
        self.times = 0

    def look_again(self) -> None:
        self.times += 1


class Refused(psycopg.errors.SerializationFailure):
    """What a gate's refusal looks like."""

    sqlstate = "40001"

    @property
    def diag(self) -> Any:
        return type("Diagnostic", (), {"schema_name": "syncline_gate", "constraint_name": "closed"})


def test_however_often_a_transaction_is_refused_its_next_attempt_comes_soon() -> None:
    looked = Looked()
    attempts = Attempts(looked, timedelta(hours=1))  # type: ignore[arg-type]
    delays = [attempts.after(Refused()) for _ in range(5000)]
    assert max(delays) <= 0.05
    assert delays[0] < min(delays[10:])
    assert looked.times == 5000


def test_after_the_deadline_it_is_an_error_that_may_be_tried_again() -> None:
    with pytest.raises(GateClosedError):
        Attempts(Looked(), timedelta()).after(Refused())  # type: ignore[arg-type]


def test_a_process_in_single_mode_that_meets_a_change_of_sides_tries_again() -> None:
    """It may be over in a moment, with the side as before."""
    looked = Looked()
    closed = GateClosedError("the tables of data are changing sides")
    assert Attempts(looked, timedelta(hours=1)).after(closed) > 0  # type: ignore[arg-type]
    assert looked.times == 1
    with pytest.raises(GateClosedError):
        Attempts(looked, timedelta()).after(closed)  # type: ignore[arg-type]
