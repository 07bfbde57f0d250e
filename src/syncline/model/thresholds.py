"""When something is worth a warning, and when somebody must get up: the alerts and the one word for all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Severity(StrEnum):
    """How bad it is."""

    WARNING = "warning"
    CRITICAL = "critical"


class Health(StrEnum):
    """The status of the whole."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    """A warning, slow requests, or the target is down: nothing is lost, reading may be stale."""
    UNHEALTHY = "unhealthy"
    """A critical alert, or the source is down."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A measure that alerts when it exceeds one of two bounds."""

    warning_name: str
    critical_name: str
    target: float
    warning: float
    critical: float
    message: str
    """Format with ``value`` and ``threshold``."""
    degrades: bool = False
    """It makes the whole degraded at most, however high it is: nothing is late or lost."""

    def judge(self, value: float) -> Alert | None:
        """Compare a value with the bounds; only what exceeds a bound alerts, and only for the higher one."""
        for severity, name, bound in (
            (Severity.CRITICAL, self.critical_name, self.critical),
            (Severity.WARNING, self.warning_name, self.warning),
        ):
            if value > bound:
                message = self.message.format(value=value, threshold=bound)
                return Alert(name, severity, value, bound, message, self.degrades)
        return None


@dataclass(frozen=True, slots=True)
class Alert:
    """A measure that has exceeded a bound."""

    name: str
    severity: Severity
    value: float
    threshold: float
    message: str
    degrades: bool = False
    """See ``Threshold.degrades``."""

    def as_dict(self) -> dict[str, object]:
        """Give the form that goes over the wire."""
        return {
            "name": self.name,
            "severity": self.severity.value,
            "value": self.value,
            "threshold": self.threshold,
            "message": self.message,
        }


LAG = Threshold(
    "SyncLagHigh", "SyncLagCritical", 5, 30, 60,
    "the oldest waiting change is {value:.0f} s old (limit {threshold:.0f} s)",
)  # fmt: skip
QUEUE = Threshold(
    "QueueSizeHigh", "QueueSizeCritical", 1_000, 1_000, 10_000,
    "{value:.0f} changes are waiting (limit {threshold:.0f})",
)  # fmt: skip
FAILED = Threshold(
    "FailedEventsHigh", "FailedEventsCritical", 0, 10, 100,
    "{value:.0f} changes are parked (limit {threshold:.0f}); see `syncline parked list`",
)  # fmt: skip
API_LATENCY = Threshold(
    "ApiLatencyHigh", "ApiLatencyCritical", 200, 500, 1_000,
    "95 % of requests take up to {value:.0f} ms (limit {threshold:.0f} ms)",
    degrades=True,
)  # fmt: skip


PRIMARY_DOWN = "PrimaryDown", Severity.CRITICAL
SECONDARY_DOWN = "SecondaryDown", Severity.WARNING
NO_WORKER = "NoWorker", Severity.WARNING
ENTITY_PENDING = "EntityPending", Severity.WARNING
"""Entities that an installation has begun with and not ended."""
UNKNOWN = "SyncStateUnknown", Severity.WARNING
"""A source that answers and does not tell queue and lag."""
NOT_INSTALLED = "NotInstalled", Severity.CRITICAL
"""A source without Syncline: nothing is captured."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The bounds in force."""

    measures: Mapping[str, Threshold] = field(
        default_factory=lambda: MappingProxyType(
            {"lag_seconds": LAG, "queue_size": QUEUE, "failed_events": FAILED, "api_p95_ms": API_LATENCY}
        )
    )

    def alerts(self, values: Mapping[str, float]) -> list[Alert]:
        """Judge each measure that has a value."""
        found = (self.measures[name].judge(value) for name, value in values.items())
        return [alert for alert in found if alert is not None]


def health(*, source_up: bool, target_up: bool, alerts: Iterable[Alert]) -> Health:
    """Sum up in one word."""
    found = list(alerts)
    if not source_up or any(alert.severity is Severity.CRITICAL and not alert.degrades for alert in found):
        return Health.UNHEALTHY
    if not target_up or found:
        return Health.DEGRADED
    return Health.HEALTHY
