"""The files to deploy with: what they name exists. (No Docker here: the image was never built, the compose file never started.)"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from syncline.cli.main import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]


def check_command(line: str) -> None:
    """Each `syncline …` in a shell line is a command with options that it has."""
    for text in re.findall(r"(?:^|[\s/])syncline (\w[^&|;]*)", line):
        words, command = text.split(), typer.main.get_command(app)
        while words and (commands := getattr(command, "commands", None)):
            assert words[0] in commands, f"there is no such command: {line}"
            command = commands[words.pop(0)]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word.split("=")[0] for word in words if word.startswith("--")} <= known, line


def test_the_image_copies_what_is_there() -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY") and "--from" not in line]
    assert copied
    for names in copied:
        for name in names:
            assert (ROOT / name).exists(), name
    assert "USER app" in text
    assert text.index("USER app") < text.index("CMD")
    assert text.count("FROM ") == 2


def test_the_application_is_where_the_files_say() -> None:
    module, name = "studybuddy.app", "create_app"
    for text in [(DEPLOY / "Dockerfile").read_text(), (DEPLOY / "Procfile").read_text(), *map(Path.read_text, UNITS)]:
        for found in re.findall(r"--factory[\", ]+([\w.]+:\w+)", text):
            assert found == f"{module}:{name}"
    source = (ROOT / "examples" / "studybuddy" / "studybuddy" / "app.py").read_text("utf-8")
    assert f"def {name}(" in source


def test_services_wait_for_services_that_exist() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, f"{name} waits for {other}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]
        command = service.get("command", [])
        check_command(command if isinstance(command, str) else " ".join(command))
    assert SERVICES["worker"]["deploy"]["replicas"] >= 2
    for name in ("api", "worker", "page", "migrate"):
        assert SERVICES[name]["read_only"]
        assert SERVICES[name]["cap_drop"] == ["ALL"]


def test_every_secret_is_in_the_example() -> None:
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    named = set(re.findall(r"\$\{(\w+)", text))
    offered = {line.split("=")[0] for line in (DEPLOY / "example.env").read_text("utf-8").splitlines() if "=" in line}
    assert named == offered
    assert all(line.endswith("=") for line in (DEPLOY / "example.env").read_text("utf-8").splitlines() if "=" in line)
    assert all(port.startswith("127.0.0.1:") for service in SERVICES.values() for port in service.get("ports", []))


def test_the_procfile_names_commands_that_exist() -> None:
    lines = [line for line in (DEPLOY / "Procfile").read_text("utf-8").splitlines() if line and line[0] != "#"]
    assert {line.split(":")[0] for line in lines} == {"release", "web", "worker", "page"}
    for line in lines:
        check_command(line.partition(":")[2])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_run_commands_that_exist(unit: Path) -> None:
    text = unit.read_text("utf-8")
    commands = re.findall(r"^ExecStart(?:Pre)?=(.*)$", text, re.MULTILINE)
    assert commands
    for command in commands:
        check_command(command)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_the_units(unit: Path, tmp_path: Path) -> None:
    """With commands and folders that exist here: those of the units are there after the installation."""
    text = re.sub(r"^(ExecStart(?:Pre)?)=.*$", r"\1=/bin/true", unit.read_text("utf-8"), flags=re.MULTILINE)
    text = text.replace("/opt/studybuddy", "/").replace("/etc/syncline/environment", "/dev/null")
    copy = tmp_path / unit.name.replace("@.", "@1.")
    copy.write_text(text, "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if unit.name.split("@")[0].split(".")[0] in line]
    assert complaints == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_understands_the_timer(tmp_path: Path) -> None:
    timer, unit = DEPLOY / "systemd" / "syncline-backup.timer", tmp_path / "syncline-backup.service"
    unit.write_text("[Service]\nType=oneshot\nExecStart=/bin/true\n")
    (tmp_path / timer.name).write_text(timer.read_text("utf-8"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / timer.name)], capture_output=True, text=True, check=False
    )
    assert [line for line in done.stderr.splitlines() if "syncline-backup" in line] == []


def test_every_alert_has_its_place_in_the_runbook() -> None:
    rules = yaml.safe_load((DEPLOY / "monitoring" / "alerts.yml").read_text("utf-8"))
    alerts = {rule["alert"]: rule for group in rules["groups"] for rule in group["rules"]}
    text = (ROOT / "docs" / "how-to" / "runbook.md").read_text("utf-8")
    sections = set(re.findall(r"^## (\w+)$", text, re.MULTILINE))
    assert sections == set(alerts)
    for name, rule in alerts.items():
        assert rule["annotations"]["runbook"] == f"docs/how-to/runbook.md#{name.lower()}"


def test_the_runbook_names_commands_that_exist() -> None:
    for page in ("runbook.md", "deploy.md"):
        for line in re.findall(r"`(syncline [^`]+)`", (ROOT / "docs" / "how-to" / page).read_text("utf-8")):
            check_command(line)
