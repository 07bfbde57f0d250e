"""Where a mutant changes the source: an expression or statements of a function, or words of a block of SQL.

Layout, comments and the lines around do not matter: Python is compared as ``ast.unparse`` writes it, SQL word by word.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

Functions = (ast.FunctionDef, ast.AsyncFunctionDef)
Scopes = (*Functions, ast.ClassDef)
_BLOCK_ENDS = re.compile(r"^(?:-- |CREATE )", re.MULTILINE)


class DoesNotApplyError(Exception):
    """The source has changed; the mutant must be written again."""


@dataclass(frozen=True)
class Swap:
    """Something in one place of the source, and what stands there instead."""

    file: str
    """Below src, ``.py`` or ``.sql``."""
    within: str
    """Qualified name of a function or class (empty: the module outside of functions); in SQL the name of a block, or of
    what a CREATE makes, e.g. ``FUNCTION syncline.mark``."""
    old: str
    """What must be there exactly once. Python: an expression or statements; ``if x: ...`` (``elif`` is an ``if``) and
    ``while x: ...`` stand for the condition, whatever the body."""
    new: str
    """What is there instead; empty: nothing."""

    def applied(self, text: str) -> str:
        """Change a file's text.

        Raises:
            DoesNotApplyError: the place is not there exactly once.

        """
        spans = list(self._in_python(text) if self.file.endswith(".py") else self._in_sql(text))
        if len(spans) != 1:
            raise DoesNotApplyError(f"{len(spans)} times in {self.file}, {self.within or 'the module'}: {self.old!r}")
        start, end, new = spans[0]
        raw = text.encode()
        return (raw[:start] + new.encode() + raw[end:]).decode()

    def _in_sql(self, text: str) -> Iterator[tuple[int, int, str]]:
        begin, end = self._block(text)
        words = r"\s+".join(re.escape(word) for word in self.old.split())
        before = r"\b" if self.old[0].isalnum() else ""
        after = r"\b" if self.old[-1].isalnum() else ""
        for found in re.finditer(before + words + after, text[begin:end]):
            first, last = begin + found.start(), begin + found.end()
            yield len(text[:first].encode()), len(text[:last].encode()), self.new

    def _block(self, text: str) -> tuple[int, int]:
        name = re.escape(self.within)
        begin = re.search(rf"^(?:-- name: |CREATE (?:OR REPLACE )?){name}(?!\w)", text, re.MULTILINE | re.IGNORECASE)
        if begin is None:
            raise DoesNotApplyError(f"{self.file} has no block {self.within}")
        named = begin.group().startswith("--")
        ends = re.compile(r"^-- name: ", re.MULTILINE) if named else _BLOCK_ENDS
        end = ends.search(text, begin.end())
        return begin.end(), end.start() if end else len(text)

    def _in_python(self, text: str) -> Iterator[tuple[int, int, str]]:
        scope = _scope(ast.parse(text), self.within)
        if scope is None:
            raise DoesNotApplyError(f"{self.file} has no {self.within}")
        lines = _offsets(text)
        old, new = ast.parse(self.old).body, ast.parse(self.new).body
        nodes = [*_nodes(scope, () if isinstance(scope, Functions) else Functions)]
        if (test := _condition(old)) is not None:
            wanted = ast.unparse(test)
            tests = [node.test for node in nodes if isinstance(node, ast.If | ast.While) and type(node) is type(old[0])]
            found = [(node, node, _expression(_condition(new))) for node in tests if ast.unparse(node) == wanted]
        elif len(old) == len(new) == 1 and isinstance(old[0], ast.Expr) and isinstance(new[0], ast.Expr):
            value, wanted = old[0].value, ast.unparse(old[0])
            same = [node for node in nodes if type(node) is type(value) and ast.unparse(node) == wanted]
            found = [(node, node, _expression(new[0].value)) for node in same if not _is_stored(node)]
        else:
            found = [(first, last, _statements(text, first, new)) for first, last in _runs(nodes, old)]
        for first, last, instead in found:
            yield _start(lines, first), _end(lines, last), instead


def _scope(tree: ast.AST, within: str) -> ast.AST | None:
    """Find a function or class by its qualified name."""
    for name in within.split(".") if within else ():
        inner = [node for node in _nodes(tree, Scopes) if isinstance(node, Scopes) and node.name == name]
        if len(inner) != 1:
            return None
        tree = inner[0]
    return tree


def _nodes(scope: ast.AST, closed: tuple[type[ast.AST], ...]) -> Iterator[ast.AST]:
    """Walk everything in a scope, but nothing within those of its inner ones that are `closed`."""
    todo = [scope]
    while todo:
        node = todo.pop()
        yield node
        if node is scope or not isinstance(node, closed):
            todo.extend(ast.iter_child_nodes(node))


def _condition(body: list[ast.stmt]) -> ast.expr | None:
    """Give the condition of ``if x: ...``; None for anything else."""
    if len(body) == 1 and isinstance(body[0], ast.If | ast.While) and ast.unparse(body[0].body[0]) == "...":
        return body[0].test
    return None


def _runs(nodes: list[ast.AST], wanted: list[ast.stmt]) -> Iterator[tuple[ast.stmt, ast.stmt]]:
    """Find statements that follow each other."""
    texts = [ast.unparse(statement) for statement in wanted]
    for node in nodes:
        for _, body in ast.iter_fields(node):
            if not (isinstance(body, list) and body and isinstance(body[0], ast.stmt)):
                continue
            for start in range(len(body) - len(texts) + 1):
                part = body[start : start + len(texts)]
                if all(type(a) is type(b) for a, b in zip(part, wanted, strict=True)) and (
                    [ast.unparse(statement) for statement in part] == texts
                ):
                    yield part[0], part[-1]


def _is_stored(node: ast.AST) -> bool:
    return not isinstance(getattr(node, "ctx", ast.Load()), ast.Load)


def _expression(node: ast.expr | None) -> str:
    assert node is not None, "a condition is replaced by one: if x: ..."
    return f"({ast.unparse(node)})"


def _statements(text: str, first: ast.AST, new: list[ast.stmt]) -> str:
    """Write statements as they must be indented where `first` stands."""
    written = "\n".join(ast.unparse(statement) for statement in new) or "pass"
    indent = first.col_offset  # type: ignore[attr-defined]
    before = text.split("\n")[first.lineno - 1].encode()[:indent]  # type: ignore[attr-defined]
    return written.replace("\n", "; " if before.strip() else "\n" + " " * indent)


def _offsets(text: str) -> list[int]:
    """At which byte each line begins."""
    offsets = [0]
    for line in text.split("\n"):
        offsets.append(offsets[-1] + len(line.encode()) + 1)
    return offsets


def _start(lines: list[int], node: ast.AST) -> int:
    return lines[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]


def _end(lines: list[int], node: ast.AST) -> int:
    return lines[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
