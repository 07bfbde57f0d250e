"""The settings of dual writes, as the environment says them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syncline.config.documents import Documents
from syncline.config.dual_write import DualWriteSettings
from syncline.errors import ConfigError, PhaseError
from syncline.model.documents import Collection, DocumentMapping
from syncline.model.retries import Retries
from syncline.phases import FixedPhases, Phase
from syncline.phases.dual_write import DualWriteService
from syncline.phases.enabled import default_phase

DECLARED = Documents((DocumentMapping(Collection("tasks")),), None)


def test_without_any_the_documented_ones_hold():
    settings = DualWriteSettings.from_environment({})
    assert settings == DualWriteSettings()
    assert (settings.enabled, settings.retries.attempts, settings.retries.delay) == (None, 3, timedelta(seconds=5))
    assert settings.deadline == timedelta(milliseconds=250)


@pytest.mark.parametrize(("text", "phase"), [("", Phase.OFF), ("false", Phase.OFF), ("true", Phase.DUAL_WRITE)])
def test_services_and_phases_have_one_default(text, phase, caplog):
    """Off: what somebody forgot to say in one process writes no second database there."""
    env = {"DUAL_WRITE_ENABLED": text}
    assert default_phase(env) is phase
    DualWriteService(DECLARED, settings=DualWriteSettings.from_environment(env))
    told = "DUAL_WRITE_ENABLED is not set, and no phases are given: MongoDB alone is written"
    assert caplog.messages == ([told] if not text else [])


@pytest.mark.parametrize("enabled", [None, True])
def test_phases_that_are_given_hold_whether_the_variable_is_set_or_not(enabled, caplog):
    DualWriteService(DECLARED, phases=FixedPhases("ramp"), settings=DualWriteSettings(enabled=enabled))
    assert caplog.messages == []
    with pytest.raises(PhaseError, match="DUAL_WRITE_ENABLED is off"):
        DualWriteService(DECLARED, phases=FixedPhases("ramp"), settings=DualWriteSettings(enabled=False))


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
