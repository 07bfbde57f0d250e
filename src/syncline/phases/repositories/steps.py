"""Steps that are the same whether a driver's calls are awaited or not.

A program is a generator: it yields functions of a collection or a connection, and is sent what they return.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from inspect import isawaitable
from typing import Any, TypeVar

from psycopg import AsyncConnection

T = TypeVar("T")
Step = Callable[[Any], Any]
Program = Generator[Step, Any, T]


def run(program: Program[T], on: Any) -> T:
    """Run a program of calls that block."""
    answer = None
    try:
        while True:
            answer = program.send(answer)(on)
    except StopIteration as stop:
        result: T = stop.value
        return result


async def arun_together(programs: Sequence[Program[T]], on: AsyncConnection[Any]) -> list[T]:
    """Run programs beside each other: their first steps in one round trip, then their second ones, and so on.

    What they do must not depend on each other. The first error is raised, and ends all of them.
    """
    results: dict[int, T] = {}
    left: dict[int, tuple[Program[T], Any]] = {place: (program, None) for place, program in enumerate(programs)}
    while left:
        steps: dict[int, tuple[Program[T], Step]] = {}
        for place, (program, answer) in left.items():
            try:
                steps[place] = program, program.send(answer)
            except StopIteration as stop:
                results[place] = stop.value
        async with on.pipeline():
            left = {place: (program, await _awaited(step(on))) for place, (program, step) in steps.items()}
    return [results[place] for place in range(len(programs))]


async def _awaited(answer: Any) -> Any:
    return await answer if isawaitable(answer) else answer


async def arun(program: Program[T], on: Any) -> T:
    """Run a program of calls that are awaited."""
    answer = None
    try:
        while True:
            answer = await _awaited(program.send(answer)(on))
    except StopIteration as stop:
        result: T = stop.value
        return result
