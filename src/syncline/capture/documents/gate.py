"""The gate of MongoDB, as whoever writes there meets it: asked before a write, and again before it is acknowledged.

A write that was sent before a closing may arrive after it: a standalone MongoDB compares no gate as it writes. So what
the gate said before must still hold after the write; otherwise nobody is told that it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from syncline.capture.documents.field import under
from syncline.errors import UnknownOutcomeError


@runtime_checkable
class WriteGate(Protocol):
    """Says who may write a collection; it asks no server: the answers are kept, as long as a lease."""

    def admitted(self, collection: str) -> int:
        """Give the number under which a collection may be written now; 0: it has no gate yet.

        Raises:
            GateClosedError: nobody may, for a moment.
            MovedError: it is written in PostgreSQL.
            PhaseUnknownError: the gate was not heard for too long.

        """
        ...

    def holds(self, collection: str, number: int) -> bool:
        """Tell whether that is so still."""
        ...


class GateOf:
    """The gate that phases are, if they are one: ``FixedPhases`` are none, and let everything through.

    Args:
        phases: gives them; asked with the first write, so that who only prepares does not begin to follow them.

    """

    def __init__(self, phases: Callable[[], object]) -> None:
        self._phases = phases

    def admitted(self, collection: str) -> int:
        """Give the number; see ``WriteGate.admitted``."""
        phases = self._phases()
        return phases.admitted(collection) if isinstance(phases, WriteGate) else 0

    def holds(self, collection: str, number: int) -> bool:
        """Tell whether that is so still."""
        phases = self._phases()
        return phases.holds(collection, number) if isinstance(phases, WriteGate) else True


@contextmanager
def passing(gate: WriteGate | None, collection: str) -> Iterator[None]:
    """Pass the gate for writes of one collection, those of the block.

    Raises:
        GateClosedError, MovedError, PhaseUnknownError: as ``WriteGate.admitted``; nothing is written.
        UnknownOutcomeError: the gate was closed, or not heard, meanwhile: the writes may have come too late.

    """
    if gate is None:
        yield
        return
    number = gate.admitted(collection)
    with under(number):
        yield
    if not gate.holds(collection, number):
        raise UnknownOutcomeError(
            f"{collection} is changing sides, or MongoDB was not heard: it is not known whether this was written",
            hint="look whether it is there before it is done again; what came too late is written over",
        )
