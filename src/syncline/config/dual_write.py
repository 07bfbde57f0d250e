"""The settings of dual writes, which come from the environment alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from syncline.errors import ConfigError
from syncline.model.retries import Retries

T = TypeVar("T")
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


@dataclass(frozen=True, slots=True)
class DualWriteSettings:
    """How a process writes both sides."""

    enabled: bool | None = None
    """The phase of collections that have none yet: dual_write, or off; ``None``: nobody says, and they are in off."""
    retries: Retries = field(default_factory=Retries)
    """Of what PostgreSQL does not take."""
    deadline: timedelta = timedelta(milliseconds=250)
    """How long a call waits for PostgreSQL; 0: it does not, and the worker writes it."""
    sessions: int = 2
    """With PostgreSQL, for all calls of the process."""

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> DualWriteSettings:
        """Read ``DUAL_WRITE_ENABLED``, ``_RETRY_ATTEMPTS``, ``_RETRY_DELAY``, ``_DEADLINE`` and ``_SESSIONS``.

        Raises:
            ConfigError: a value is not allowed.

        """
        without = cls()
        delay = _read(env, "RETRY_DELAY", _seconds, without.retries.delay)
        return cls(
            enabled=enabled(env),
            retries=Retries(_read(env, "RETRY_ATTEMPTS", _count, without.retries.attempts or 1), delay),
            deadline=_read(env, "DEADLINE", _seconds, without.deadline),
            sessions=_read(env, "SESSIONS", _count, without.sessions),
        )


def enabled(env: Mapping[str, str]) -> bool | None:
    """Read ``DUAL_WRITE_ENABLED``; ``None``: it is not set.

    Raises:
        ConfigError: it says neither yes nor no.

    """
    return _read(env, "ENABLED", _switch, None)


def _read(env: Mapping[str, str], name: str, read: Callable[[str], T], without: T) -> T:
    variable = f"DUAL_WRITE_{name}"
    given = env.get(variable, "").strip()
    if not given:
        return without
    try:
        return read(given)
    except ValueError as error:
        raise ConfigError(f"{variable}={given}: {error}", hint=f"correct {variable}, or take it out") from None


def _switch(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f"one of {', '.join((*_TRUE, *_FALSE))} is expected")


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1000:
        raise ValueError("a whole number from 1 to 1000 is expected")
    return int(text)


def _seconds(text: str) -> timedelta:
    number = text.removesuffix("s").strip()
    try:
        seconds = float(number)
    except ValueError:
        raise ValueError("a number of seconds is expected") from None
    if not 0 <= seconds <= 86_400:
        raise ValueError("from 0 to 86400 seconds are expected")
    return timedelta(seconds=seconds)
