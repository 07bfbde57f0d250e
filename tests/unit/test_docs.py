"""What the documentation names is there: links, extras, entities of the reference application, commands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from syncline.cli.main import SUMMARIES
from syncline.phases.changing import Control
from syncline.phases.phase import Phase
from syncline.phases.standing import Standings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BY_NAME = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
ENTITIES = set(tomllib.loads((ROOT / "examples/studybuddy/syncline.toml").read_text("utf-8"))["entities"])
WITH_ENTITY = r"syncline (?:backfill|verify|explain|repair|resync|parked (?:retry|discard)) ([a-z_]+)(?: ([a-z_]+))?\b"


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")) for title in titles}


@BY_NAME
def test_every_link_leads_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), target


@BY_NAME
def test_what_is_to_be_installed_can_be(page: Path):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    text = page.read_text("utf-8")
    assert not re.search(r"pip install ['\"]?syncline", text), "it is installed from a checkout"
    for named in re.findall(r"pip install ['\"]?\.\[([\w,]+)\]", text):
        assert set(named.split(",")) <= set(extras), named


@BY_NAME
def test_commands_name_entities_of_the_reference_application(page: Path):
    if page.name in ("commands.md", "first-table.md", "run-a-document-link.md"):
        return
    for first, second in re.findall(WITH_ENTITY, page.read_text("utf-8")):
        assert first in ENTITIES, first
        assert second in ENTITIES | {""} or not second.isalpha(), second


@BY_NAME
def test_every_command_exists(page: Path):
    blocks = re.findall(r"^```(?:sh|console|bash)\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for name in re.findall(r"^(?:\$ )?syncline ([a-z-]+)", "".join(blocks), re.MULTILINE):
        assert name in SUMMARIES, name


class Stood:
    """Where collections stand, as either database has it."""

    def __init__(self) -> None:
        self.standings: Standings = {}

    def read(self) -> Standings:
        return self.standings

    def default(self) -> None:
        return None


def test_the_tutorial_goes_from_phase_to_phase_as_the_commands_do():
    """Each step is possible where the one before has led, is told so, and has a verification since then."""
    text = (ROOT / "docs/tutorial/from-mongodb.md").read_text("utf-8")
    both: Any = Stood()
    control, verified, told, shown = Control(both, both, Phase.OFF), False, "", 0
    for line in "".join(re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).splitlines():
        if line.startswith("$ syncline verify"):
            verified = True
        elif step := re.match(r"\$ syncline phase (advance|back) orders(?: --percent (\d+))?", line):
            plan = control.forward if step[1] == "advance" else control.backward
            change = plan(["orders"], float(step[2]) if step[2] else None)
            assert verified or step[1] == "back" or change.goal.phase is Phase.DUAL_WRITE, line
            told = f"orders: {change.was['orders']} → {change.goal}; in effect after "
            both.standings, verified = change.becomes, False
        elif "; in effect after " in line:
            assert line.startswith(told)
            shown += 1
    assert shown == 7


def test_every_page_can_be_reached_from_the_readme():
    reached, found = {ROOT / "README.md"}, [ROOT / "README.md"]
    while found:
        page = found.pop()
        links = re.findall(r"\]\(([^)\s#]+\.md)[^)\s]*\)", page.read_text("utf-8"))
        new = {(page.parent / link).resolve() for link in links if "://" not in link} - reached
        reached |= new
        found += new
    assert set(PAGES) <= reached


def test_the_layers_for_contributors_are_those_that_are_checked():
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Layers")[2]
    shown = text.split("```")[1].split("\n")
    assert [line for line in shown if line] == tables["tool"]["importlinter"]["contracts"][0]["layers"]


def test_the_files_that_the_architecture_names_are_there():
    text = (ROOT / "docs/explanation/architecture.md").read_text("utf-8")
    named = re.findall(r"`(\w+/[\w/]+\.(?:py|sql))`", text)
    assert len(named) > 30
    assert [name for name in named if not (ROOT / "src/syncline" / name).exists()] == []
