"""What the boundary guards of an application have reported: whether anything crosses, for how long nothing has."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from syncline.errors import NotMovingError
from syncline.model.words import counted
from syncline.postgres.sql import blocks
from syncline.split.reports import PACKAGE
from syncline.split.switching.gate import Gate

CLEAN = timedelta(hours=24)
"""So long nothing has crossed before a switch."""
GAP = timedelta(minutes=15)
"""A guard reports every minute; after so long a silence nobody was watching."""
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Guarded:
    """What was reported since somebody has watched without a gap."""

    processes: int
    """They report at present."""
    statements: int
    findings: int
    """Crossings that no exemption lets through, and statements that cannot be seen into."""
    logged_share: float
    """Of repeated findings; every statement is looked at."""
    silent_seconds: float
    clean_seconds: float
    latest: str | None
    """The newest finding: its id, and the application's line."""

    @property
    def summary(self) -> str:
        """Say it in a line."""
        return (
            f"boundary guard: clean for {self.clean_seconds / _HOUR:.1f} h; {counted(self.statements, 'statement')} "
            f"looked at (all of them; {self.logged_share:.1%} of repeated findings are logged), "
            f"{counted(self.findings, 'finding')}, {counted(self.processes, 'process', 'processes')}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Write it for JSON."""
        return asdict(self)


async def read_guarded(home: Gate) -> Guarded | None:
    """Read it; ``None``: no guard has reported."""
    statement = blocks("guard.sql", PACKAGE)["standing"]
    try:
        rows = await home.session.rows(statement, {"gap": GAP.total_seconds()})
    except NotMovingError:
        return None
    return Guarded(*rows[0]) if rows else None


def against_guard(found: Guarded | None) -> list[str]:
    """Say what of it speaks against a switch."""
    asked = f"{CLEAN.total_seconds() / _HOUR:.0f} h are asked"
    if found is None or not found.statements:
        return [f"no process has reported what its boundary guard sees ({asked}; see `[split]`, databases.check())"]
    if found.silent_seconds > GAP.total_seconds():
        return [f"the boundary guard has been silent for {found.silent_seconds / 60:.0f} min ({asked}, up to now)"]
    if found.clean_seconds >= CLEAN.total_seconds():
        return []
    clean = f"{found.clean_seconds / _HOUR:.1f} h"
    if found.findings:
        last = f", the last one {found.latest}" if found.latest else ""
        return [f"the boundary guard has {counted(found.findings, 'finding')}{last}; clean for {clean} since ({asked})"]
    return [f"the boundary guard is clean, but has watched for {clean} only ({asked})"]
