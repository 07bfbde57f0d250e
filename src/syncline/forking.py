"""What a process that was forked does anew before anything else runs in it: of its parent's threads none is there."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable

_LOG = logging.getLogger("syncline.forking")
_after: set[weakref.WeakMethod[Callable[[], None]]] = set()
_parents: list[object] = []


def after_fork(method: Callable[[], None]) -> None:
    """Have a method called in each process that is forked, as long as its object is there."""
    _after.add(weakref.WeakMethod(method, _after.discard))


def leave_to_parent(thing: object) -> None:
    """Keep what only the parent may close: at its end a session says so to the server, on the connection of both."""
    _parents.append(thing)


def _forked() -> None:
    for one in list(_after):
        if (method := one()) is not None:
            try:
                method()
            except Exception:  # noqa: BLE001  the others have theirs to do
                _LOG.exception("in a forked process %s failed", method.__qualname__)


os.register_at_fork(after_in_child=_forked)
