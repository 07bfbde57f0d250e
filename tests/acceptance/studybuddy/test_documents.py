"""What README and tutorial name is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from studybuddy.app import create_app
from studybuddy.settings import PREFIX, URLS, Settings

from tests.acceptance.studybuddy.system import HOME

ROOT = HOME.parents[1]
README = (HOME / "README.md").read_text()
TUTORIAL = (ROOT / "docs/tutorial/an-application.md").read_text()


@pytest.fixture(scope="module")
def paths() -> list[str]:
    settings = Settings(database_url="postgresql:///x", mongodb_url="mongodb://localhost/x", secret="x" * 40)
    return list(create_app(settings).openapi()["paths"])


@pytest.mark.parametrize("text", [README.replace("$api", "/api"), TUTORIAL])
def test_every_path_is_a_route(paths: list[str], text: str) -> None:
    named = set(re.findall(r"(?<!\d)/api/[a-z/0-9]+", text))
    assert len(named) > 2
    for path in named:
        assert any(re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route), path) for route in paths), path


def test_every_setting_is_described() -> None:
    for field in Settings.model_fields:
        assert f"`{URLS.get(field, PREFIX + field.upper())}`" in README
    assert set(re.findall(r"STUDYBUDDY_([A-Z_]+)`", README)) <= {field.upper() for field in Settings.model_fields}


def test_every_module_is_described() -> None:
    for module in (HOME / "studybuddy").glob("*.py"):
        assert module.name in README or module.name in ("__init__.py", "students.py")


@pytest.mark.parametrize("text", [README, TUTORIAL])
def test_links_lead_somewhere(text: str) -> None:
    folder = HOME if text is README else ROOT / "docs/tutorial"
    for link in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (folder / link).exists(), link


def test_the_tutorial_is_python() -> None:
    blocks = re.findall(r"```python\n(.*?)```", TUTORIAL, re.DOTALL)
    for block in blocks:
        ast.parse(f"async def page():\n    {block.replace(chr(10), chr(10) + '    ')}")
    names = {name for block in blocks for name in re.findall(r"from (syncline[.\w]*) import (.*)", block)}
    for module, imported in names:
        for name in imported.split(", "):
            assert hasattr(__import__(module, fromlist=[name]), name)


def test_examples_use_public_names_only() -> None:
    public = re.compile(r"syncline(\.(cache|config|contrib\.\w+|testing|telemetry\.queries))?")
    for file in Path(HOME).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("syncline"):
                assert public.fullmatch(node.module or ""), f"{file}: {node.module}"
