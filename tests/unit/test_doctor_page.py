"""The page on the doctor lists every check with its levels and cures, as the code has them; each has its test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from syncline.engines.memory.target import MemoryTarget
from syncline.insight.checks import capture, cockroach, indexes, readers, server, sides, target, work

ROOT = Path(__file__).parents[2]
INSIGHT = ROOT / "src" / "syncline" / "insight"
PAGE = ROOT / "docs" / "how-to" / "doctor.md"
SOURCES = [INSIGHT / "doctor.py", INSIGHT / "examination.py", *sorted((INSIGHT / "checks").glob("*.py"))]
DOCUMENTS = ROOT / "src" / "syncline" / "documents" / "doctor.py"
DOCUMENTS_PAGE = ROOT / "docs" / "how-to" / "run-a-document-link.md"
MAKERS = {"warning", "critical"}
CHOSEN = {"level": MAKERS, "maker": set()}
"""Makers that were chosen before: ``level = critical if … else warning``; ``maker`` is of a check that could not be made."""


@cache
def trees() -> list[ast.Module]:
    return [ast.parse(path.read_text("utf-8")) for path in SOURCES]


def findings(given: list[ast.Module] | None = None) -> dict[str, set[str]]:
    """Read from the code: each check and the levels of its findings."""
    found: dict[str, set[str]] = {}
    for tree in given or trees():
        names = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args):
            name = call.args[0]
            check = names.get(name.id) if isinstance(name, ast.Name) else getattr(name, "value", None)
            for maker in _makers(call.func) if isinstance(check, str) else ():
                found.setdefault(check, set()).add(maker)
    return found


def _makers(function: ast.expr) -> Iterator[str]:
    if isinstance(function, ast.IfExp):
        yield from (*_makers(function.body), *_makers(function.orelse))
    elif isinstance(function, ast.Name):
        yield from CHOSEN.get(function.id, {function.id} & MAKERS)


def rows(page: Path = PAGE) -> dict[str, tuple[set[str], str]]:
    """Read from the page: check, levels, cures."""
    lines = re.findall(r"^\| `([^`]+)` \| ([a-z, ]+) \| .+? \| (.+) \|$", page.read_text("utf-8"), re.MULTILINE)
    return {name: (set(levels.split(", ")), fix) for name, levels, fix in lines}


def test_every_check_is_on_the_page_with_its_levels():
    assert {name: levels for name, (levels, _) in rows().items()} == findings()


def test_the_cures_are_those_of_the_code():
    queries = (INSIGHT / "queries.sql").read_text("utf-8")
    of_targets = INSIGHT.parent / "engines" / "mongo" / "control.py"  # says what is wrong with our records there
    texts = "\n".join(
        [queries, of_targets.read_text("utf-8")]
        + [
            n.value
            for tree in trees()
            for n in ast.walk(tree)
            if isinstance(n, ast.Constant) and isinstance(n.value, str)
        ]
    )
    for name, (_, fix) in rows().items():
        cures = re.findall(r"`([^`]+)`", fix)
        assert cures, name
        for part in (part for cure in cures for part in cure.split("…")):
            assert part.strip(" ;") in texts, (name, part)


def test_a_check_is_called_as_its_findings_are():
    """So that one which could not be made is found under the same name."""
    made = [
        *server.CHECKS,
        *capture.CHECKS,
        *capture.INSTALLED_CHECKS,
        *indexes.CHECKS,
        *readers.CHECKS,
        *work.CHECKS,
        *target.CHECKS,
    ]
    made += [*cockroach.CHECKS, *cockroach.INSTALLED_CHECKS, *sides.checks(MemoryTarget())]
    assert {check.__name__.replace("_", " ") for check in made} <= findings().keys()


def test_every_check_has_a_test_that_makes_its_defect():
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests" / "integration").glob("test_*doctor*.py"))
    assert [name for name in findings() if f'"{name}"' not in tests] == []


def test_the_checks_of_a_document_link_are_on_their_page_and_have_tests():
    tree = ast.parse(DOCUMENTS.read_text("utf-8"))
    made = findings([tree])
    assert {name: levels for name, (levels, _) in rows(DOCUMENTS_PAGE).items()} == made
    texts = "\n".join(n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    for name, (_, fix) in rows(DOCUMENTS_PAGE).items():
        for part in (part.replace("\\|", "|") for cure in re.findall(r"`([^`]+)`", fix) for part in cure.split("…")):
            assert part.strip(" ;") in texts, (name, part)
    tests = (ROOT / "tests" / "integration" / "test_document_doctor.py").read_text("utf-8")
    assert [name for name in made if f'"{name}"' not in tests] == []
