"""The search for the record that the target cannot stand."""

from __future__ import annotations

from syncline.relay.poison import KNOWN_TRIES, Poison
from syncline.relay.poison import LONE_TRIES as TRIES
from syncline.relay.poison import TRIES as BATCH_TRIES

KEY = (1, "a")


def batch(*keys: str) -> list[tuple[int, str]]:
    return [(1, key) for key in keys]


def fails(poison: Poison) -> tuple[int, str] | None:
    poison.failed([KEY])
    return poison.bisect("it broke down")


def test_a_record_that_fails_again_and_again_is_found():
    poison = Poison()
    assert [fails(poison) for _ in range(TRIES)] == [None] * (TRIES - 1) + [KEY]


def test_a_record_that_was_written_in_between_is_not():
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


def test_a_batch_that_fails_again_and_again_is_searched_although_others_are_written_all_the_time():
    poison = Poison()
    for _ in range(BATCH_TRIES):
        assert poison.shrink == 0
        poison.failed(batch("a", "b"))
        poison.bisect("it broke down")
        poison.succeeded(batch("c"))
    assert poison.shrink == 1


def test_failures_of_batches_that_were_written_since_do_not_add_up():
    poison = Poison()
    for number in range(3 * BATCH_TRIES):
        poison.failed(batch(f"{number}", "b"))
        poison.bisect("the connection broke")
        poison.succeeded(batch("b"))
        poison.parked((1, f"{number}"))
        poison.succeeded(())
    assert poison.shrink == 0


def test_trouble_of_the_server_parks_nothing():
    poison = Poison()
    for _ in range(3 * TRIES):
        assert fails(poison) is None
        poison.server_failed()


def in_quarantine() -> Poison:
    poison = Poison()
    assert [fails(poison) for _ in range(TRIES)][-1] == KEY
    return poison


def test_a_found_record_stays_so_until_the_record_is_parked():
    poison = in_quarantine()
    assert [rejection.key for rejection in poison.rejections(1, ["a", "b"])] == ["a"]
    assert poison.rejections(2, ["a"]) == []
    assert poison.rejections(1, ["a"])[0].message == "it broke down"
    poison.parked(KEY)
    assert poison.rejections(1, ["a"]) == []


def test_a_record_in_quarantine_is_parked_sooner():
    poison = in_quarantine()
    assert [poison.failed_alone(KEY) for _ in range(2 * KNOWN_TRIES)] == ([False] * (KNOWN_TRIES - 1) + [True]) * 2


def test_trouble_of_the_server_parks_no_record_in_quarantine_either():
    poison = in_quarantine()
    for _ in range(5):
        assert not poison.failed_alone(KEY)
        poison.server_failed()


def test_a_record_that_was_written_is_known_no_more():
    poison = in_quarantine()
    poison.parked(KEY)
    poison.succeeded(batch("b"))
    assert poison.quarantined == {KEY: 0}
    poison.succeeded(batch("a"))
    assert poison.quarantined == {}
    assert fails(poison) is None


def test_what_was_found_is_forgotten_when_others_may_have_written_the_record():
    poison = in_quarantine()
    poison.forget_found()
    assert poison.rejections(1, ["a"]) == []
    assert poison.quarantined == {KEY: 0}
