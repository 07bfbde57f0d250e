"""The names that applications use."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import syncline
from syncline import split


@pytest.mark.parametrize("name", syncline.__all__)
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(syncline, name).__name__ == name


def test_the_list_and_the_places_agree() -> None:
    assert sorted(syncline._PLACES) == sorted(syncline.__all__)
    for name, module in syncline._PLACES.items():
        assert getattr(import_module(f"syncline.{module}"), name) is getattr(syncline, name)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = syncline.nothing


def test_importing_the_package_imports_no_optional_one() -> None:
    script = "import syncline, sys; print({'sqlalchemy', 'fastapi', 'redis', 'pymongo'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", split.__all__)
def test_each_name_of_named_databases_is_there(name: str) -> None:
    assert getattr(split, name).__name__ == name
    assert sorted(split._PLACES) == sorted(split.__all__)


def test_named_databases_import_no_optional_package_before_it_is_used() -> None:
    script = (
        "import syncline.split as s, sys; s.Databases; print({'sqlalchemy', 'django', 'dotenv'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_version_stands_in_one_place() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"] == {"path": "src/syncline/version.py"}
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev0)?", syncline.__version__)
