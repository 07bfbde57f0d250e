"""``syncline load``: measured through a real worker, bounded, and nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from syncline.insight.load import COMMENT, quantiles
from tests.integration.test_cli_verify import Command, command, relay  # noqa: F401  fixtures


def nothing_stays(command: Command) -> None:  # noqa: F811
    assert command.relay.value("SELECT to_regclass('public.syncline_load')") is None
    assert command.sql("SELECT name FROM syncline.entity ORDER BY name") == [("todos",), ("users",)]
    assert "syncline_load" not in command.documents.list_collection_names()


def test_a_deployment_is_measured_and_nothing_stays(command: Command, tmp_path):  # noqa: F811
    with command.relay.process(tmp_path):
        found = command.json("load", "--yes", "--rate", "50", "--seconds", "2", "--rows", "100")
        assert found["writes"] > 0
        assert found["followed"] > 0
        assert found["unseen"] == 0
        assert found["visibleMs"]["p50"] > 0
        nothing_stays(command)
        shown = command("load", "--yes", "--rate", "20", "--seconds", "1", "--rows", "100")
        assert "commit to visible: p50" in shown
        command.drain()
        assert command.json("status")["alerts"] == []
    nothing_stays(command)


def test_an_interrupted_one_tidies_up_and_a_killed_one_is_tidied_up_after(command: Command, tmp_path):  # noqa: F811
    entry = Path(sys.executable).with_name("syncline")
    arguments = [entry, "load", "--yes", "--seconds", "60", "--config", tmp_path / "syncline.toml"]
    with command.relay.process(tmp_path):
        for number, status in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
            process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            end = time.monotonic() + 90
            while command.relay.value("SELECT to_regclass('public.syncline_load')") is None or not (
                command.relay.value("SELECT count(*) FROM syncline_load") > 1
            ):
                assert time.monotonic() < end
                time.sleep(0.1)
            os.kill(process.pid, number)
            errors = process.communicate(timeout=90)[1]
            assert process.returncode == status
            if number is signal.SIGINT:
                assert "interrupted; the scratch table was removed" in errors
                assert "Traceback" not in errors
                nothing_stays(command)
        assert json.loads(command("load", "--clean", "--json")) == {"removed": True}
        nothing_stays(command)


def test_without_a_worker_it_says_so_and_nothing_stays(command: Command, monkeypatch):  # noqa: F811
    from datetime import timedelta

    from syncline.insight import load

    monkeypatch.setattr(load, "SERVED", timedelta(seconds=1))
    command("load", "--yes", "--seconds", "1", status=3)
    nothing_stays(command)


def test_a_table_of_somebody_elses_is_left_alone(command: Command):  # noqa: F811
    command.sql("CREATE TABLE syncline_load (id int PRIMARY KEY)")
    command("load", "--yes", status=3)
    assert command.relay.value("SELECT count(*) FROM syncline_load") == 0
    command.sql(f"COMMENT ON TABLE syncline_load IS '{COMMENT}'")


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], (None, None, None)), ([1.0], (1.0, 1.0, 1.0)), (list(range(100)), (50, 99, 99))],
    ids=["none", "one", "many"],
)
def test_quantiles(values, expected):
    assert tuple(quantiles(values).values()) == expected
