"""Prometheus' own checker: from PATH, else out of Debian's package, kept in the cache."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from syncline.embedded.paths import cache_dir


class UnavailableError(Exception):
    """It is not here and cannot be fetched."""


@functools.cache
def promtool() -> str:
    """Find it, or fetch it; ``UnavailableError`` says why not."""
    kept = cache_dir() / "tools" / "promtool"
    if found := shutil.which("promtool"):
        return found
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="promtool-", dir=kept.parent) as scratch:
            _run(["apt-get", "download", "prometheus"], Path(scratch))
            for package in Path(scratch).glob("*.deb"):
                _run(["dpkg-deb", "--extract", str(package), "root"], Path(scratch))
            found_there = Path(scratch) / "root" / "usr" / "bin" / "promtool"
            if not found_there.is_file():
                raise UnavailableError("Debian's package prometheus holds no promtool")
            found_there.replace(kept)
    if not os.access(kept, os.X_OK):
        raise UnavailableError(f"{kept} cannot be run")
    return str(kept)


def _run(arguments: list[str], folder: Path) -> None:
    try:
        subprocess.run(arguments, cwd=folder, check=True, capture_output=True, text=True, timeout=240)
    except FileNotFoundError:
        raise UnavailableError(f"no promtool on PATH, and no {arguments[0]} to fetch it") from None
    except subprocess.SubprocessError as error:
        told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1:]
        raise UnavailableError(f"promtool could not be fetched: {' '.join(told)}") from error
