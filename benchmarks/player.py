"""Measures one thing once, with the Syncline that is on the path: ``python -m benchmarks.player NAME STAGE``.

NAME is one of MEASURES; STAGE is JSON with the engines' URLs, a folder and the sizes. Prints the figures as JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

from benchmarks.stage import Sizes, Stage

MEASURES = {
    "inserts": "throughput.measured_inserts",
    "updates": "throughput.measured_updates",
    "updates-tables": "relay_tables.measured",
    "latency": "latency.measured",
    "single": "capture.measured_single",
    "bulk": "capture.measured_bulk",
    "application": "application.measured",
    "routes": "routes.measured",
    "verify": "verify.measured",
    "backfill": "backfill.measured",
    "entities": "entities.measured",
}
"""Where each is, and imported only to be measured: another commit's Syncline need not have what the others use."""


@dataclass(frozen=True)
class At:
    """An engine that somebody else runs."""

    url: str


def main(name: str, where: str) -> None:
    stage = json.loads(where)
    on = Stage(At(stage["postgres"]), At(stage["mongo"]), Path(stage["folder"]))
    module, _, measure = MEASURES[name].partition(".")
    measured = getattr(import_module(f"benchmarks.{module}"), measure)
    print(json.dumps([asdict(figure) for figure in measured(on, Sizes(**stage["sizes"]))]))


if __name__ == "__main__":
    main(*sys.argv[1:])
