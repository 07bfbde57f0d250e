"""Those who read a collection, as a switch has them: told by the phases, waited for by their leases."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.errors import NamedDatabaseUnavailableError, SourceError, SynclineError, TargetError
from syncline.phases.changing import Control
from syncline.phases.phase import Phase
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB
from syncline.phases.switching.sides import POSTGRESQL, asked


class PhaseReaders:
    """Implements ``split.switching.ports.Readers``: which side is read is the phase, ``live`` or ``ramp``."""

    def __init__(self, collection: str, control: Control, gates: GatesInMongoDB) -> None:
        self._collection, self._control, self._gates = collection, control, gates
        self._number = 0

    async def announce(self, side: str, number: int) -> None:
        """Have the collection in the phase in which this side is read; see ``Readers.announce``."""
        phase = Phase.LIVE if side == POSTGRESQL else Phase.RAMP
        self._number = await asked(lambda: self._announced(phase, number))

    def _announced(self, phase: Phase, number: int) -> int:
        try:
            known = self._control.postgresql.read()
            standing = self._gates.announce(self._collection, phase, number, known)
            self._control.journal()
        except (TargetError, SourceError) as error:
            raise NamedDatabaseUnavailableError(error.message, hint=error.hint) from error
        return standing.number

    async def behind(self) -> Sequence[str]:
        """Name the processes that may still go by an earlier change, by either database."""
        return await asked(self._behind)

    def _behind(self) -> Sequence[str]:
        found = [self._control.mongodb.processes()]
        try:
            found.append(self._control.postgresql.processes())
        except SynclineError as error:
            raise NamedDatabaseUnavailableError(error.message, hint=error.hint) from error
        return sorted({one.name for listed in found for one in listed if one.number < self._number})
