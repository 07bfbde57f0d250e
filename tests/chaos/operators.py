"""Operators of a run: they backfill, verify and repair all the time, and are killed and frozen as everything is."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos.acting import Acting
from tests.chaos.journal import Journal

PATIENCE_SECONDS = 20.0
"""How long a command may go on when the trouble has ended; then it is killed, as others were before."""
STATUSES = {"verify": {0, 1, 2, 3}, "repair": {0, 1, 2, 3}, "backfill": {0, 3}}
Finding = tuple[str, str]
"""(entity, key text)."""


class Operator(Acting):
    """Runs one command after the other, each in a process of its own.

    Whatever a report calls divergent has to be in the book of damage that was done by hand: anything else is a false
    alarm, or a hole in the relay, and a complaint.
    """

    _entities: tuple[str, ...] = ("account", "orders", "membership", "archive")

    def __init__(
        self,
        number: int,
        config: Path,
        journal: Journal,
        *,
        seed: int,
        damaged: Callable[[Finding], bool],
        hurry: float,
    ) -> None:
        super().__init__(f"operator {number}")
        self._config = config
        self._journal = journal
        self._damaged = damaged
        self._hurry = hurry
        self._random = random.Random(f"{seed} operator {number}")
        self._log = config.parent / f"operator-{number}.log"
        self._report = config.parent / f"operator-{number}.json"
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self.complaints: list[str] = []
        self.done: Counter[str] = Counter()
        self.found: set[Finding] = set()

    def pause(self) -> None:
        """Begin no more commands until ``resume``; returns when the one that runs has ended, or is killed."""
        self._resting.clear()
        self._running.clear()
        while not self._resting.wait(PATIENCE_SECONDS):
            self._kill()

    def stop(self) -> None:
        """End it and its process."""
        self._ended.set()
        self._kill()
        super().stop()

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._killed = True
            self._process.kill()

    def _go_on(self) -> None:
        while self._goes_on():
            self._operate()
            self._ended.wait(self._random.expovariate(1.0) / self._hurry)

    def _words(self) -> list[str]:
        entity = self._random.choice(([], [], *([name] for name in self._entities)))
        kind = self._random.choices(
            ("verify", "keys", "repair", "from", "backfill", "no sweep", "cancel"), (10, 1, 4, 1, 3, 1, 0.5)
        )[0]
        patience = ["--patience", str(self._random.choice((2, 20)))]
        if kind == "verify":
            return ["verify", *entity, *patience, "--report", str(self._report)]
        if kind == "keys":
            return ["verify", *entity, *patience, "--keys-only"]
        if kind == "from" and self._report.exists():
            return ["repair", "--from", str(self._report)]
        if kind in ("repair", "from"):
            return ["repair", *entity]
        options = {"no sweep": ["--no-sweep"], "cancel": ["--cancel"]}.get(kind, [])
        return ["backfill", *entity, *options]

    def _operate(self) -> None:
        words = self._words()
        began = time.monotonic()
        process = self._start(words)
        self._journal.note(f"{self.name}: {' '.join(words)}")
        sent = self._trouble(process)
        out, _ = process.communicate()
        status = process.returncode
        took = time.monotonic() - began
        self._journal.note(f"{self.name}: {words[0]} ended with {status} after {took:.1f} s")
        if self._killed or (sent is not None and status in (-sent, 130, 128 + sent)):
            self.done[f"{words[0]} {'killed' if self._killed or sent == signal.SIGKILL else 'stopped'}"] += 1
            return
        self.done[f"{words[0]} {status}"] += 1
        self._judge(words, status, out)

    def _start(self, words: list[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.chaos.operate", *words, "--json", "-c", str(self._config)]
        self._killed = False
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=Path(__file__).parents[2],
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        return self._process

    def _trouble(self, process: subprocess.Popen[bytes]) -> signal.Signals | None:
        """Freeze it now and then; perhaps kill it. Returns the signal that was to end it."""
        startup = 1.0
        fate = self._random.random()
        for _ in range(self._random.choice((0, 0, 1, 1, 2))):
            self._ended.wait(startup + self._random.uniform(0, 2))
            process.send_signal(signal.SIGSTOP)
            self._ended.wait(self._random.uniform(0.1, 3))
            process.send_signal(signal.SIGCONT)
            startup = 0
        if fate > 0.35:
            return None
        self._ended.wait(startup + self._random.expovariate(0.5))
        number = self._random.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
        process.send_signal(number)
        return number

    def _judge(self, words: list[str], status: int, out: bytes) -> None:
        if status not in STATUSES[words[0]]:
            self._complain(f"{words} ended with {status}; see {self._log}")
            return
        if status == 3:
            return
        try:
            report = json.loads(out)
        except ValueError:
            self._complain(f"{words} ended with {status} and printed {out[:300]!r}")
            return
        for one in _findings(report):
            self.found.add((one["entity"], str(one["key"])))
            if not self._damaged((one["entity"], str(one["key"]))):
                self._complain(f"{words}: a false alarm: {json.dumps(one)}")

    def _complain(self, what: str) -> None:
        self.complaints.append(f"{self.name}: {what}")
        self._journal.note(self.complaints[-1])


def _findings(report: dict[str, Any]) -> list[dict[str, Any]]:
    entities: list[dict[str, Any]] = report.get("verify", report).get("entities", [])
    return [finding for entity in entities for finding in entity["findings"]]
