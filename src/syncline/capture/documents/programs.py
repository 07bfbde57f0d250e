"""Programs: what is asked of a collection, step by step, whether its methods are awaited or not.

A program is a generator: it yields calls, is sent their results, or has their errors thrown into it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A method of the bare collection, and what it is given."""

    method: str
    args: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)


Program = Generator[Call, Any, T]


def run(collection: Any, program: Program[T]) -> T:
    """Run a program on a ``Collection``."""
    step = _Step(program)
    while (call := step.call) is not None:
        try:
            result = getattr(collection, call.method)(*call.args, **call.options)
        except Exception as error:  # noqa: BLE001  the program judges
            step.fail(error)
        else:
            step.go_on(result)
    return step.result


async def arun(collection: Any, program: Program[T]) -> T:
    """Run a program on an ``AsyncCollection``."""
    step = _Step(program)
    while (call := step.call) is not None:
        try:
            result = await getattr(collection, call.method)(*call.args, **call.options)
        except Exception as error:  # noqa: BLE001  the program judges
            step.fail(error)
        else:
            step.go_on(result)
    return step.result


class _Step(Generic[T]):
    """Where a program stands."""

    call: Call | None
    result: T

    def __init__(self, program: Program[T]) -> None:
        self._program = program
        self.go_on(None)

    def go_on(self, result: Any) -> None:
        self._take(lambda: self._program.send(result))

    def fail(self, error: Exception) -> None:
        self._take(lambda: self._program.throw(error))

    def _take(self, following: Any) -> None:
        try:
            self.call = following()
        except StopIteration as stop:
            self.call, self.result = None, stop.value
