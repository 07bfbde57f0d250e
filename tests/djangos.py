# ruff: noqa: T201  (a command prints)
"""The releases of Django that are supported, each on a Python of its own: what of the suite needs Django, on each of them.

5.2, which has long support, is what the pinned requirements have, on Python below 3.12; the current release, 6.x, needs
Python 3.12 or newer. ``make matrix`` runs both; ``python -m tests.djangos`` them alone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncline.embedded.paths import cache_dir
from tests.debian import UnavailableError

ROOT = Path(__file__).parents[1]
SUITE = (
    "tests/acceptance/taskboard",
    "tests/integration/test_split_django.py",
    "tests/unit/test_document_databases.py",
)
TOOLS = ("pytest", "pytest-asyncio", "pytest-xdist", "httpx", "hypothesis", "openfeature-provider-flagd", "websockets")
"""What these tests import beside the product and its extras."""
EXTRAS = "django,embedded,flags,metrics,migrations,redis,testing,web"


@dataclass(frozen=True, slots=True)
class Release:
    """A range of releases, and the Pythons that have it."""

    name: str
    wanted: str
    pythons: tuple[str, ...]


RELEASES = (
    Release("5.2", "django>=5.2,<5.3", ("3.11",)),
    Release("6", "django>=6.0,<7", ("3.14", "3.13", "3.12")),
)


def interpreter(release: Release) -> str:
    """Find a Python for a release.

    Raises:
        UnavailableError: none of them is here.

    """
    own = ".".join(map(str, sys.version_info[:2]))
    if own in release.pythons:
        return sys.executable
    for version in release.pythons:
        for found in _programs(version):
            if _answers(found):
                return found
    raise UnavailableError(f"Django {release.name}: no Python {' or '.join(release.pythons)} is here")


def _programs(version: str) -> Iterator[str]:
    """Name what may be a Python of a version: on the path, or one of pyenv's, whether it is chosen there or not."""
    found = shutil.which(f"python{version}")
    if found is not None:
        yield found
    places = (Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}")
    yield from map(str, sorted(places, reverse=True))


def _answers(program: str) -> bool:
    """Tell whether it runs: a shim of a version that is not installed does not."""
    return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0


def environment(release: Release) -> Path:
    """Give the Python of an environment that has the product and this Django; made once, and brought up to date.

    Raises:
        UnavailableError: it cannot be made.

    """
    folder = cache_dir() / f"django-{release.name}"
    program = folder / "bin" / "python"
    wanted = [release.wanted, *TOOLS, "-e", f"{ROOT}[{EXTRAS}]"]
    try:
        if not program.exists():
            subprocess.run([interpreter(release), "-m", "venv", folder], check=True, capture_output=True, timeout=120)
        subprocess.run([program, "-m", "pip", "install", "-q", *wanted], check=True, capture_output=True, timeout=900)
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", b"") or b"").decode(errors="replace").strip()[-300:]
        raise UnavailableError(f"Django {release.name}: its environment cannot be made: {said or error}") from error
    return program


def run(release: Release, chosen: Sequence[str] = SUITE) -> bool:
    """Run the tests on a release; tell whether one failed."""
    program, began = environment(release), time.monotonic()
    asked = "import django, platform; print(django.get_version(), 'on Python', platform.python_version())"
    which = subprocess.run([program, "-c", asked], capture_output=True, text=True, check=True).stdout.strip()
    log = ROOT / f"matrix-django-{release.name}.log"
    with log.open("w") as output:
        command = [program, "-m", "pytest", "-v", *chosen]
        status = subprocess.run(command, cwd=ROOT, env=dict(os.environ), stdout=output, stderr=output, check=False)
    last = re.findall(r"^.*\b(?:passed|failed|error)\b.*$", log.read_text(), re.MULTILINE)[-1:]
    print(f"Django {which}: {''.join(last).strip('= ') or 'no result'} ({time.monotonic() - began:.0f} s, {log.name})")
    sys.stdout.flush()
    return status.returncode != 0


def main() -> int:
    """Run the tests on each release; the status is 1 when one of them fails, or cannot be had."""
    failed = 0
    for release in RELEASES:
        try:
            failed += run(release)
        except UnavailableError as error:
            print(f"not run: {error}")
            failed += 1
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
