"""The names of notices: by these operators, metrics and our statements know a condition."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class Notice(StrEnum):
    """What is noticed; ``docs/reference/status.md`` says of each what it means and when it ends."""

    ADOPTED = "Adopted"
    CAPTURE_BROKEN = "CaptureBroken"
    CAPTURE_GAP = "CaptureGap"
    """Left by triggers of an older version."""
    COLUMN_NOT_MAPPED = "ColumnNotMapped"
    COPYING = "Copying"
    CONFIGURATION_DIFFERS = "ConfigurationDiffers"
    DESPITE_REVERSE = "DespiteReverse"
    """A trace: an operator's reason."""
    DIVERGED = "Diverged"
    ENTITY_STOPPED = "EntityStopped"
    FOREIGN_TARGET = "ForeignTarget"
    FOREIGN_VERSION = "ForeignVersion"
    MAPPING_CHANGED = "MappingChanged"
    REINSTALL_FAILED = "ReinstallFailed"
    NEW_COLUMN = "NewColumn"
    POISON_RECORD = "PoisonRecord"
    REINSTALLED = "Reinstalled"
    RESTORED = "Restored"
    SCHEMA_DAMAGED = "SchemaDamaged"
    TABLE_CHANGED = "TableChanged"
    TARGET_RECORD_DAMAGED = "TargetRecordDamaged"
    TASK_DROPPED = "TaskDropped"
    TASK_FAILED = "TaskFailed"
    TASK_HELD = "TaskHeld"
    TRACING_STOPPED = "TracingStopped"
    VERIFY_FAILED = "VerifyFailed"
    WAITS_AT_GATE = "WaitsAtGate"


def hindered(rules: Sequence[str]) -> str:
    """Say what keeps workers from writing into our tables; the same words for as long as it is the same."""
    return f"{', '.join(rules)}: what workers write there is refused, and changes wait; take that away"
