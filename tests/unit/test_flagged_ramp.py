"""A ramp by feature flags: which percentage holds, whatever the provider does."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from openfeature.provider.no_op_provider import NoOpProvider

from syncline.contrib.openfeature import FlaggedRamp
from syncline.phases import FixedPhases, Phase

NEVER = timedelta(hours=1)
KEYS = [f"user-{number}" for number in range(1000)]


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    api.set_provider(NoOpProvider())


def provided(**flags: Any) -> None:
    api.set_provider(InMemoryProvider({name.replace("_", "-"): InMemoryFlag("it", {"it": value}) for name, value in flags.items()}))  # fmt: skip


def ramp(**given: Any) -> FlaggedRamp:
    found = FlaggedRamp(FixedPhases(Phase.RAMP), every=NEVER, **given)
    found.percent("tasks")
    found.close()
    found.refresh()
    return found


def test_the_flag_says_how_many_keys_read_postgresql():
    provided(syncline_ramp_tasks=10)
    found = ramp()
    reads = {key for key in KEYS if found.reads_postgresql("tasks", key)}
    assert 60 <= len(reads) <= 140
    provided(syncline_ramp_tasks=20.5)
    found.refresh()
    assert reads < {key for key in KEYS if found.reads_postgresql("tasks", key)}


def test_the_same_keys_are_among_the_percent_of_every_flag_and_of_the_journals_ramp():
    provided(syncline_ramp_tasks=30, other_labels=30)
    tasks, labels = ramp(), FlaggedRamp(FixedPhases(Phase.RAMP), flag="other-{}".format, every=NEVER)
    labels.percent("labels")
    labels.refresh()
    labels.close()
    by_journal = FixedPhases(Phase.RAMP, percent=30)
    for key in KEYS:
        assert (
            tasks.reads_postgresql("tasks", key)
            == labels.reads_postgresql("labels", key)
            == by_journal.reads_postgresql("tasks", key)
        )


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.RAMP])
def test_in_other_phases_the_flag_says_nothing(phase):
    provided(syncline_ramp_tasks=100 if phase < Phase.RAMP else 0)
    found = FlaggedRamp(FixedPhases(phase), every=NEVER)
    assert found.of("tasks") is phase
    assert found.reads_postgresql("tasks", "a") == (phase > Phase.RAMP)
    found.close()


@pytest.mark.parametrize("wrong", [-3, 101, float("nan"), float("inf"), "ten", {"percent": 3}])
def test_what_is_no_percentage_leaves_the_last_one(wrong, caplog):
    provided(syncline_ramp_tasks=40)
    found = ramp()
    provided(syncline_ramp_tasks=wrong)
    with caplog.at_level(logging.WARNING, "syncline.phases.ramp"):
        found.refresh()
        found.refresh()
    assert found.percent("tasks") == 40
    assert [record for record in caplog.records if record.name == "syncline.phases.ramp"] != []
    assert len([record for record in caplog.records if record.name == "syncline.phases.ramp"]) == 1


def test_a_provider_that_raises_leaves_the_last_one():
    class Away:
        def get_float_details(self, *_: Any) -> Any:
            raise OSError("no route")

    provided(syncline_ramp_tasks=40)
    found = ramp()
    found._client = Away()
    found.refresh()
    assert found.percent("tasks") == 40


def test_before_the_first_answer_nothing_is_postgresqls():
    provided()
    found = ramp()
    assert found.percent("tasks") == 0
    assert not any(found.reads_postgresql("tasks", key) for key in KEYS)


def waited(found: FlaggedRamp, percent: float) -> None:
    until = time.monotonic() + 30
    while found.percent("tasks") != percent and time.monotonic() < until:
        time.sleep(0.01)
    assert found.percent("tasks") == percent


def write(file: Path, text: str) -> None:
    file.with_suffix(".new").write_text(text)
    file.with_suffix(".new").replace(file)


def test_flagd_in_file_mode_is_followed_and_a_file_that_breaks_or_goes_changes_nothing(tmp_path, monkeypatch):
    def flags(percent: float) -> str:
        one = {"state": "ENABLED", "variants": {"now": percent}, "defaultVariant": "now"}
        return json.dumps({"flags": {"syncline-ramp-tasks": one}})

    file = tmp_path / "flags.json"
    write(file, flags(10))
    monkeypatch.setenv("FLAGD_OFFLINE_POLL_MS", "10")
    provider = FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(file))
    found = FlaggedRamp(FixedPhases(Phase.RAMP), every=timedelta(milliseconds=5))
    assert found.percent("tasks") == 0  # nobody has asked a provider yet
    api.set_provider(provider)
    waited(found, 10)
    write(file, flags(12.5))
    waited(found, 12.5)
    write(file, "{ broken")
    time.sleep(0.1)
    assert found.percent("tasks") == 12.5
    file.unlink()
    time.sleep(0.1)
    assert found.percent("tasks") == 12.5
    write(file, flags(50))
    waited(found, 50)
    found.close()
