"""Run pytest in a folder of its own, as a user would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "testing"
LIMIT_SECONDS = 500


@dataclass(frozen=True)
class Run:
    status: int
    passed: set[str]
    skipped: set[str]
    failures: dict[str, str]
    output: str


def run(
    folder: Path,
    file: str,
    servers: tuple[str, str] | None,
    *,
    select: Sequence[str] = (),
    seed: int | str = 7,
    copied: bool = False,
) -> Run:
    """Copy the example (and a file of ours beside it) into the folder and run the file's tests; `copied`: it is there already.

    ``servers`` are the URLs of PostgreSQL and MongoDB; without them the harness starts its own.
    """
    if not copied:
        shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    ours = Path(__file__).parent / file
    if ours.is_file():
        shutil.copy(ours, folder / file)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "SYNCLINE_TEST"))
    }
    if servers is not None:
        environment |= {"SYNCLINE_TEST_POSTGRES_URL": servers[0], "SYNCLINE_TEST_MONGODB_URL": servers[1]}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    tests = [f"{file}::{test}" for test in select] or [file]
    plugins = ["-p", "no:cacheprovider", "-p", "pytest_asyncio.plugin"]
    command = [sys.executable, "-m", "pytest", *plugins, "-W", "error", "--junitxml=report.xml"]
    done = subprocess.run(
        [*command, f"--syncline-seed={seed}", *tests],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    return _run(done.returncode, folder / "report.xml", done.stdout + done.stderr)


def _run(status: int, report: Path, output: str) -> Run:
    passed, skipped, failures = set(), set(), {}
    assert report.is_file(), output
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314  our own report
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        bad = [part for part in case if part.tag in {"failure", "error"}]
        if bad:
            failures[name] = "\n".join(f"{part.get('message')}\n{part.text}" for part in bad)
        else:
            (skipped if case.find("skipped") is not None else passed).add(name)
    return Run(status, passed, skipped, failures, output)
