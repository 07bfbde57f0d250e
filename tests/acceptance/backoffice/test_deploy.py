"""The files that backoffice is deployed with: what they name exists, and alerts fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import yaml
from backoffice.health import CacheHealth, Health, MoveHealth, WayBackHealth
from backoffice.metrics import Metrics
from backoffice.services import Services
from fastapi import FastAPI

from syncline.telemetry.catalogue import SPECS
from syncline.telemetry.metrics import AppMetrics
from tests.acceptance.backoffice.system import HOME, client
from tests.promtool import UnavailableError, promtool
from tests.unit.test_deploy import check_command

FOLDER = HOME.parents[1] / "deploy" / "backoffice"
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))
EXPRESSIONS = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
PANELS = [
    target["expr"]
    for panel in json.loads((FOLDER / "dashboard.json").read_text("utf-8"))["panels"]
    for target in panel["targets"]
]
COMMANDS = ("Procfile", "ecosystem.config.js", "backoffice.service")


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_exist(name: str):
    text = (FOLDER / name).read_text("utf-8")
    assert re.findall(r"--factory ([\w.]+:\w+)", text) == ["backoffice.app:create_app"]
    for line in text.splitlines():
        if re.match(r"release:|ExecStart", line):
            check_command(line)
    assert "syncline db migrate" in text


def test_the_template_names_every_variable_of_both_modes():
    text = (HOME / "example.env").read_text("utf-8")
    for name in ("DATABASE_URL", "SPLIT_DB_MODE", "PRIMARY_DATABASE_URL", "PRIMARY_DIRECT_URL", "DATA_DATABASE_URL"):
        assert re.search(rf"^(# )?{name}=", text, re.MULTILINE), name
    readme = (HOME / "README.md").read_text("utf-8")
    for name in re.findall(r"BACKOFFICE_[A-Z_]+", text):
        assert name in readme


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_understands_the_unit(tmp_path: Path):
    text = (FOLDER / "backoffice.service").read_text("utf-8")
    text = re.sub(r"^(ExecStart(?:Pre)?)=.*$", r"\1=/bin/true", text, flags=re.MULTILINE)
    text = text.replace("/opt/backoffice", "/").replace("/etc/backoffice/environment", "/dev/null")
    (tmp_path / "backoffice.service").write_text(text)
    command = ["systemd-analyze", "verify", str(tmp_path / "backoffice.service")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js here")
def test_node_understands_the_file_for_pm2():
    script = "const file = require(process.argv[1]); process.stdout.write(JSON.stringify(file))"
    done = subprocess.run(
        ["node", "-e", script, str(FOLDER / "ecosystem.config.js")],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    (app,) = json.loads(done.stdout)["apps"]
    assert (app["exec_mode"], app["interpreter"]) == ("fork", "none")


def prometheus(*arguments: str) -> None:
    try:
        tool = promtool()
    except UnavailableError as error:
        pytest.skip(str(error))
    done = subprocess.run([tool, *arguments], check=False, cwd=FOLDER, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_rules_and_they_fire_when_they_should():
    prometheus("check", "rules", "alerts.yml")
    prometheus("test", "rules", "alerts_test.yml")


async def test_every_metric_that_is_asked_for_exists(app: FastAPI):
    answer = await client(app).get("/metrics")
    assert answer.status_code == 200
    told = set(re.findall(r"^# HELP (backoffice_\w+)", answer.text, re.MULTILINE))
    ours = {one.name for one in SPECS}
    for expression in (*EXPRESSIONS, *PANELS):
        asked = set(re.findall(r"\b(?:backoffice|syncline)_[a-z_]+", expression))
        assert asked
        assert {one.removesuffix("_bucket") for one in asked} <= told | ours, expression
    assert re.search(r'^backoffice_database_up\{database="data"\} 1\.0', answer.text, re.MULTILINE)
    assert 'backoffice_pool_connections{database="primary",state="size"}' in answer.text


def test_a_move_is_told_of_while_it_lasts():
    metrics = Metrics(cast("Services", SimpleNamespace(metrics=AppMetrics())))
    way_back = WayBackHealth(workers=0, lag_seconds=2.5, parked=1)
    there = MoveHealth(serving="data", closed_seconds=1.5, way_back=way_back)
    health = Health(
        status="ok",
        mode="split",
        databases={},
        sessions=CacheHealth(current=True, entries=0, hit_rate=0, loads=0, suppressed=0, revocations=0),
        moves={"data": there},
    )
    told = metrics.exposition(health).decode()
    named = {"gate_closed_seconds": 1.5, "way_back_workers": 0.0, "way_back_lag_seconds": 2.5, "way_back_parked": 1.0}
    for name, value in named.items():
        assert f'\nbackoffice_{name}{{database="data"}} {value}\n' in told
    home = MoveHealth(serving="primary", closed_seconds=0, way_back=None)
    told = metrics.exposition(health.model_copy(update={"moves": {"data": home}})).decode()
    assert "backoffice_way_back_workers{" not in told


def test_every_alert_is_tested():
    tested = yaml.safe_load((FOLDER / "alerts_test.yml").read_text("utf-8"))["tests"]
    fired = {one["alertname"] for test in tested for one in test["alert_rule_test"] if one["exp_alerts"]}
    assert fired == {rule["alert"] for group in RULES["groups"] for rule in group["rules"]}


def test_a_wrong_setting_is_named_without_a_traceback():
    command = [
        sys.executable,
        "-c",
        "from backoffice.settings import Settings; Settings.from_environment({'BACKOFFICE_BODY_BYTES': '1'})",
    ]
    done = subprocess.run(command, check=False, cwd=HOME, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "backoffice cannot start:"
    assert "BACKOFFICE_BODY_BYTES" in done.stderr
    assert "Traceback" not in done.stderr
