"""What a repository is asked for: conditions on fields, the same on both sides. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Condition:
    """On the value of a field; a bare value is ``Equal``, ``None`` is ``Missing``."""

    __slots__: tuple[str, ...] = ()

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({given})"


class Equal(Condition):
    """The field has this value; an array of values has it among its elements."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class OneOf(Condition):
    """The field has one of these values; ``None`` among them: or it is missing, or null."""

    __slots__ = ("values",)

    def __init__(self, *values: Any) -> None:
        self.values = values


class Missing(Condition):
    """The field is missing, or null."""

    __slots__ = ()


class Not(Condition):
    """The field does not meet a condition, or a value."""

    __slots__ = ("condition",)

    def __init__(self, condition: Any) -> None:
        self.condition = as_condition(condition)


class Between(Condition):
    """The value is in a range; texts are compared by their code points, whatever the database's language is."""

    __slots__ = ("above", "at_least", "at_most", "below")

    def __init__(self, at_least: Any = None, at_most: Any = None, *, above: Any = None, below: Any = None) -> None:
        self.at_least, self.at_most, self.above, self.below = at_least, at_most, above, below

    def limits(self) -> dict[str, Any]:
        """Give the limits that are set, by their comparison."""
        limits = {">=": self.at_least, "<=": self.at_most, ">": self.above, "<": self.below}
        return {comparison: value for comparison, value in limits.items() if value is not None}


class Contains(Condition):
    """The text has this one in it; not a regular expression. ``ignore_case`` is about the letters A to Z."""

    __slots__ = ("ignore_case", "text")

    def __init__(self, text: str, *, ignore_case: bool = False) -> None:
        self.text, self.ignore_case = text, ignore_case


class StartsWith(Condition):
    """The text begins with this one."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


Where = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
"""Conditions by path, all of which hold; of several such mappings at least one holds."""


def as_condition(given: Any) -> Condition:
    """Read what stands beside a path."""
    if isinstance(given, Condition):
        return given
    return Missing() if given is None else Equal(given)


def alternatives(where: Where) -> list[dict[str, Condition]]:
    """Give the alternatives of which one has to hold; one without conditions always does."""
    given = [where or {}] if where is None or isinstance(where, Mapping) else list(where)
    return [{path: as_condition(one) for path, one in each.items()} for each in given]
