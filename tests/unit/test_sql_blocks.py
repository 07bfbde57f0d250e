"""Our SQL stands in files with named blocks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from syncline.postgres import sql

SOURCE = Path(sql.__file__).parent.parent
FILES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.sql"))
EVERYWHERE = "syncline.postgres"
"""Who imports from here says nothing by it."""
DEFAULT = "syncline.journal"
NAMED = [file for file in FILES if file.name != "cockroach.sql" and "journal/migrations" not in file.as_posix()]
"""Those of the others are all run, one after the other."""


@pytest.mark.parametrize("file", FILES, ids=str)
def test_the_blocks_of_a_file_have_names_of_their_own(file: Path) -> None:
    package = ".".join(["syncline", *file.parent.parts])
    named = (SOURCE / file).read_text("utf-8").count("\n-- name: ")
    assert len(sql.blocks(file.name, package)) in (named, named + 1)  # the first one may begin the file


def test_two_blocks_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "twice.sql").write_text("-- name: a\nSELECT 1\n-- name: b\nSELECT 2\n-- name: a\nSELECT 3\n")

    def here(_: Any) -> Path:
        return tmp_path

    monkeypatch.setattr(sql, "files", here)
    with pytest.raises(ValueError, match=r"twice\.sql has two blocks named a$"):
        sql.blocks("twice.sql", "tests.unit")


@cache
def _modules() -> Mapping[str, tuple[str, frozenset[str]]]:
    """Each module's source, and patterns of the texts in it; what an f-string fills in is any word."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        source = path.read_text("utf-8")
        name = path.relative_to(SOURCE.parent).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        found[name] = (source, frozenset(_patterns(ast.parse(source))))
    return found


def _patterns(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(re.escape(str(p.value)) if isinstance(p, ast.Constant) else r"\w+" for p in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.escape(node.value)


def _reads(module: str, texts: frozenset[str], package: str, file: str) -> bool:
    """Whether a module reads a file of a package: it names both, or stands beside it; or it means the journal's."""
    if re.escape(file) not in texts:
        return False
    if package == DEFAULT:
        others = {".".join(("syncline", *one.parent.parts)) for one in FILES if one.name == file} - {DEFAULT}
        return not any(_reads(module, texts, other, file) for other in others)
    return re.escape(package) in texts or module.startswith(f"{package}.")


def _importing(module: str) -> str:
    package, _, name = map(re.escape, module.rpartition("."))
    return rf"from {package}\.{name} import|from {package} import .*\b{name}\b"


def _readers(package: str, file: str) -> set[str]:
    """The texts of the modules that read a file, of those beside them, and of those that import from a reader."""
    naming = {name for name, (_, texts) in _modules().items() if _reads(name, texts, package, file)}
    rooms = {name.rpartition(".")[0] for name in naming} - {EVERYWHERE}
    imports = re.compile("|".join(_importing(one) for one in naming if one.rpartition(".")[0] in rooms) or "$^")
    return {
        text
        for name, (source, texts) in _modules().items()
        if name in naming or name.rpartition(".")[0] in rooms or imports.search(source)
        for text in texts
        if text.replace(r"\w+", "")
    }


@pytest.mark.parametrize("file", NAMED, ids=str)
def test_every_block_is_used(file: Path) -> None:
    """In a module that reads the file, or that imports from one which does, a text names the block."""
    package = ".".join(("syncline", *file.parent.parts))
    used = re.compile("|".join(_readers(package, file.name.replace("_cockroach", ""))))
    names = re.findall(r"^-- name: (\w+)$", (SOURCE / file).read_text("utf-8"), re.MULTILINE)
    assert [name for name in names if not used.fullmatch(name)] == []


def test_queue_size_and_lag_are_the_same_wherever_they_are_shown() -> None:
    """By status, health, metrics and page; beside a verification's verdict; by a full resync. All leave second deletes out."""
    asked = [
        sql.blocks("queries.sql", "syncline.insight")["measures"],
        sql.blocks("verification.sql")["situation"],
        sql.blocks("resync.sql")["resync"],
    ]
    queue = asked[0][asked[0].index("(SELECT") : asked[0].index(" AS queue_size")]
    lag = asked[0][asked[0].index("coalesce(extract") : asked[0].index(" AS lag_seconds")]
    assert "hint <> 'G'" in queue
    assert "hint <> 'G'" in lag
    assert all(queue in one for one in asked)
    assert lag in asked[1]
