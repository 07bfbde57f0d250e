"""What the worker writes: a line per batch, per record at debug, and no secret."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog

from syncline.config import LogSettings
from syncline.ports import Rejection
from syncline.telemetry import logs
from syncline.telemetry.observer import PARKED_LINES, BatchDone, LoggingObserver, Started, Stopped, Unavailable

DONE = BatchDone(
    entity="todo",
    collection="todos",
    marks=3,
    applied=2,
    rejected=[Rejection("9", "too_large", "17 MiB")],
    took=timedelta(milliseconds=45),
    keys=["abc123"],
)


@pytest.fixture
def lines():
    """Log at a level; return what was written."""

    def write(work, level="info", secrets=()):
        stream = io.StringIO()
        logs.setup(LogSettings(level=level, format="json"), secrets=secrets, stream=stream)
        work(LoggingObserver(wants_keys=level == "debug"))
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    yield write
    structlog.reset_defaults()


def test_a_line_per_batch_and_per_parked_record(lines):
    batch, parked = lines(lambda observer: observer.tell(DONE))
    assert (batch["event"], batch["applied"], batch["took_ms"]) == ("batch", 2, 45)
    assert (parked["level"], parked["record"], parked["code"]) == ("warning", "todos/9", "too_large")


def test_a_line_per_record_at_debug(lines):
    assert lines(lambda observer: observer.tell(DONE), level="debug")[-1]["event"] == "synced todos/abc123 in 45 ms"


def test_settings_at_the_start_without_secrets(lines):
    settings = {"source": {"url": "postgresql://me:s3cr3t@h/d"}}
    (line,) = lines(lambda observer: observer.tell(Started("w1", settings)))
    assert (line["name"], line["settings"]) == ("w1", {"source": {"url": "postgresql://me:***@h/d"}})


def test_known_secrets_are_masked_wherever_they_stand(lines):
    error = RuntimeError("bad token 's3cr3t'")
    (line,) = lines(
        lambda observer: observer.tell(Unavailable("target", error, timedelta(seconds=1))), secrets=["s3cr3t"]
    )
    assert "s3cr3t" not in line["error"]


def test_a_traceback_has_no_secret(lines):
    def fail(observer):
        try:
            raise RuntimeError("mongodb://a:s3cr3t@h/x")
        except RuntimeError:
            structlog.get_logger().exception("failed")

    assert "s3cr3t" not in json.dumps(lines(fail))


def test_for_people(capsys):
    stream = io.StringIO()
    logs.setup(LogSettings(format="console"), stream=stream)
    LoggingObserver().tell(Stopped("SIGTERM"))
    structlog.reset_defaults()
    assert "worker stopped" in stream.getvalue()


def test_thousands_of_parked_records_are_a_few_lines(lines):
    rejected = [Rejection(str(n), "mapping", "too wide") for n in range(3000)]
    _, *parked, more = lines(lambda observer: observer.tell(replace(DONE, rejected=rejected)))
    assert [line["record"] for line in parked] == [f"todos/{n}" for n in range(PARKED_LINES)]
    assert (more["event"], more["records"], more["list"]) == (
        "more parked",
        3000 - PARKED_LINES,
        "syncline parked list",
    )
