"""The application in a process of its own, as it is deployed; and its OpenAPI document, by which a machine tries it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import psycopg
import pytest
import schemathesis
from pydantic import SecretStr
from schemathesis.specs.openapi import checks
from studybuddy.settings import SettingsError

from tests.acceptance.studybuddy.system import HOME, PASSWORD, System

COMMAND = [sys.executable, "-m", "uvicorn", "--factory", "studybuddy.app:create_app", "--no-access-log"]
OURS = ("/health", "/metrics", "/api/health", "/api/admin", "/api/backup")
EXAMPLES = 5
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@contextlib.contextmanager
def serving(system: System, log: Path, **variables: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run uvicorn on a socket of ours; give the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as out:
        port, number = listener.getsockname()[1], listener.fileno()
        environment = system.environment | {"STUDYBUDDY_HASH_MEMORY_KIB": "32"} | variables
        process = subprocess.Popen(
            [*COMMAND, "--fd", str(number)], cwd=HOME, env=environment, stdout=out, stderr=out, pass_fds=[number]
        )
        try:
            until = time.monotonic() + 60
            while True:
                with contextlib.suppress(httpx.TransportError):
                    httpx.get(f"http://127.0.0.1:{port}/health", timeout=5)
                    break
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def server(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(system, tmp_path_factory.mktemp("server") / "log") as (url, _):
        yield url


def joined(url: str, name: str) -> dict[str, str]:
    """Make a user; give the header that says who calls."""
    email = f"{name}@example.org"
    new = {"email": email, "username": name, "password": PASSWORD}
    assert httpx.post(f"{url}/api/users", json=new, timeout=60).status_code == 201
    answer = httpx.post(f"{url}/api/auth/login", json={"email": email, "password": PASSWORD}, timeout=60)
    return {"Authorization": f"Bearer {answer.json()['accessToken']}"}


def test_it_serves_logs_and_stops_in_order(system: System, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(system, log) as (url, process):
        headers = joined(url, f"server-{os.getpid()}") | {"X-Request-ID": "my-request-1"}
        made = httpx.post(f"{url}/api/todos", json={"title": "a", "subject": "b"}, headers=headers, timeout=60)
        assert made.status_code == 201
        assert made.headers["Syncline-Token"]
        metrics = httpx.get(f"{url}/metrics", timeout=60).text
        assert re.search(r'syncline_api_request_duration_seconds_count\{[^}]*route="/api/todos"[^}]*\} 1', metrics)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    line = next(line for line in lines if line.get("request_id") == "my-request-1")
    assert (line["method"], line["route"], line["status"]) == ("POST", "/api/todos", 201)
    assert PASSWORD not in log.read_text()


def test_its_spans_and_its_changes_belong_to_the_callers_trace(system: System, tmp_path: Path) -> None:
    caller = f"{os.getpid():032x}"
    system.syncline("tracing", "on")
    try:
        with serving(system, tmp_path / "log", STUDYBUDDY_TRACING="1", OTEL_TRACES_EXPORTER="console") as (
            url,
            process,
        ):
            headers = joined(url, f"traced-{os.getpid()}") | {"traceparent": f"00-{caller}-00f067aa0ba902b7-01"}
            made = httpx.post(f"{url}/api/todos", json={"title": "a", "subject": "b"}, headers=headers, timeout=60)
            assert made.status_code == 201, made.text
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        with psycopg.connect(system.database_url) as conn:
            remembered = conn.execute("SELECT traceparent FROM syncline.trace").fetchall()
    finally:
        system.syncline("tracing", "off")
    log = (tmp_path / "log").read_text()
    assert '"name": "POST /api/todos"' in log
    assert f'"trace_id": "0x{caller}"' in log, "the span that was exported"
    assert f'"trace_id": "{caller}"' in log, "the line in the log"
    assert [parent for (parent,) in remembered if parent.split("-")[1] == caller]


def test_tracing_without_an_exporter_is_said_in_a_line(system: System) -> None:
    environment = {**system.environment, "STUDYBUDDY_TRACING": "1", "OTEL_TRACES_EXPORTER": "nothing"}
    done = subprocess.run(COMMAND, cwd=HOME, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert "there is no exporter of traces called 'nothing'" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_settings_it_says_what_is_missing(system: System) -> None:
    environment = {**system.environment, "STUDYBUDDY_SECRET": "short"}
    del environment["DATABASE_URL"]
    done = subprocess.run(COMMAND, cwd=HOME, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert "DATABASE_URL: field required" in done.stderr
    assert "STUDYBUDDY_SECRET: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("url", ["mongodb://localhost", "mongodb://", "postgresql://localhost/x"])
def test_a_wrong_url_is_said_in_a_line(system: System, url: str) -> None:
    with pytest.raises(SettingsError, match="cannot start") as raised:
        system.app(mongodb_url=SecretStr(url))
    assert len(str(raised.value).splitlines()) <= 4


def test_every_operation_is_described_with_examples(server: str) -> None:
    document = httpx.get(f"{server}/openapi.json", timeout=60).json()
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        if path.startswith(OURS):
            continue
        for method, operation in operations.items():
            assert operation["summary"], path
            assert operation["description"], path
            if method in ("post", "patch") and "requestBody" in operation:
                name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                fields = schemas[name]["properties"].values()
                assert any("examples" in field or "$ref" in str(field) for field in fields), name


def test_a_machine_finds_no_server_error(server: str) -> None:
    schema = schemathesis.openapi.from_url(f"{server}/openapi.json")
    tried = 0
    for number, result in enumerate(schema.get_all_operations()):
        operation = result.ok()
        if operation.path.startswith(OURS):
            continue
        tried += 1
        try_operation(operation, joined(server, f"machine{number}-{os.getpid()}"))
    assert tried > 25


def try_operation(operation: Any, headers: dict[str, str]) -> None:
    """Call an operation with what its schema allows, always the same."""

    @hypothesis.seed(20260501)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy())
    def tried(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS, timeout=60)

    tried()
