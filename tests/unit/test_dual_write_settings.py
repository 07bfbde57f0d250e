"""The settings of dual writes, as the environment says them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syncline.config.dual_write import DualWriteSettings
from syncline.errors import ConfigError
from syncline.model.retries import Retries


def test_without_any_the_documented_ones_hold():
    settings = DualWriteSettings.from_environment({})
    assert settings == DualWriteSettings()
    assert (settings.enabled, settings.retries.attempts, settings.retries.delay) == (True, 3, timedelta(seconds=5))
    assert settings.deadline == timedelta(milliseconds=250)


def test_each_is_read():
    given = {"ENABLED": "False", "RETRY_ATTEMPTS": "7", "RETRY_DELAY": "0.5", "DEADLINE": "0", "SESSIONS": "4"}
    settings = DualWriteSettings.from_environment({f"DUAL_WRITE_{name}": value for name, value in given.items()})
    assert settings == DualWriteSettings(
        enabled=False, retries=Retries(7, timedelta(seconds=0.5)), deadline=timedelta(0), sessions=4
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENABLED", "maybe"),
        ("RETRY_ATTEMPTS", "0"),
        ("RETRY_ATTEMPTS", "-1"),
        ("RETRY_DELAY", "soon"),
        ("DEADLINE", "-1"),
    ],
)
def test_a_wrong_one_is_named(name, value):
    with pytest.raises(ConfigError, match=f"DUAL_WRITE_{name}={value}"):
        DualWriteSettings.from_environment({f"DUAL_WRITE_{name}": value})
