"""Our SQL lives in ``.sql`` files with named blocks; this reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_COMMENT = "/* syncline */ "


@cache
def blocks(file: str, package: str = "syncline.journal", *, comment: bool = True) -> Mapping[str, str]:
    """Read the named blocks of one of our ``.sql`` files.

    Each statement carries our name as a comment, so that it can be told apart in the database's log.

    Args:
        file: the file's name within the package, e.g. ``queries.sql``.
        package: the package that the file belongs to.
        comment: false for blocks that are parts of a statement.

    """
    text = files(package).joinpath(file).read_text("utf-8")
    parts = _NAME.split(text)[1:]
    if twice := {name for name in parts[::2] if parts[::2].count(name) > 1}:
        raise ValueError(f"{package}/{file} has two blocks named {', '.join(sorted(twice))}")
    mark = _COMMENT if comment else ""
    return {name: mark + _strip(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def script(file: str) -> str:
    """Read one of our ``.sql`` files whole."""
    return files("syncline.journal").joinpath(file).read_text("utf-8")


def statements_of(text: str) -> Iterator[str]:
    """Take a file apart into statements, without the semicolon at their end. One ends where a line does."""
    statement: list[str] = []
    quoted = False
    for line in text.splitlines():
        if not quoted and (line.startswith("--") or not line.strip()):
            continue
        statement.append(line)
        quoted ^= line.count("$$") % 2 == 1
        if not quoted and line.rstrip().endswith(";"):
            yield "\n".join(statement).rstrip().removesuffix(";")
            statement = []


def _strip(body: str) -> str:
    return "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
