"""Where a setting stands in a TOML file: the standard parser does not say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_DOTTED})\s*=")


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    first: int
    last: int


def find(text: str, path: Sequence[str | int]) -> int:
    """Return the number of the line that sets ``path`` or begins to, or of the nearest table around it.

    Args:
        text: a valid TOML document.
        path: keys and, for arrays, positions.

    """
    lines = text.splitlines()
    best, shared = _Entry((), 1, 1), -1
    for entry in _entries(lines):
        common = _common(entry.path, path)
        if common == min(len(entry.path), len(path)) and common > shared:
            best, shared = entry, common
    rest = path[max(shared, 0) :]
    return _within(lines, best, rest) if best.last > best.first else best.first


def _entries(lines: list[str]) -> Iterator[_Entry]:
    table: Path = ()
    counted: dict[Path, int] = {}
    number = 0
    while number < len(lines):
        line = lines[number]
        first = number + 1
        if header := _HEADER.match(line):
            table = _resolve(_split(header[2]), counted, new=header[1] == "[[")
            yield _Entry(table, first, first)
        elif assignment := _ASSIGNMENT.match(line):
            number = _end_of_value(lines, number)
            yield _Entry((*table, *_split(assignment[1])), first, number + 1)
        number += 1


def _resolve(names: Path, counted: dict[Path, int], *, new: bool) -> Path:
    """Put the positions of the enclosing arrays of tables into a header's path."""
    path: Path = ()
    for depth, name in enumerate(names):
        path = (*path, name)
        if new and depth == len(names) - 1:
            counted[path] = counted.get(path, -1) + 1
        if path in counted:
            path = (*path, counted[path])
    return path


def _end_of_value(lines: list[str], start: int) -> int:
    """Find the last line of an assignment: the first at which it parses."""
    for end in range(start, len(lines)):
        try:
            tomllib.loads("\n".join(lines[start : end + 1]))
        except tomllib.TOMLDecodeError:
            continue
        return end
    return start


def _within(lines: list[str], entry: _Entry, rest: Sequence[str | int]) -> int:
    """Look for the deepest name of ``rest`` among the lines of a value."""
    for name in reversed([part for part in rest if isinstance(part, str)]):
        for number in range(entry.first, entry.last + 1):
            if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", lines[number - 1]):
                return number
    return entry.first


def _split(dotted: str) -> Path:
    return tuple(_bare(part) for part in re.findall(_PART, dotted))


def _bare(part: str) -> str:
    return next(iter(tomllib.loads(f"{part} = 0"))) if part[0] in "\"'" else part


def _common(a: Sequence[str | int], b: Sequence[str | int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
