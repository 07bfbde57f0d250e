"""The gate of MongoDB, as whoever writes there meets it: asked before a write, and again before it is acknowledged.

A write that was sent before a closing may arrive after it: a standalone MongoDB compares no gate as it writes. So what
the gate said before must still hold after the write; otherwise nobody is told that it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pymongo.errors import BulkWriteError

from syncline.capture.documents.field import under
from syncline.capture.documents.validator import is_of_gate
from syncline.errors import GateClosedError, UnknownOutcomeError, UnmarkableError


@dataclass(slots=True)
class Unit:
    """A unit of work that is run again where a gate refuses it, unless something of it is written."""

    outer: Unit | None
    writes: int = 0
    """Those that have passed a gate, and were acknowledged."""

    def passed(self) -> None:
        """Count one, in the units around this one, too."""
        self.writes += 1
        if self.outer is not None:
            self.outer.passed()


_unit: ContextVar[Unit | None] = ContextVar("syncline_unit", default=None)


@contextmanager
def one_unit() -> Iterator[Unit]:
    """Count the writes of a block."""
    token = _unit.set(made := Unit(_unit.get()))
    try:
        yield made
    finally:
        _unit.reset(token)


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


@runtime_checkable
class WaitedFor(Protocol):
    """A gate whose closing waits for writes that have passed it, a moment."""

    def writing(self, collection: str, number: int) -> AbstractContextManager[None]:
        """Have it wait for the writes of a block, which have passed it under this number."""
        ...


class GateOf:
    """The gate that phases are, if they are one: ``FixedPhases`` are not, and let everything through.

    Args:
        phases: gives them; asked with the first write, so that who only prepares does not begin to follow them.

    """

    def __init__(self, phases: Callable[[], object]) -> None:
        self._phases = phases
        self._known: object = None
        self._gate: WriteGate | None = None
        self._waited_for: WaitedFor | None = None

    def _look(self) -> None:
        """See what the phases are; once, since it takes as long as asking them."""
        phases = self._phases()
        if phases is not self._known:
            self._gate = phases if isinstance(phases, WriteGate) else None
            self._waited_for = phases if isinstance(phases, WaitedFor) else None
            self._known = phases

    def admitted(self, collection: str) -> int:
        """Give the number; see ``WriteGate.admitted``."""
        self._look()
        return self._gate.admitted(collection) if self._gate is not None else 0

    def holds(self, collection: str, number: int) -> bool:
        """Tell whether that is so still."""
        self._look()
        return self._gate.holds(collection, number) if self._gate is not None else True

    def writing(self, collection: str, number: int) -> AbstractContextManager[None]:
        """Have it wait for a block; see ``WaitedFor.writing``."""
        self._look()
        return self._waited_for.writing(collection, number) if self._waited_for is not None else nullcontext()


@dataclass(slots=True)
class Passage:
    """Writes that have passed a gate."""

    wrote: bool = True
    """Otherwise nothing is written, certainly, and what the gate says by now is of no interest."""


@contextmanager
def passing(gate: WriteGate | None, collection: str, *, many: bool = False) -> Iterator[Passage]:
    """Pass the gate for writes of one collection, those of the block.

    Args:
        gate: whom to ask; ``None``: nobody, and the collection's validator lets in whoever it lets in.
        collection: its name.
        many: one statement writes several documents: those before the one that is refused are written.

    Raises:
        GateClosedError, MovedError, PhaseUnknownError: as ``WriteGate.admitted``; nothing is written.
        UnknownOutcomeError: the gate was closed, or not heard, meanwhile: the writes may have come too late.
        UnmarkableError: there is no gate to ask, and MongoDB takes writes only of those who do.

    """
    passage = Passage()
    if gate is None:
        with _without(collection):
            yield passage
        return
    number = gate.admitted(collection)
    # A look at its type would take longer than all the rest.
    writing: Callable[[str, int], AbstractContextManager[None]] | None = getattr(gate, "writing", None)
    with writing(collection, number) if writing is not None else nullcontext():
        with under(number):
            try:
                yield passage
            except BulkWriteError as error:  # it tells what was written of many
                _require_held(gate, collection, number, error)
                raise
            except Exception as error:
                if is_of_gate(error):
                    raise _refused(collection, many=many) from error
                raise
        if passage.wrote:
            _require_held(gate, collection, number)


@contextmanager
def _without(collection: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if is_of_gate(error):
            raise UnmarkableError(
                f"the validator of {collection} takes writes only of those who ask MongoDB's gate",
                hint="give the wrapper `gate=phases` (JournalPhases); `syncline phase status` says where it is written",
            ) from error
        raise


def _refused(collection: str, *, many: bool) -> Exception:
    """Say what became of a statement that MongoDB itself has refused, since its gate was changed."""
    if many:
        return UnknownOutcomeError(
            f"{collection} has changed sides: it is not known how many documents this has written",
            hint="look what is there before it is done again",
        )
    return GateClosedError(f"{collection} is changing sides; nothing of this is written", hint="send it again")


def _require_held(gate: WriteGate, collection: str, number: int, told: Exception | None = None) -> None:
    if not gate.holds(collection, number):
        raise UnknownOutcomeError(
            f"{collection} is changing sides, or MongoDB was not heard: it is not known whether this was written",
            hint="look whether it is there before it is done again; what came too late is written over",
        ) from told
    if (unit := _unit.get()) is not None:
        unit.passed()
