"""The composition root: settings become objects here, and nowhere else."""

from __future__ import annotations

from syncline.wiring.backfilling import TaskJob, opened_bench
from syncline.wiring.copying import (
    opened_copier,
)
from syncline.wiring.executing import executing
from syncline.wiring.sides import (
    inspection,
    make_health,
    open_plans,
    open_ranges,
    open_target,
    opened_looks,
    opened_replica,
    opened_scratchpad,
    opened_sides,
    opened_source,
    opened_target,
    require_no_ring,
    require_right_side_of,
)
from syncline.wiring.worker import (
    make_continuous,
    make_worker,
    tell_failure,
    tune_garbage_collection,
)

__all__ = [
    "TaskJob",
    "executing",
    "inspection",
    "make_continuous",
    "make_health",
    "make_worker",
    "open_plans",
    "open_ranges",
    "open_target",
    "opened_bench",
    "opened_copier",
    "opened_looks",
    "opened_replica",
    "opened_scratchpad",
    "opened_sides",
    "opened_source",
    "opened_target",
    "require_no_ring",
    "require_right_side_of",
    "tell_failure",
    "tune_garbage_collection",
]
