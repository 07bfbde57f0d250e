"""Our field in a document: ``_sync {v, mark, deleted, log, c, t}``.

``v`` is the version: a pipeline draws max(v + 1, the server's clock in ms), operators add 1. A version below ``FLOOR``
was not drawn from a clock: who takes the mark to the other side draws it first. ``mark`` is new with every write, and
there while the other side may lack it. A tombstone has ``deleted``, until the other side has deleted too (and longer,
without a mark, where the way back might still insert its document). ``log`` has updates that are not in the audit log
yet, each written by its own update; whoever replaces our field as a whole keeps it. ``c`` is the
number of MongoDB's gate under which it was written, once there is one, and ``t`` the ticket of the way back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from bson import Int64, ObjectId

from syncline.errors import UnmarkableError

FIELD = "_sync"
VERSION, MARK, DELETED, LOG = "_sync.v", "_sync.mark", "_sync.deleted", "_sync.log"
NUMBER, TICKET = "_sync.c", "_sync.t"
FLOOR = 1 << 40
"""Of versions that a clock gave: it showed this in the year 2004."""
LIVE: Mapping[str, Any] = {DELETED: {"$exists": False}}
TOMBSTONE: Mapping[str, Any] = {DELETED: True}
IS_LIVE: Mapping[str, Any] = {"$eq": [{"$type": f"${DELETED}"}, "missing"]}
"""``LIVE`` as an expression."""
DRAWN: Mapping[str, Any] = {"$max": [{"$add": [{"$ifNull": [f"${VERSION}", 0]}, 1]}, {"$toLong": "$$NOW"}]}
"""The next version, in a pipeline."""
LOGGED = {"log": f"${LOG}"}
"""What is kept of our field where a pipeline replaces it; without it, nothing."""

_number: ContextVar[int] = ContextVar("number of the gate", default=0)


@contextmanager
def under(number: int) -> Iterator[None]:
    """Have what is written in a block, by this task or thread, say under which number of the gate; 0: there is none."""
    token = _number.set(number)
    try:
        yield
    finally:
        _number.reset(token)


def numbered() -> dict[str, Any]:
    """Give the number as a field beside the others."""
    return {"c": Int64(number)} if (number := _number.get()) else {}


def drawn(*, deleted: bool = False, mark: ObjectId | None = None) -> dict[str, Any]:
    """Give our field as an expression in a pipeline, with a mark that nobody has had; by default a new one."""
    return {"v": DRAWN, "mark": mark or ObjectId(), **numbered()} | ({"deleted": True} if deleted else {})


def undrawn() -> dict[str, Any]:
    """Give our field of a document that is inserted as it is: no clock but the server's is asked for a version."""
    return {"v": 0, "mark": ObjectId(), **numbered()}


def is_ours(path: object) -> bool:
    """Tell whether a field, or what a path leads to, is ours."""
    return isinstance(path, str) and (path == FIELD or path.startswith(FIELD + "."))


def refuse_ours(path: object) -> None:
    """Keep our field for ourselves.

    Raises:
        UnmarkableError: the field is ours.

    """
    if is_ours(path):
        raise UnmarkableError(f"the field {FIELD} is Syncline's", hint="give your own field another name")
