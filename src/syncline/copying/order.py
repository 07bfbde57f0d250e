"""In which order tables are copied, and which of them together: what others refer to comes first. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """Names of tables in their order, and the circles that were cut."""

    names: tuple[str, ...]
    circles: tuple[tuple[str, ...], ...] = ()
    """Tables that refer to each other, each circle once; without tables that refer to themselves."""


def ordered(parents: Mapping[str, frozenset[str]]) -> Order:
    """Put parents before children; a circle is cut where it is met.

    Args:
        parents: of each table, what it refers to; tables that are not copied do not count.

    """
    done: list[str] = []
    circles: list[tuple[str, ...]] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circles.append(path[path.index(name) :])
            return
        if name in done:
            return
        for parent in sorted(parents[name] & parents.keys() - {name}):
            visit(parent, (*path, name))
        if name not in done:
            done.append(name)

    for name in parents:
        visit(name, ())
    return Order(tuple(done), tuple(circles))


def joined(parents: Mapping[str, frozenset[str]]) -> list[frozenset[str]]:
    """Group tables that refer to each other, directly or by way of others of them.

    Args:
        parents: as of ``ordered``.

    """
    groups: list[frozenset[str]] = []
    for name, others in parents.items():
        near = (others & parents.keys()) | {name}
        apart = [group for group in groups if not group & near]
        groups = [*apart, frozenset(near).union(*(group for group in groups if group & near))]
    return groups
