"""The process manager PM2, from npm, kept in the cache."""

from __future__ import annotations

import functools
import shutil
import subprocess

from syncline.embedded.paths import cache_dir

VERSION = "7.0.4"


class UnavailableError(Exception):
    """It is not here and cannot be fetched."""


@functools.cache
def pm2() -> str:
    """Find it, or fetch it; ``UnavailableError`` says why not."""
    kept = cache_dir() / "tools" / f"pm2-{VERSION}"
    command = kept / "node_modules" / ".bin" / "pm2"
    if command.exists():
        return str(command)
    if shutil.which("npm") is None:
        raise UnavailableError("no npm to fetch PM2 with")
    scratch = kept.with_name(f"{kept.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    arguments = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", f"pm2@{VERSION}"]
    try:
        subprocess.run(arguments, cwd=scratch, check=True, capture_output=True, text=True, timeout=240)
    except subprocess.SubprocessError as error:
        told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1:]
        raise UnavailableError(f"PM2 could not be fetched: {' '.join(told)}") from error
    if not command.exists():
        scratch.rename(kept)
    return str(command)
