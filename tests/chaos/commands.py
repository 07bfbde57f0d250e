"""Commands of Syncline as an operator runs them, while all is calm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

COULD_NOT_RUN = 3
"""The exit status where a side does not answer."""
LONGEST_SECONDS = 1200.0


class CommandError(AssertionError):
    """A command ended otherwise than it was to."""


def line(config: Path, *words: str) -> list[str]:
    """Give the command line."""
    return [sys.executable, "-m", "syncline.cli.main", *words, "-c", str(config)]


def command(config: Path, *words: str, ok: tuple[int, ...] = (0,), tries: int = 1) -> tuple[int, Any]:
    """Run a command with ``--json``; return its exit status and what it printed.

    Args:
        config: the settings.
        words: of the command.
        ok: how it may end.
        tries: so often it is run where a side has not answered within its time limit.

    Raises:
        CommandError: it ended in another way.

    """
    for _ in range(tries):
        done = subprocess.run(
            [*line(config, *words), "--json"], capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
        )
        if done.returncode != COULD_NOT_RUN:
            break
    if done.returncode not in ok:
        raise CommandError(f"{words} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr}")
    return done.returncode, json.loads(done.stdout)
