"""Alerts and the one word for all of it."""

from __future__ import annotations

import pytest

from syncline.model.thresholds import Alert, Health, Severity, Thresholds, health


@pytest.mark.parametrize(
    ("measure", "value", "name"),
    [
        ("lag_seconds", 30, None),
        ("lag_seconds", 30.1, "SyncLagHigh"),
        ("lag_seconds", 60, "SyncLagHigh"),
        ("lag_seconds", 60.1, "SyncLagCritical"),
        ("queue_size", 1_000, None),
        ("queue_size", 1_001, "QueueSizeHigh"),
        ("queue_size", 10_001, "QueueSizeCritical"),
        ("failed_events", 10, None),
        ("failed_events", 11, "FailedEventsHigh"),
        ("failed_events", 101, "FailedEventsCritical"),
        ("api_p95_ms", 500, None),
        ("api_p95_ms", 501, "ApiLatencyHigh"),
        ("api_p95_ms", 1_001, "ApiLatencyCritical"),
    ],
)
def test_only_what_exceeds_a_bound_alerts(measure, value, name):
    assert [alert.name for alert in Thresholds().alerts({measure: value})] == ([name] if name else [])


def test_an_alert_goes_over_the_wire_as_the_product_says():
    (alert,) = Thresholds().alerts({"queue_size": 2000})
    assert alert.as_dict() == {
        "name": "QueueSizeHigh",
        "severity": "warning",
        "value": 2000,
        "threshold": 1000,
        "message": "2000 changes are waiting (limit 1000)",
    }


WARNING = Alert("x", Severity.WARNING, 1, 0, "")
CRITICAL = Alert("x", Severity.CRITICAL, 1, 0, "")


@pytest.mark.parametrize(
    ("source_up", "target_up", "alerts", "word"),
    [
        (True, True, [], Health.HEALTHY),
        (True, True, [WARNING], Health.DEGRADED),
        (True, False, [], Health.DEGRADED),
        (True, True, [WARNING, CRITICAL], Health.UNHEALTHY),
        (True, False, [CRITICAL], Health.UNHEALTHY),
        (False, True, [], Health.UNHEALTHY),
    ],
)
def test_health_is_one_word(source_up, target_up, alerts, word):
    assert health(source_up=source_up, target_up=target_up, alerts=alerts) is word
