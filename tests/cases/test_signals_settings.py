"""Settings say what they do: spelt as in the file, and refused where they can do nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
import structlog
from click.testing import CliRunner

from syncline.cli import worker as cli
from syncline.cli.main import command
from syncline.config.load import File
from syncline.config.settings import (
    HistorySettings,
    Settings,
    SourceSettings,
    TargetSettings,
    VerifySettings,
    WorkerSettings,
)
from syncline.engines.memory.target import MemoryTarget
from syncline.errors import ConfigError
from syncline.telemetry.observer import BatchDone, LoggingObserver
from syncline.wiring.worker import make_worker

SETTINGS = Settings(SourceSettings(url="postgresql://u:secret@h/d"), TargetSettings(url="mongodb://h/d", database="d"))


def test_a_worker_that_cannot_verify_says_so_instead_of_not_verifying() -> None:
    settings = Settings(SETTINGS.source, SETTINGS.target, verify=VerifySettings(continuously=True))
    with pytest.raises(ConfigError, match=r"a MemoryTarget cannot be verified\n  leave `\[verify\] continuously` off"):
        make_worker(settings, MemoryTarget())


def test_the_settings_that_a_worker_logs_are_spelt_as_in_the_file() -> None:
    """What is shown can be written into the file, and means the same."""
    worker = WorkerSettings(lease=timedelta(seconds=4), poll=timedelta(seconds=0.5))
    shown = Settings(SETTINGS.source, SETTINGS.target, worker, history=HistorySettings(keep=None)).as_dict()
    assert (shown["worker"]["lease_seconds"], shown["worker"]["poll_seconds"]) == (4, 0.5)
    assert (shown["history"]["keep"], shown["verify"]["period"]) == ("off", "1d")
    assert "secret" not in str(shown)
    sections = {name: part for name, part in shown.items() if name != "entities"}
    read = File.model_validate(sections, by_alias=True, by_name=False)
    assert (read.worker, read.history.keep, read.verify) == (worker, None, VerifySettings())


@pytest.mark.parametrize(
    ("flags", "level", "format_"),
    [([], "info", "auto"), (["--log-level", "debug", "--log-format", "json"], "debug", "json")],
)
def test_flags_win_over_the_log_settings(flags, level, format_, monkeypatch, tmp_path) -> None:
    ran = []

    async def remember(_, links, **__):
        ran.extend(one.log for one in links)

    monkeypatch.setattr(cli, "_worker", remember)
    file = tmp_path / "syncline.toml"
    file.write_text('[source]\nurl = "postgresql://u@h/d"\n[target]\nurl = "mongodb://h/d"\n[entities.todo]\n')
    for name in ("DATABASE_URL", "MONGODB_URL"):
        monkeypatch.delenv(name, raising=False)
    done = CliRunner().invoke(command(), ["worker", "--config", str(file), *flags])
    assert done.exit_code == 0, done.output
    assert [(log.level, log.format) for log in ran] == [(level, format_)]


def test_a_batch_has_a_line_at_info_and_each_record_one_at_debug() -> None:
    structlog.reset_defaults()  # another test of this process may have set a level
    done = BatchDone("todo", "todos", marks=1, applied=1, took=timedelta(milliseconds=43), keys=["3"])
    with structlog.testing.capture_logs() as lines:
        LoggingObserver(structlog.get_logger(), wants_keys=True).tell(done)
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("info", "batch"),
        ("debug", "synced todos/3 in 43 ms"),
    ]
