"""Breadth-first search over all states of a small world, so that the first counterexample is a shortest one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

Told = tuple[object, ...]
"""What happens, in words to be put together: a template and its values."""

STUCK = "from here nothing leads to an end, unless something else goes wrong"


class World(Protocol):
    """What can happen from each state; states are hashable."""

    @property
    def limit(self) -> int:
        """States after which the search gives up."""
        ...

    @property
    def livelocks(self) -> bool:
        """Whether an end must be reachable from every state without another fault."""
        ...

    def first(self) -> Any:
        """Make the state at the start."""
        ...

    def normal(self, state: Any) -> Any:
        """Give the representative of all states that are the same but for names and numbers."""
        ...

    def steps(self, state: Any) -> Iterator[tuple[Told, Any]]:
        """Give everything that can happen next."""
        ...

    def violation(self, before: Any, after: Any) -> str:
        """Say which invariant a step breaks; empty: none."""
        ...

    def at_rest(self, state: Any) -> bool:
        """Tell whether nothing is left to do for anybody."""
        ...

    def is_fault(self, before: Any, after: Any) -> bool:
        """Tell whether a step used up something that may go wrong."""
        ...


@dataclass
class Result:
    """What an exploration found."""

    scope: Any
    states: int = 0
    depth: int = 0
    quiet: int = 0
    seconds: float = 0.0
    complete: bool = False
    broken: str = ""
    """The invariant that does not hold, in words."""
    way: list[tuple[Told, Any]] = field(default_factory=list)
    """The shortest way to it."""

    @property
    def trace(self) -> list[str]:
        """The way in words."""
        return [in_words(told) for told, _ in self.way]


def search(world: World, scope: Any) -> Result:
    """Visit every state that can be reached."""
    began = time.perf_counter()
    start = world.normal(world.first())
    parents: dict[int, int] = {hash(start): 0}
    forward: dict[int, list[int]] = {}
    quiet: set[int] = set()
    frontier = [start]
    result = Result(scope)
    while frontier and not result.broken and len(parents) < world.limit:
        following: list[Any] = []
        for state in frontier:
            here = hash(state)
            nexts = forward.setdefault(here, []) if world.livelocks else None
            if world.livelocks and world.at_rest(state):
                quiet.add(here)
            for _, reached in world.steps(state):
                after = world.normal(reached)
                name = hash(after)
                if nexts is not None and not world.is_fault(state, after):
                    nexts.append(name)
                said = world.violation(state, reached)
                if name not in parents:
                    parents[name] = here
                    following.append(after)
                if said:
                    result.broken = said
                    result.way = path_to(world, parents, here, name)
                    break
            if result.broken:
                break
        result.depth += 1
        frontier = following
    result.complete = not frontier and not result.broken
    if result.complete and world.livelocks:
        stuck = _stuck(forward, quiet)
        if stuck is not None:
            result.broken = STUCK
            result.way = path_to(world, parents, parents[stuck], stuck)
    result.states, result.quiet = len(parents), len(quiet)
    result.seconds = time.perf_counter() - began
    return result


def _stuck(forward: dict[int, list[int]], quiet: set[int]) -> int | None:
    """Find a state from which no end can be reached; the first that was visited."""
    backward: dict[int, list[int]] = {}
    for before, nexts in forward.items():
        for after in nexts:
            backward.setdefault(after, []).append(before)
    good, waiting = set(quiet), list(quiet)
    while waiting:
        for before in backward.get(waiting.pop(), ()):
            if before not in good:
                good.add(before)
                waiting.append(before)
    return next((state for state in forward if state not in good), None)


def path_to(world: World, parents: dict[int, int], here: int, last: int) -> list[tuple[Told, Any]]:
    """Walk the way again, from the start."""
    names = [last, here]
    while parents[names[-1]]:
        names.append(parents[names[-1]])
    names.reverse()
    state, way = world.first(), []
    if last == here:
        names.pop()
    for name in names[1:]:
        # The states themselves, not their normal forms: a worker keeps its name all the way.
        told, state = next((t, s) for t, s in world.steps(state) if hash(world.normal(s)) == name)
        way.append((told, state))
    return way


def in_words(told: Told) -> str:
    """Put a step into words."""
    return str(told[0]).format(*told[1:])
