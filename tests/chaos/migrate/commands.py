"""`syncline` with points at which a process can be told to stop or die, and with jitter: the worker's and the commands'.

The first argument is the FILE of the trap. `SYNCLINE_CHAOS_JITTER` has the chance that a step is slow.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import psycopg

import syncline.cli.install
import syncline.cli.phase
import syncline.cli.repair
import syncline.cli.verify
import syncline.documents.running
import syncline.documents.verifying
import syncline.phases.evidence  # noqa: F401  so that a process that is forked has all that it needs
from syncline.engines.mongo.document_writes import MongoDocumentWrites
from syncline.engines.mongo.intents import MongoIntentLog
from syncline.engines.mongo.marked import MongoMarkedDocuments
from syncline.engines.mongo.written_back import DocumentTarget
from syncline.engines.postgres.documents.versions import VersionedRows
from syncline.phases.changing import Control
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.in_postgresql import InPostgreSQL
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB
from syncline.split.switching.gate import Gate
from tests.chaos.migrate.sabotage import SABOTEURS
from tests.chaos.operate import slowed
from tests.chaos.points import Trap, set_traps

STEPS: dict[type, dict[str, str]] = {
    MongoDocumentWrites: {name: name for name in ("write", "write_many", "erase")},
    MongoIntentLog: {"begin": "intend", "end": "conclude"},
    MongoMarkedDocuments: {"clear": "clear", "raise_above": "raise"},
    VersionedRows: {name: name for name in ("put", "number", "due")},
    InMongoDB: {"change": "change", "beat": "beat", "journaled": "journaled"},
    InPostgreSQL: {"change": "note"},
    Control: {"wait": "wait"},
    DocumentTarget: {"apply": "bring"},
    GatesInMongoDB: {"change": "gate", "announce": "announce"},
    Gate: {"change": "open"},
    psycopg.AsyncConnection: {"wait": "send"},
}
"""What a step is called, by the methods that do it."""
JITTERED = {
    "put": VersionedRows,
    "clear": MongoMarkedDocuments,
    "raise_above": MongoMarkedDocuments,
    "number": VersionedRows,
}
LONGEST_SECONDS = 0.4


def _points(*steps: str) -> list[str]:
    return [f"{step}.{when}" for step in steps for when in ("before", "after")]


REQUESTS = [
    "request.done",
    *_points("write", "write", "write_many", "erase", "intend", "conclude", "put", "clear", "beat", "send"),
]
CARRYING = _points(
    "due", "number", "put", "put", "conclude", "clear", "clear", "raise", "bring", "bring", "send", "send"
)
CHANGING = _points("change", "note", "journaled", "wait", "gate", "open", "announce")
"""Where an application, a worker, and a command that changes the phase are told to stop or die."""


def set_up(trap: Trap) -> None:
    """Take a mechanism out, if that is wanted; put pauses and points around the steps."""
    if (saboteur := os.environ.get("SYNCLINE_CHAOS_SABOTAGE")) in SABOTEURS:
        SABOTEURS[saboteur]()
    dice = random.Random()
    seldom = float(os.environ.get("SYNCLINE_CHAOS_JITTER", "0"))
    for name, owner in JITTERED.items():
        setattr(owner, name, slowed(getattr(owner, name), dice, seldom=seldom, longest=LONGEST_SECONDS))
    set_traps(trap, STEPS)


def main() -> None:
    """Set the traps, then be the command."""
    from syncline.cli.main import main as command

    set_up(Trap(Path(sys.argv.pop(1))))
    command()
