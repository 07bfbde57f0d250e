"""The harness for mappings turns red for what is broken, and says what. One run of pytest over ``tests/harness``."""

from __future__ import annotations

import pytest

from tests.harness.running import Run, run

pytestmark = pytest.mark.slow

BROKEN = {
    "TestDropsAWrite::test_inserts_arrive": ("(no document)", "customer ["),
    "TestDropsDeletes::test_deletes_arrive": ("(no row)",),
    "TestNoFence::test_late_writes_change_nothing": ("differences between PostgreSQL and MongoDB",),
    "TestRounds::test_every_value_comes_back_or_is_rejected_by_name": ("field credit", "look at:    include, exclude"),
    "TestChangesTypes::test_inserts_arrive": (".number", "(cannot be read as int4: float"),
    "TestForgetsAColumn::test_every_column_is_mapped_or_excluded": (
        "public.customer.settings: neither included nor excluded",
        "[entities.customer]",
    ),
    "TestComputesTheTime::test_inserts_arrive": ("field seen", "is something computed from the time?"),
    "TestStricterThanTheSource::test_inserts_arrive": ("records are parked", "unique_value", "a unique one?"),
    "TestBlindVerify::test_damage_to_any_field_is_found_and_corrected": (
        "syncline verify is mistaken",
        "damaged by the test and not found",
    ),
    "TestMissesACapture::test_updates_arrive": ("differences between PostgreSQL and MongoDB",),
    "TestCannotGuess::test_inserts_arrive": ("public.customer: the database refused", "'number': ..."),
    "TestNoSuchTable::test_inserts_arrive": ("there is no table public.nowhere",),
    "TestBrokenSchema::test_inserts_arrive": ("broken.sql:2: syntax error",),
}


@pytest.fixture(scope="module")
def broken(postgres, mongo, tmp_path_factory) -> Run:
    return run(tmp_path_factory.mktemp("broken"), "broken.py", (postgres.url, mongo.url), select=list(BROKEN))


@pytest.mark.parametrize("test", BROKEN)
def test_it_turns_red_and_says_why(broken, test):
    message = broken.failures.get(test)
    assert message is not None, f"green: {test}\n{broken.output[-3000:]}"
    for words in BROKEN[test]:
        assert words in message


def test_a_message_is_short_and_repeats_the_run(broken):
    for test, message in broken.failures.items():
        assert "Traceback" not in message, test
        assert len(message.splitlines()) < 60, test
    assert "--syncline-seed=7 repeats it" in broken.failures["TestNoFence::test_late_writes_change_nothing"]
    assert "syncline seed: 7" in broken.output
