"""What is a strain: far above the usual of the calmest of the last minutes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syncline.backfill.latency import Latency
from syncline.backfill.pace import Pace
from syncline.cli.progress import WINDOW_SECONDS
from syncline.model.speed import Speed


def noted(*samples: float, each: float = 1.0) -> Latency:
    latency = Latency()
    for place, sample in enumerate(samples):
        latency.note(sample, at=place * each)
    return latency


def test_nothing_is_usual_at_first():
    assert Latency().usual == 0
    assert not Latency().strained


@pytest.mark.parametrize(("newest", "strained"), [(0.004, False), (0.005, True), (0.5, True)])
def test_three_times_the_usual_and_two_milliseconds_are_a_strain(newest, strained):
    assert noted(*[0.0009] * 10, newest).strained is strained


def test_one_slow_sample_is_forgotten_with_the_next():
    assert not noted(*[0.001] * 10, 0.5, 0.001).strained


def test_a_lasting_load_is_a_strain_for_ten_minutes_and_usual_afterwards():
    latency = noted(*[0.001] * 60, *[0.02] * 500)
    assert latency.strained
    assert latency.usual == 0.001
    for second in range(560, 1300):
        latency.note(0.02, at=second)
    assert not latency.strained
    assert latency.usual == 0.02


def test_the_usual_one_is_no_lucky_one():
    assert noted(0.0001, *[0.001] * 20).usual == 0.001


def test_full_throttle_sets_no_limit_but_those_that_were_given():
    pace = Pace().asked({"full_throttle": True, "rate": None})
    assert (pace.rate, pace.heeds_source, pace.max_queue) == (None, False, 200_000)
    assert Pace().asked({"full_throttle": True, "rate": 7, "max_queue": 5}).rate == 7
    assert Pace().asked({"full_throttle": True, "max_queue": 5}).max_queue == 5


def test_a_lag_of_zero_is_a_limit():
    assert Pace().asked({"max_lag_seconds": 0}).max_lag == timedelta(0)


def test_the_speed_is_that_of_the_last_half_minute():
    speed = Speed(WINDOW_SECONDS)
    for second in range(100):
        speed.note(second * 10 if second < 50 else 500 + (second - 50) * 1000, at=float(second))
    assert speed.per_second == 1000
    assert speed.seconds_left(60_500) == pytest.approx(11.0)
    assert speed.seconds_left(None) is None
    assert speed.seconds_left(0) == 0


def test_the_speed_is_not_known_from_one_count():
    speed = Speed(WINDOW_SECONDS)
    assert speed.per_second is None
    speed.note(5, at=1.0)
    assert speed.per_second is None
    assert speed.seconds_left(10) is None
