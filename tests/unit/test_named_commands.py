"""A command that a message or a page tells people to run is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from syncline.cli.main import command

ROOT = Path(__file__).parents[2]
PLACES = [
    *(ROOT / "src").rglob("*.py"),
    *(ROOT / "src").rglob("*.sql"),
    *(ROOT / "docs").rglob("*.md"),
    ROOT / "README.md",
]
NAMED = re.compile(r"`syncline ([a-z]+)(?: ([a-z]+))?")


def paths(group: Any, *path: str) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        one = group.get_command(context, name)
        yield (*path, name)
        if hasattr(one, "list_commands"):
            yield from paths(one, *path, name)


def named() -> dict[tuple[str, str], str]:
    """Read where which command is named, by its first two words; the second may be an argument."""
    return {
        (found[1], found[2] or ""): f"{place.relative_to(ROOT)}"
        for place in PLACES
        for found in NAMED.finditer(place.read_text("utf-8"))
    }


def test_every_command_that_is_named_is_there():
    there = {*paths(command())}
    groups = {path[0] for path in there if len(path) > 1}
    missing = {
        where: f"syncline {first} {second}".strip()
        for (first, second), where in named().items()
        if first not in NO_COMMANDS
        and ((first,) not in there or (first in groups and second and (first, second) not in there))
    }
    assert missing == {}


NO_COMMANDS = {"apply", "deliver"}
"""Names of spans, of which the first word is ours, too (``telemetry/tracing.py``)."""


@pytest.mark.parametrize("name", sorted(NO_COMMANDS))
def test_what_is_passed_over_is_no_command(name):
    assert (name,) not in {*paths(command())}
