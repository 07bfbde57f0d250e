"""The boundary guard: what an application does across databases while they are still one, refused or told of.

Every statement that is about to be sent is looked at by ``Routing.look``; what it would refuse in single mode comes
here first. A statement that crosses nothing costs nothing here.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import ClassVar

import structlog

from syncline.config.named import SplitSettings
from syncline.errors import AcrossDatabasesError, RoutingError
from syncline.split.callers import caller
from syncline.split.findings import Exemptions, Finding, Kind
from syncline.split.placeholders import Placeholders
from syncline.split.routing import Routing
from syncline.split.statements import Script
from syncline.split.texts import digest, shortened

_log = structlog.get_logger("syncline")

REMEMBERED = 10_000
"""Statements and lines that are counted apart."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What a guard has seen since it began."""

    statements: int
    findings: int
    """Those that no exemption lets through."""
    latest: str | None
    """The newest one: its id, and the application's line."""
    logged: float
    """The share of repeated ones that is logged."""


def _today() -> date:
    return datetime.now(UTC).date()


class Guard:
    """Judges what crosses: exempt, told of, or refused.

    Args:
        routing: whose crossings it judges.
        settings: ``[split]`` of the configuration.
        today: for exemptions.
        draw: gives numbers from 0 to 1, for the sample of warnings.

    """

    in_tests: ClassVar[bool] = False
    """Every crossing that is not exempt is an error, whatever the configuration says: set by the pytest plugin."""
    watchers: ClassVar[list[Callable[[Finding], None]]] = []
    """Told of each finding of every guard."""

    def __init__(
        self,
        routing: Routing,
        settings: SplitSettings,
        *,
        today: Callable[[], date] = _today,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._today = today
        self._draw = draw
        self._counts: OrderedDict[Finding, int] = OrderedDict()
        self._routing = routing
        self._found = 0
        self._latest: str | None = None
        routing.allow = self._allow
        routing.unclear = self._unclear
        routing.refused = self._refused

    @property
    def refuse(self) -> bool:
        """Whether a crossing that is not exempt is an error."""
        return self.in_tests or self._settings.crossings == "refuse"

    @property
    def findings(self) -> dict[Finding, int]:
        """What was found so far, and how often."""
        return dict(self._counts)

    @property
    def tally(self) -> Tally:
        """How much was looked at, and what came of it."""
        return Tally(self._routing.looked, self._found, self._latest, self._settings.warn_sample)

    def _crossing(self, error: RoutingError, sql: str) -> Finding:
        across = isinstance(error, AcrossDatabasesError)
        kind = Kind.STATEMENT if across else Kind.TRANSACTION
        text = digest(sql, Placeholders.PERCENT)
        finding = Finding(kind, text, f"{error.message}: {shortened(sql)}", where=caller())
        return Exemptions(self._settings.exempt, self._today()).judge(finding)

    def _refused(self, error: RoutingError, sql: str) -> None:
        """Count a crossing of split mode: the application is told by the error."""
        self._count(self._crossing(error, sql))

    def _count(self, finding: Finding) -> None:
        if finding.exempt is None:
            self._found += 1
            self._latest = f"{finding.id} at {finding.where}" if finding.where else finding.id

    def _allow(self, error: RoutingError, sql: str) -> bool:
        """Let a crossing through, where one database can carry it out and somebody has agreed."""
        finding = self._crossing(error, sql)
        self._note(finding, log=not self.refuse and finding.exempt is None)
        return finding.exempt is not None or not self.refuse

    def _unclear(self, sql: str, script: Script) -> None:
        why = script.error or "; ".join(script.unseen)
        finding = Finding(Kind.UNSEEN, digest(sql, Placeholders.PERCENT), f"{shortened(sql)}: {why}", where=caller())
        finding = Exemptions(self._settings.exempt, self._today()).judge(finding)
        self._note(finding, log=finding.exempt is None)

    def _note(self, finding: Finding, *, log: bool) -> None:
        self._count(finding)
        count = self._counts.pop(finding, 0) + 1
        self._counts[finding] = count
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)
        for watcher in self.watchers:
            watcher(finding)
        if log and (count == 1 or self._draw() < self._settings.warn_sample):
            _log.warning(
                "a statement over several databases"
                if finding.kind != Kind.UNSEEN
                else "a statement cannot be seen into",
                finding=finding.id,
                message=finding.message,
                where=finding.where,
                count=count,
                hint=finding.remedy,
            )
