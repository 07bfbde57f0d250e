"""The phases of a migration from MongoDB to PostgreSQL: which side is read, which one is the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncline.phases.phase import FixedPhases, Phase, Phases, bucket, phase_named

if TYPE_CHECKING:
    from syncline.phases.journal_phases import JournalPhases

__all__ = ["FixedPhases", "JournalPhases", "Phase", "Phases", "bucket", "phase_named"]


def __getattr__(name: str) -> Any:
    """Import what needs drivers when it is asked for."""
    if name == "JournalPhases":
        from syncline.phases.journal_phases import JournalPhases

        return JournalPhases
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
