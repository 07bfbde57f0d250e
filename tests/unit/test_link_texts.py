"""SQL in Python that speaks of our schema goes through the one door that knows the link's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import syncline

ROOT = Path(syncline.__file__).parent
_SPEAKS = re.compile(
    r"(?:FROM|INTO|UPDATE|TABLE|ON|JOIN|SELECT|TRUNCATE|SCHEMA|LISTEN|NOTIFY|EXISTS|FUNCTION|VIEW)\s+\"?syncline\b"
    r"|nspname\s*=\s*'syncline'"
)
_PROSE = {"message", "hint", "why", "fix"}
APART = {
    "model/link.py",
    "postgres/sql.py",
    "journal/parts.py",  # reads the schema's own file, and puts the link's schema into what comes of it
    "journal/shapes.py",  # writes parts of that
    "testing/captured.py",
    "testing/mapping/changes.py",
    "testing/mapping/pair.py",
}
"""Harnesses that install the link without a name, and the door itself."""


def _doors(tree: ast.AST) -> list[ast.Call]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if getattr(call.func, "id", "") in {"ours", "import_module"}]


def unguarded(tree: ast.AST) -> Iterator[ast.Constant]:
    """Find SQL that names our schema and does not pass the door."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    behind: set[int] = set()
    later = {name.id for call in _doors(tree) for name in ast.walk(call) if isinstance(name, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and {getattr(target, "id", "") for target in node.targets} & later:
            behind |= {id(inner) for inner in ast.walk(node)}
    for call in _doors(tree):
        behind |= {id(inner) for inner in ast.walk(call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in _PROSE:
            behind |= {id(inner) for inner in ast.walk(node)}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("Error"):
            behind |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        first = node.values[0] if isinstance(node, ast.JoinedStr) and node.values else None
        if isinstance(first, ast.Constant) and id(first) not in behind and str(first.value).startswith("syncline."):
            yield first
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in docs | behind:
            continue
        if _SPEAKS.search(node.value):
            yield node


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_sql_in_python_gets_the_schema_of_its_link(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    if name in APART or name.startswith("demo/"):
        return
    found = [
        f"{name}:{node.lineno}: {str(node.value)[:60]!r}" for node in unguarded(ast.parse(path.read_text("utf-8")))
    ]
    assert not found, "put it through syncline.postgres.sql.ours: " + "; ".join(found)
