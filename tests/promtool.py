"""Prometheus' own checker: from PATH, else out of Debian's package, kept in the cache."""

from __future__ import annotations

import functools
import shutil

from tests.debian import UnavailableError, unpacked

__all__ = ["UnavailableError", "promtool"]


@functools.cache
def promtool() -> str:
    """Find it, or fetch it; ``UnavailableError`` says why not."""
    return shutil.which("promtool") or str(unpacked("prometheus", alone=True) / "usr/bin/promtool")
