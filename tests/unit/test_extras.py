"""What is installed with one extra is enough for what that extra is for."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
NEEDED = {
    "": "syncline.cli.main syncline.wiring.backfilling syncline.wiring.copying syncline.wiring.worker syncline.documents syncline.phases syncline.cache",
    "web": "syncline.cli.serve syncline.web.page.pages",
    "metrics": "syncline.telemetry.metrics syncline.web.exporter",
    "split": "syncline.split syncline.split.grammar syncline.split.server",
    "migrations": "syncline.split.migrations.trees",
    "testing": "syncline.testing.plugin",
}


def plain(name: str) -> str:
    return name.lower().replace("_", "-")


def installed_with(requirements: Iterable[str], known: frozenset[str] = frozenset()) -> frozenset[str]:
    """Name what pip installs for these, and for what they require."""
    for requirement in requirements:
        found = re.match(r"([\w.-]+)(?:\[(.*?)])?", requirement)
        assert found, requirement
        name = plain(found[1])
        if name == "syncline":
            known = installed_with([one for extra in found[2].split(",") for one in EXTRAS[extra]], known)
        elif name not in known:
            try:
                theirs = requires(name) or []
            except PackageNotFoundError:  # for another platform
                theirs = []
            known = installed_with([one for one in theirs if "extra ==" not in one], known | {name})
    return known


@pytest.mark.parametrize("extra", NEEDED)
def test_an_extra_brings_what_its_modules_import(extra: str) -> None:
    there = installed_with([*PROJECT["dependencies"], *EXTRAS.get(extra, [])])
    absent = installed_with(one for requirements in EXTRAS.values() for one in requirements) - there
    halted = [name for name, by in packages_distributions().items() if {plain(one) for one in by} <= absent]
    code = f"import sys\nsys.modules |= dict.fromkeys({halted})\nimport {NEEDED[extra].replace(' ', ', ')}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
