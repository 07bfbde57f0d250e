"""The search for the record that the target cannot stand."""

from __future__ import annotations

from syncline.relay.poison import LONE_TRIES as TRIES
from syncline.relay.poison import Poison
from syncline.relay.work import Touched

KEY = (1, "a")


def batch(*keys: str) -> dict[int, Touched]:
    return {1: Touched(hints=dict.fromkeys(keys, "U"))}


def fails(poison: Poison) -> tuple[int, str] | None:
    poison.suspect = KEY
    return poison.guilty()


def test_a_record_that_fails_again_and_again_is_convicted():
    poison = Poison()
    assert [fails(poison) for _ in range(TRIES)] == [None] * (TRIES - 1) + [KEY]


def test_a_record_that_was_written_in_between_is_innocent():
    poison = Poison()
    for _ in range(3 * TRIES):
        assert fails(poison) is None
        poison.succeeded(batch("a", "b"))


def test_the_success_of_others_proves_nothing():
    poison = Poison()
    for _ in range(TRIES - 1):
        assert fails(poison) is None
        poison.succeeded(batch("b"))
    assert fails(poison) == KEY


def test_trouble_of_the_server_convicts_nobody():
    poison = Poison()
    for _ in range(3 * TRIES):
        assert fails(poison) is None
        poison.innocent()
