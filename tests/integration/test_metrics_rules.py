"""Alert rules and dashboard, judged by Prometheus' own checker and by the list of metrics that exist."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from syncline.model.thresholds import Severity, Thresholds
from syncline.telemetry.catalogue import SPECS, Kind, spec
from tests.promtool import UnavailableError, promtool

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
RULES = MONITORING / "alerts.yml"
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
SECONDS = {"api_p95_ms": 1000.0}
"""The thresholds of the API are in milliseconds, Prometheus counts in seconds."""


def run(*arguments: str, folder: Path = MONITORING) -> subprocess.CompletedProcess[str]:
    try:
        tool = promtool()
    except UnavailableError as error:
        pytest.skip(str(error))
    return subprocess.run([tool, *arguments], check=False, cwd=folder, capture_output=True, text=True, timeout=120)


def rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def panels() -> Iterator[tuple[str, str]]:
    """Every expression of the dashboard with its panel's title."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def metrics_of(expression: str) -> set[str]:
    return set(re.findall(r"\bsyncline_[a-z_]+\b", expression))


def known_series() -> set[str]:
    series = {one.name for one in SPECS}
    for one in SPECS:
        if one.kind is Kind.HISTOGRAM:
            series |= {f"{one.name}_{part}" for part in ("bucket", "sum", "count")}
    return series


def labels_of(expression: str) -> Iterator[tuple[str, str]]:
    """Each metric with each label that a selector asks it for."""
    for metric, selector in re.findall(r"\b(syncline_[a-z_]+)\{([^}]*)\}", expression):
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector):
            yield metric, label


def test_promtool_takes_the_rules() -> None:
    checked = run("check", "rules", RULES.name)
    assert checked.returncode == 0, checked.stderr


def test_promtool_takes_the_configuration_and_it_scrapes_what_the_compose_file_starts() -> None:
    checked = run("check", "config", "prometheus.yml")
    assert checked.returncode == 0, checked.stderr
    jobs = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
    services = yaml.safe_load((MONITORING.parent / "compose.yaml").read_text())["services"]
    (target,) = jobs[0]["static_configs"][0]["targets"]
    (found,) = jobs[1]["dns_sd_configs"]
    assert services[target.partition(":")[0]]["ports"] == [f"127.0.0.1:8000:{target.partition(':')[2]}"]
    command = services[found["names"][0]]["command"]
    assert command[command.index("--metrics-port") + 1] == str(found["port"])


def test_every_alert_fires_when_it_should_and_not_when_it_should_not() -> None:
    tested = run("test", "rules", "alerts_test.yml")
    assert tested.returncode == 0, tested.stderr + tested.stdout
    told = (MONITORING / "alerts_test.yml").read_text()
    assert all(f"alertname: {name}" in told for name in rules())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("> 30 <= 60", "> 31 <= 60"),
        ("> 30 <= 60", "> 30"),
        ("(syncline_lag_seconds) > 60", "(syncline_lag_seconds) > 61"),
        ("> 1000 <= 10000", "> 999 <= 10000"),
        ("(syncline_queue_size) > 10000", "(syncline_queue_size) >= 10000"),
        ("> 10 <= 100", "> 9 <= 100"),
        ("(syncline_failed_events) > 100", "(syncline_failed_events) >= 100"),
        ("> 0.5 <= 1", "> 0.4 <= 1"),
        (">= 20", ">= 0"),
        ('max without (instance, job) (syncline_database_up{database!~"mongodb|target"})', 'syncline_database_up{database!~"mongodb|target"}'),
    ],
)  # fmt: skip
def test_the_tests_of_the_rules_notice_a_changed_bound(tmp_path: Path, old: str, new: str) -> None:
    text = RULES.read_text()
    assert old in text
    (tmp_path / "alerts.yml").write_text(text.replace(old, new))
    (tmp_path / "alerts_test.yml").write_text((MONITORING / "alerts_test.yml").read_text())
    assert run("test", "rules", "alerts_test.yml", folder=tmp_path).returncode != 0


def test_the_rules_have_the_names_the_bounds_and_the_severities_of_the_thresholds() -> None:
    found = rules()
    for measure, threshold in Thresholds().measures.items():
        scale = SECONDS.get(measure, 1.0)
        warning, critical = found[threshold.warning_name], found[threshold.critical_name]
        assert warning["labels"] == {"severity": Severity.WARNING.value}
        assert critical["labels"] == {"severity": Severity.CRITICAL.value}
        low, high = f"{threshold.warning / scale:g}", f"{threshold.critical / scale:g}"
        assert f"> {low} <= {high}" in warning["expr"]
        assert re.search(rf"> {high}(?![\d.])", critical["expr"])


def test_rules_and_dashboard_name_only_metrics_and_labels_that_exist() -> None:
    expressions = [*(rule["expr"] for rule in rules().values()), *(expression for _, expression in panels())]
    for expression in expressions:
        assert metrics_of(expression) <= known_series(), expression
        for metric, label in labels_of(expression):
            base = re.sub(r"_(bucket|sum|count)$", "", metric) if metric not in {s.name for s in SPECS} else metric
            assert label in {*spec(base).labels, "job", "le"}, expression


def test_the_dashboard_shows_every_metric() -> None:
    shown = set().union(*(metrics_of(expression) for _, expression in panels()))
    for one in SPECS:
        assert any(name.startswith(one.name) for name in shown), one.name


def test_promtool_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    recorded = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m").replace("$job", ".*")}
        for number, (_, expression) in enumerate(panels())
    ]
    assert not any("$" in rule["expr"] for rule in recorded)
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    checked = run("check", "rules", "panels.yml", folder=tmp_path)
    assert checked.returncode == 0, checked.stderr


def test_the_dashboard_is_laid_out_without_overlaps_and_each_panel_says_what_it_shows() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["type"] == "row" or (panel["description"] and panel["targets"])
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
