"""Parameters by their place, as PyMongo's methods take them: those that are passed on have names only."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Any, TypeVar, cast

from pymongo.synchronous.collection import Collection

F = TypeVar("F", bound=Callable[..., Any])


def by_place(method: F) -> F:
    """Let a method be given by place what PyMongo's of the same name is given so."""
    parameters = [*signature(getattr(Collection, method.__name__)).parameters.values()][1:]
    names = [one.name for one in parameters if one.kind is Parameter.POSITIONAL_OR_KEYWORD]

    @wraps(method)
    def given(self: Any, *args: Any, **options: Any) -> Any:
        if len(args) > len(names):
            raise TypeError(f"{method.__name__}() takes {len(names)} parameters by place, and {len(args)} were given")
        return method(self, **dict(zip(names, args, strict=False)), **options)

    return cast(F, given)
