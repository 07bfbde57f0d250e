"""How long a transaction that is refused again and again waits before its next attempt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from syncline.errors import GateClosedError
from syncline.split.switching.running import Attempts


class Looked:
    """Counts how often the gates were asked; a side is opened at one of these times."""

    def __init__(self, opens_at: int = 0) -> None:
        self.times = 0
        self.last_opening = 1
        self._opens_at = opens_at

    def asked_within(self, _: float) -> bool:
        return False

    def look_again(self, *, fresh_seconds: float = 0.0) -> None:
        self.times += 1
        self.last_opening += self.times == self._opens_at


class Refused(psycopg.errors.SerializationFailure):
    """What a gate's refusal looks like."""

    sqlstate = "40001"

    @property
    def diag(self) -> Any:
        return type("Diagnostic", (), {"schema_name": "syncline_gate", "constraint_name": "closed"})


def test_however_often_a_transaction_is_refused_its_next_attempt_comes_soon() -> None:
    looked = Looked()
    attempts = Attempts(looked, timedelta(hours=1))  # type: ignore[arg-type]
    rests = []
    for _ in range(5000):
        attempts.begin()
        attempts.after(Refused())
        rests.append(attempts.rest_seconds)
    assert 0 < max(rests) <= 0.05
    assert looked.times == 5000


def test_a_refused_transaction_rests_no_longer_than_until_a_side_is_opened() -> None:
    for opens_at, looks in ((1, 1), (3, 3)):  # known at once; at the second look after the refusal's own
        attempts = Attempts(looked := Looked(opens_at), timedelta(hours=1))  # type: ignore[arg-type]
        attempts.begin()
        attempts.after(Refused())
        attempts._rests_until += 3600
        while attempts.rest_seconds:
            attempts.look()
        assert looked.times == looks
        attempts.begin()
        attempts.after(Refused())
        assert attempts.rest_seconds > 0, "what was opened before it began is no news"


def test_what_could_not_be_serialized_asks_no_gate() -> None:
    attempts = Attempts(looked := Looked(), timedelta(hours=1))  # type: ignore[arg-type]
    attempts.after(psycopg.errors.SerializationFailure())
    assert 0 < attempts.rest_seconds <= 0.05
    attempts.look()
    assert looked.times == 0


def test_after_the_deadline_it_is_an_error_that_may_be_tried_again() -> None:
    with pytest.raises(GateClosedError):
        Attempts(Looked(), timedelta()).after(Refused())  # type: ignore[arg-type]


def test_a_process_in_single_mode_that_meets_a_change_of_sides_tries_again() -> None:
    """It may be over in a moment, with the side as before."""
    looked = Looked()
    closed = GateClosedError("the tables of data are changing sides")
    attempts = Attempts(looked, timedelta(hours=1))  # type: ignore[arg-type]
    attempts.after(closed)
    assert attempts.rest_seconds > 0
    assert looked.times == 1
    with pytest.raises(GateClosedError):
        Attempts(looked, timedelta()).after(closed)  # type: ignore[arg-type]
