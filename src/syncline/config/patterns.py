"""Patterns of links: ``[links."shop_*"]`` stands for a link for each word of a list.

The word takes the place of ``*`` in the name, and of ``{each}`` in every text of the section. The list stands there
(``each = ["acme", "bakery"]``), or in a file with a word a line. A link that is written out itself is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from syncline.config.problems import Problem
from syncline.model.link import LONGEST, problem_of

LINKS, EACH = "links", "each"
_PLACE = re.compile(r"(?<!\$)\{each\}")
_FORM = 'a list of words, each = ["acme", "bakery"], or the name of a file with a word a line'


@dataclass(slots=True)
class Expanded:
    """The links that a file's patterns stand for, among those that it writes out."""

    data: dict[str, Any]
    written: dict[str, str] = field(default_factory=dict)
    """By the name of a link: the pattern that it is of."""
    problems: list[Problem] = field(default_factory=list)

    def placed(self, problems: Sequence[Problem]) -> list[Problem]:
        """Say where in the file problems are; what is wrong with a pattern is said of its first link only."""
        found: dict[tuple[tuple[str | int, ...], str], Problem] = {}
        for problem in problems:
            name = str(problem.path[1]) if len(problem.path) > 1 and problem.path[0] == LINKS else ""
            if pattern := self.written.get(name):
                problem = replace(problem, path=(problem.path[0], pattern, *problem.path[2:]))  # noqa: PLW2901
            found.setdefault((problem.path, "" if pattern else problem.what), problem)
        return list(found.values())


def expanded(data: Mapping[str, Any], folder: Path) -> Expanded:
    """Put the links of patterns in the place of these; files of words are found from ``folder``."""
    tables = data.get(LINKS)
    if not isinstance(tables, dict) or not all(isinstance(own, dict) for own in tables.values()):
        return Expanded(dict(data))  # said where links are taken apart
    links: dict[str, Any] = {}
    found, twice = Expanded({**data, LINKS: links}), set[tuple[str, str]]()
    for name, own in tables.items():
        if "*" not in name:
            links[name] = own
            continue
        try:
            words = _words(name, own.get(EACH), folder)
        except ValueError as error:
            found.problems.append(Problem((LINKS, name, EACH), str(error)))
            continue
        section = {key: value for key, value in own.items() if key != EACH}
        for word in words:
            link = name.replace("*", word)
            if link in tables:
                continue
            if (other := found.written.setdefault(link, name)) == name:
                links[link] = _filled(section, word)
            elif (name, other) not in twice:
                twice.add((name, other))
                what = f"[links.{name!r}] and [links.{other!r}] both stand for the link {link!r}"
                todo = f"take its word out of one of them, or write the link out as [links.{link}]"
                found.problems.append(Problem((LINKS, name, EACH), what, todo))
    return found


def _words(name: str, each: Any, folder: Path) -> list[str]:
    if name.count("*") > 1:
        raise ValueError(f"{name!r}: one * at most")
    if isinstance(each, str):
        try:
            lines = (folder / each).read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{EACH} = {each!r}: it cannot be read: {error}") from None
        each = [word for line in lines if (word := line.strip()) and not word.startswith("#")]
    if not isinstance(each, list) or not all(isinstance(word, str) for word in each):
        raise ValueError(f"[links.{name!r}] is a pattern: write {_FORM}")
    if not each:
        raise ValueError(f"[links.{name!r}] stands for no link: its list is empty")
    for word in each:
        if problem_of(name.replace("*", word)) is not None:
            raise ValueError(
                f"{EACH}: {word!r}: {name.replace('*', word)!r} cannot name a link:"
                f" use lower-case letters, digits and _, a letter after each _, at most {LONGEST} in all"
            )
    return each


def _filled(value: Any, word: str) -> Any:
    """Put a word in the place of ``{each}`` in all texts of a section."""
    if isinstance(value, str):
        return _PLACE.sub(word, value)
    if isinstance(value, dict):
        return {key: _filled(inner, word) for key, inner in value.items()}
    return [_filled(inner, word) for inner in value] if isinstance(value, list) else value
