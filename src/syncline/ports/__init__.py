"""The few seams between the parts. Whoever implements one keeps what its docstring promises.

A ``Source`` is a session with the side that holds the truth: its ``Records`` and ``Marks``, a ``Waker`` where writers
can wake, and the ``Journal``. A ``Target`` is the side that is kept equal.
"""

from syncline.ports.journal import PENDING, Entities, Journal, LaneRow, Lanes, Notices, Renewal
from syncline.ports.marking import Absent, Chosen, Keys, Marking
from syncline.ports.marks import Acknowledgement, Floor, Marks, Traced, Traces, Waker
from syncline.ports.records import Durability, Excerpt, Plan, Plans, Records, States
from syncline.ports.source import Identity, Lookout, Mend, Source
from syncline.ports.target import (
    UNREADABLE,
    Absence,
    Batch,
    Beat,
    ConfiguredTarget,
    Conflict,
    Document,
    Rejection,
    Report,
    State,
    Target,
    same_system,
)
from syncline.ports.tasks import ClaimLostError, Pressure, Task, TaskKind, Tasks

__all__ = [
    "PENDING",
    "UNREADABLE",
    "Absence",
    "Absent",
    "Acknowledgement",
    "Batch",
    "Beat",
    "Chosen",
    "ClaimLostError",
    "ConfiguredTarget",
    "Conflict",
    "Document",
    "Durability",
    "Entities",
    "Excerpt",
    "Floor",
    "Identity",
    "Journal",
    "Keys",
    "LaneRow",
    "Lanes",
    "Lookout",
    "Marking",
    "Marks",
    "Mend",
    "Notices",
    "Plan",
    "Plans",
    "Pressure",
    "Records",
    "Rejection",
    "Renewal",
    "Report",
    "Source",
    "State",
    "States",
    "Target",
    "Task",
    "TaskKind",
    "Tasks",
    "Traced",
    "Traces",
    "Waker",
    "same_system",
]
