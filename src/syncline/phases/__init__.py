"""The phases of a migration from MongoDB to PostgreSQL: which side is read, which one is the truth."""

from syncline.phases.phase import FixedPhases, Phase, Phases, bucket, phase_named

__all__ = ["FixedPhases", "Phase", "Phases", "bucket", "phase_named"]
