"""Processes beside a benchmark: none outlives it, however it ends."""

from __future__ import annotations

import ctypes
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def companion(command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Start a process that is killed when this one ends."""
    return subprocess.Popen(command, preexec_fn=_end_with_parent, **options)  # noqa: PLW1509  prctl alone


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
