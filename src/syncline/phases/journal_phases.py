"""The phases as the journal says them, kept in the process: nobody who reads or writes waits for a server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from syncline.clock import boottime
from syncline.engines.mongo.gates import APPLICATION as OPEN
from syncline.engines.mongo.gates import LINK as GIVEN_TO_LINK
from syncline.engines.mongo.gates import Gate
from syncline.errors import GateClosedError, MovedError, PhaseError, PhaseUnknownError, SynclineError
from syncline.forking import after_fork
from syncline.phases.enabled import default_phase, see_that_agreed, see_that_enabled
from syncline.phases.epoch import HOLD_SECONDS, Epochs
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.in_postgresql import InPostgreSQL
from syncline.phases.pace import Pace
from syncline.phases.phase import Phase, reads_by
from syncline.phases.shadow.report import Report
from syncline.phases.standing import Place, Standing, Standings, highest
from syncline.phases.under_way import UnderWay

LEASE = timedelta(seconds=3)
MONGODB, POSTGRESQL = "MongoDB", "PostgreSQL"
_LOG = logging.getLogger("syncline.phases")
_SURE = 0.8
"""Of its lease a process uses so much: its clock may run slower than the server's."""
_WAIT_SECONDS = 0.25
_START_SECONDS = 10.0


class JournalPhases:
    """What says how far each collection has come, for an application with or without asyncio.

    A thread for each database looks every quarter of a lease; where they say different things, the higher number is
    right. What is known holds as long as the lease from the database that has the truth: MongoDB up to ``ramp``,
    PostgreSQL from ``live`` on. So PostgreSQL may be away before ``live``.

    Args:
        mongodb: the MongoDB, or its URL.
        postgresql: the PostgreSQL, or its URL.
        lease: how long what is known may be gone by without asking again.
        default: the phase of collections that nobody has changed yet; ``DUAL_WRITE_ENABLED`` says it otherwise.
        report: what shadow reads came to; it is brought to the journal.
        env: the environment.

    """

    def __init__(
        self,
        mongodb: Place | str,
        postgresql: Place | str,
        *,
        lease: timedelta = LEASE,
        default: Phase | None = None,
        report: Report | None = None,
        env: Mapping[str, str] = os.environ,
    ) -> None:
        self._places: dict[str, Place] = {
            MONGODB: InMongoDB(mongodb) if isinstance(mongodb, str) else mongodb,
            POSTGRESQL: InPostgreSQL(postgresql) if isinstance(postgresql, str) else postgresql,
        }
        self._lease, self._env, self._report = lease.total_seconds(), env, report
        self._default = Standing(default_phase(env) if default is None else default)
        self._said: dict[str, Standings] = {}
        self._known: Mapping[str, Standing] = {}
        self._gates: Mapping[str, Gate] = {}
        self._threads: list[threading.Thread] = []
        self._is_forked = False
        self._fresh()
        after_fork(self._forked)

    def _fresh(self) -> None:
        self.process = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._until: dict[str, float] = {}  # by ``boottime``: a lease runs out while the machine sleeps, too
        self._errors: dict[str, str] = {}
        self._declared: int | None = None
        self._agreed = False
        self._refused: PhaseError | None = None
        self._under_way = UnderWay()
        self._epochs = Epochs()
        self._epochs.learn(self._known)
        self._turned = threading.Condition()
        self._beginning = threading.Lock()
        self._stop = threading.Event()
        self._pace = Pace(self._places, self._lease / 4)

    def _forked(self) -> None:
        """Know nothing until the first question: the threads, and the lease, are the parent's."""
        self._is_forked = self._is_forked or bool(self._threads)
        self._threads = []
        self._fresh()

    # -- asked by whoever reads and writes

    def of(self, collection: str) -> Phase:
        """Give the phase of a collection.

        Raises:
            PhaseUnknownError: the database that has the truth was not heard for too long.

        """
        return self._standing_of_request(collection).phase

    def reads_postgresql(self, collection: str, key: str) -> bool:
        """Tell whether a read is PostgreSQL's.

        Raises:
            PhaseUnknownError: the database that has the truth was not heard for too long.

        """
        standing = self._standing_of_request(collection)
        return reads_by(standing.phase, standing.percent, key)

    def percent(self, collection: str) -> float:
        """Give the percentage of a ramp."""
        return self._standing_of_request(collection).percent

    def _standing_of_request(self, collection: str) -> Standing:
        return self._epochs.standing(collection, self._standing(collection), self._default)

    def _standing(self, collection: str) -> Standing:
        standing = self._known.get(collection, self._default)
        if boottime() < self._until.get(_authority(standing), 0.0):
            return standing
        return self._waited(collection)

    def admitted(self, collection: str) -> int:
        """Give the number under which a collection may be written in MongoDB now; 0: it has no gate yet.

        Raises:
            GateClosedError: nobody may write, for a moment.
            MovedError: PostgreSQL is written.
            PhaseUnknownError: the database that has the truth was not heard for too long.

        """
        standing, gate = self._standing(collection), self._gates.get(collection)
        if standing.phase.postgresql_is_truth or (gate and gate.mode == GIVEN_TO_LINK):
            raise MovedError(f"{collection} is written in PostgreSQL: it is in {standing}")
        if gate and gate.mode != OPEN:
            raise GateClosedError(f"{collection} is changing sides", hint="do it again, in a moment, reads included")
        return gate.opened if gate else 0

    def holds(self, collection: str, number: int) -> bool:
        """Tell whether a collection may still be written under this number: asked before a write is acknowledged."""
        until, gate = self._until.get(MONGODB, 0.0), self._gates.get(collection)  # in this order: see _learn
        open_ = (gate.mode == OPEN and gate.opened == number) if gate else not number
        return boottime() < until if open_ else self._under_way.holds(collection, number)

    def writing(self, collection: str, number: int) -> AbstractContextManager[None]:
        """Have a closing wait for the writes of a block, a moment."""
        return self._under_way.writing(collection, number)

    def _waited(self, collection: str) -> Standing:
        """Wait a moment: a process that was frozen hears of the phases again at once."""
        if self._is_forked:
            self._follow_anew()
        ends = time.monotonic() + _WAIT_SECONDS
        with self._turned:
            while (left := ends - time.monotonic()) > 0:
                standing = self._known.get(collection, self._default)
                if boottime() < self._until.get(_authority(standing), 0.0):
                    return standing
                self._turned.wait(left)
        where = _authority(self._known.get(collection, self._default))
        why = self._errors.get(where) or ("it is not started" if not self._threads else "no answer yet")
        raise PhaseUnknownError(f"the phase of {collection} is not known: {where} was not heard: {why}")

    # -- beginning and end

    def start(self) -> Self:
        """Read the phases, and begin to follow them.

        Raises:
            PhaseError: ``DUAL_WRITE_ENABLED`` says no, and a collection is written to PostgreSQL; or it says of new
                collections what the first process did not say.
            PhaseUnknownError: no database answers.

        """
        self._is_forked = False
        self._begin()
        try:
            self._heard()
            see_that_enabled(self._known, self._env)
        except PhaseError:
            self.close()
            raise
        return self

    def _begin(self) -> None:
        self._stop.clear()
        self._threads = [
            threading.Thread(target=self._follow, args=(name,), name=f"syncline-phases-{name}", daemon=True)
            for name in self._places
        ]
        for thread in self._threads:
            thread.start()

    def _follow_anew(self) -> None:
        """Follow the phases in a forked process under a name of its own."""
        with self._beginning:
            if not self._is_forked:
                return
            self._begin()
            try:
                with contextlib.suppress(PhaseUnknownError):
                    self._heard()
            except PhaseError:
                self.close()
                self._is_forked = True  # the next question is refused likewise
                raise
            self._is_forked = False

    def _heard(self) -> None:
        with self._turned:
            done = self._turned.wait_for(
                lambda: MONGODB in self._until or len(self._until | self._errors) == len(self._places), _START_SECONDS
            )
            if self._refused is not None:
                raise self._refused
            if not (done and self._until):
                raise PhaseUnknownError("; ".join(self._errors.values()) or "no database answers")

    def close(self) -> None:
        """Follow no more, and say so where that is heard."""
        self._is_forked = False
        self._stop.set()
        self._pace.wake()
        threads, self._threads = self._threads, []
        for thread in threads:
            thread.join(timeout=5)
        self._until = {}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    # -- the threads

    def _follow(self, name: str) -> None:
        place, noted = self._places[name], _Noted()
        while not self._stop.is_set():
            try:
                self._turn(name, place, noted)
            except SynclineError as error:
                self._failed(name, error.message)
            except Exception as error:  # noqa: BLE001  a thread that ended would be silent; what it was is said
                self._failed(name, f"{type(error).__name__}: {error}")
                _LOG.exception("the phases in %s cannot be read", name)
            # What changes is first in MongoDB: to ask PostgreSQL often would bring nothing but work.
            self._pace.rest(name, idle=name != MONGODB and noted.number >= self._newest)
        self._until.pop(name, None)  # first: who changes a gate waits for nobody who has left
        try:
            place.leave(self.process)
        except SynclineError:
            pass
        finally:
            place.close()

    @property
    def _newest(self) -> int:
        return max((one.number for one in self._known.values()), default=0)

    def _turn(self, name: str, place: Place, noted: _Noted) -> None:
        """Note the lease, *then* read: who changes a phase after the read finds the lease."""
        if name != MONGODB:
            noted.number = self._acknowledged(noted)  # learned from MongoDB
        while True:
            began = boottime()
            self._agree(place)
            _beat(place, self.process, self._lease, noted)
            found, gates = _read(place)
            self._learn(name, found, began + self._lease * _SURE, gates)
            gate = max((one.change for one in (gates or {}).values()), default=0)
            number = self._acknowledged(noted)
            if number <= noted.number and gate <= noted.gate:
                break
            if name == MONGODB:
                self._under_way.let_end()
            noted.number, noted.gate = number, gate  # at once: somebody may wait for it
        if isinstance(place, InPostgreSQL) and self._report is not None:
            self._bring(place, self._report, max((one.number for one in self._said[name].values()), default=0))

    def _acknowledged(self, noted: _Noted) -> int:
        """Give the newest change that every request goes by; look again soon where one goes by an earlier one."""
        newest = self._newest
        if (number := self._epochs.known(newest)) < newest:
            self._pace.hurry(HOLD_SECONDS)
        return max(number, noted.number)

    def _agree(self, place: Place) -> None:
        """See once that all processes think the same of new collections: nothing is known until then."""
        if self._agreed or not isinstance(place, InMongoDB):
            return
        try:
            see_that_agreed(self._default.phase, place.agree(self._default.phase))
        except PhaseError as error:
            self._refused = error
            raise
        self._agreed, self._refused = True, None

    def _learn(self, name: str, found: Standings, until: float, gates: Mapping[str, Gate] | None = None) -> None:
        """Keep what was read, and only then how long it holds: ``holds`` reads them the other way round."""
        with self._turned:
            if gates is not None:
                self._under_way.heard(self._gates, gates, self._until.get(name, 0.0))
                self._gates = gates
                self._pace.heard(gates)
            if self._errors.pop(name, None):
                _LOG.info("the phases are read from %s again", name)
            self._said[name] = found
            before, self._known = self._known, highest(self._said.values())
            self._epochs.learn(self._known)
            if self._known != before:
                self._pace.wake(but=name)
            self._until[name] = until
            self._turned.notify_all()
        for collection, standing in self._known.items():
            if standing != before.get(collection):
                _LOG.info("%s is in phase %s, change %d", collection, standing, standing.number)

    def _failed(self, name: str, why: str) -> None:
        with self._turned:
            if self._errors.get(name) != why:
                _LOG.warning("the phases cannot be read from %s: %s", name, why)
            self._errors[name] = why
            self._turned.notify_all()

    def _bring(self, place: InPostgreSQL, report: Report, number: int) -> None:
        """Bring what was counted; counts are of a phase, and so each change has the methods declared anew."""
        counts = report.take(declared=number != self._declared)
        try:
            place.shadowed(counts, report.declarations)
        except BaseException:
            report.give_back(counts)
            raise
        self._declared = number
        queries = report.take_queries()
        try:
            place.asked(queries)
        except BaseException:
            report.give_back_queries(queries)
            raise


@dataclass(slots=True)
class _Noted:
    """What a process has noted in a place."""

    number: int = 0
    gate: int = 0


def _beat(place: Place, process: str, lease: float, noted: _Noted) -> None:
    if isinstance(place, InMongoDB):
        place.beat(process, noted.number, lease, gate=noted.gate)
    else:
        place.beat(process, noted.number, lease)


def _read(place: Place) -> tuple[Standings, Mapping[str, Gate] | None]:
    """Read the phases, and the gates where the place has them."""
    return place.read_all() if isinstance(place, InMongoDB) else (place.read(), None)


def _authority(standing: Standing) -> str:
    return POSTGRESQL if standing.phase.postgresql_is_truth else MONGODB
