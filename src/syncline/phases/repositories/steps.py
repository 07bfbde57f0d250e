"""Steps that are the same whether a driver's calls are awaited or not.

A program is a generator: it yields functions of a collection or a connection, and is sent what they return.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from inspect import isawaitable
from typing import Any, TypeVar

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


async def arun(program: Program[T], on: Any) -> T:
    """Run a program of calls that are awaited."""
    answer = None
    try:
        while True:
            answer = program.send(answer)(on)
            if isawaitable(answer):
                answer = await answer
    except StopIteration as stop:
        result: T = stop.value
        return result
