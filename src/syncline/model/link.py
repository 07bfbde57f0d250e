"""A link: one direction of a synchronisation, with a schema of its own in the source's database.

A file with one link gives it no name. Several live in one database, or a way and its way back: each has a name, and
what it makes carries the name, so that none meets another one's tables, triggers, locks and channels. Which link some
work is for is a context variable: whoever opens a source for a link enters it, tasks inherit it, and every statement
that speaks of our tables gets the schema from there (``syncline.postgres.sql``).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from syncline.errors import ConfigError

_BASE = "syncline"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*")
LONGEST = 24
"""Characters of a name: names of triggers hold it and more, in 63 bytes."""
RESERVED = frozenset({"syncline", "target", "sessions", "gate", "ddl", "documents", "rehearsal", "audit"})
"""How names cannot begin: they would meet schemas or names of ours that are no link's."""
_WAKE = 1398361667
_ABOVE_OURS = 0x100
"""Lock numbers below are given out by hand: 1 wakes the worker, 2 takes turns at installing, 3 at migrating."""


@dataclass(frozen=True, slots=True)
class Link:
    """Which link it is, and how what it makes is called."""

    name: str = ""
    """Empty: the only one of its file."""
    reverse: str | None = None
    """The link that goes back: the capture of this one passes over what that one writes."""

    @property
    def schema(self) -> str:
        """The schema of its tables in the source's database."""
        return f"{_BASE}_{self.name}" if self.name else _BASE

    @property
    def channel(self) -> str:
        """The channel by which writers wake its workers."""
        return self.schema

    @property
    def tag(self) -> str:
        """What its transactions in an SQL target say as ``syncline.link``."""
        return self.name or _BASE

    @property
    def wake_lock(self) -> tuple[int, int]:
        """The advisory lock of its idle worker.

        Should two names come to one number, an idle worker of the one makes the other's poll: slower, never wrong.
        """
        return _WAKE, (zlib.crc32(self.name.encode()) & 0x7FFFFFFF) | _ABOVE_OURS if self.name else 1

    @property
    def trigger_prefix(self) -> str:
        """What the names of its triggers begin with."""
        return f"{self.schema}_"

    @property
    def control_collection(self) -> str:
        """The collection of its records in MongoDB, unless the settings name another."""
        return f"_{self.schema}"

    @property
    def control_schema(self) -> str:
        """The schema of its records in an SQL target, unless the settings name another."""
        return f"{_BASE}_target_{self.name}" if self.name else f"{_BASE}_target"

    @property
    def view_name(self) -> str:
        """The view of its changes for people, unless the settings name another."""
        return f"Outbox_{self.name}" if self.name else "Outbox"

    def __str__(self) -> str:
        return f"link {self.name}" if self.name else "the link without a name"


UNNAMED = Link()
_current: ContextVar[Link] = ContextVar("link", default=UNNAMED)


def current() -> Link:
    """Tell which link the work at hand is for."""
    return _current.get()


def enter(link: Link) -> None:
    """Work for this link from here on, in this task and those that it makes."""
    _current.set(link)


@contextmanager
def entered(link: Link) -> Iterator[None]:
    """Work for this link within a block."""
    before = _current.get()
    _current.set(link)
    try:
        yield
    finally:
        _current.set(before)  # no reset by token: a generator may be closed in another context


def problem_of(name: str) -> str | None:
    """Say what is wrong with a link's name; ``None``: nothing."""
    if name.partition("_")[0] in RESERVED:
        return f"{name!r} cannot name a link: what Syncline calls its other schemas begins so"
    if _NAME.fullmatch(name) is None or len(name) > LONGEST:
        return f"{name!r} cannot name a link"
    return None


def link_called(name: str) -> Link:
    """Give the link that an application names; empty: the one without a name.

    Raises:
        ConfigError: no link can be called so.

    """
    if name and (what := problem_of(name)):
        raise ConfigError(what, hint="name it as [links.NAME] of the configuration does")
    return Link(name)
