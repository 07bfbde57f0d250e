"""Those who read a collection, as a switch has them: told by the phases, waited for by their leases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from syncline.errors import NamedDatabaseUnavailableError, SourceError, SynclineError, TargetError
from syncline.phases.changing import Control
from syncline.phases.phase import Phase
from syncline.phases.standing import Place
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB
from syncline.phases.switching.sides import POSTGRESQL, asked


class PhaseReaders:
    """Implements ``split.switching.ports.Readers``: which side is read is the phase, ``live`` or ``ramp``."""

    def __init__(self, collection: str, control: Control, gates: GatesInMongoDB) -> None:
        self._collection, self._control, self._gates = collection, control, gates
        self._number = 0
        self._journal: asyncio.Task[None] | None = None

    async def announce(self, side: str, number: int) -> None:
        """Have the collection in the phase in which this side is read; see ``Readers.announce``.

        Processes learn of it from MongoDB, and PostgreSQL gets it meanwhile: nobody is behind no more before it has it.
        """
        await self.aclose()
        phase = Phase.LIVE if side == POSTGRESQL else Phase.RAMP
        self._number = await asked(lambda: self._announced(phase, number))
        self._journal = asyncio.create_task(asked(self._journaled))

    def _announced(self, phase: Phase, number: int) -> int:
        with _translated():
            known = self._control.postgresql.read()
            return self._gates.announce(self._collection, phase, number, known).number

    def _journaled(self) -> None:
        with _translated():
            self._control.journal()

    async def behind(self) -> Sequence[str]:
        """Name the processes that may still go by an earlier change, by either database."""
        if found := await asked(lambda: self._earlier(self._control.mongodb)):
            return found
        if self._journal is not None:
            await asyncio.wait({self._journal})  # it is not to be cancelled: its session would be used by two
            self._journal.result()
        return await asked(lambda: self._earlier(self._control.postgresql))

    def _earlier(self, place: Place) -> Sequence[str]:
        try:
            return sorted({one.name for one in place.processes() if one.number < self._number})
        except SynclineError as error:
            raise NamedDatabaseUnavailableError(error.message, hint=error.hint) from error

    async def aclose(self) -> None:
        """Wait for the journal, if that is still being written."""
        if self._journal is not None:
            await asyncio.wait({self._journal})
            with suppress(SynclineError):
                self._journal.result()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (TargetError, SourceError) as error:
        raise NamedDatabaseUnavailableError(error.message, hint=error.hint) from error
