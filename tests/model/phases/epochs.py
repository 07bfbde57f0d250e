"""The reads of a request by one phase (``one_epoch``), while an operator changes it: a process with a lease, a request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.search import Told

OFF, DUAL_WRITE, RAMP, LIVE = range(4)
PHASES = ("off", "dual_write", "ramp", "live")
ALIKE = (DUAL_WRITE, RAMP)
"""MongoDB is the truth, and both sides are written."""
NOBODY, RUNS, OVER = "", "runs", "over"
"""How far the moment is for which a change waits for a request: none has come, it runs, it is over."""


@dataclass(frozen=True, kw_only=True)
class EpochScope:
    """One exploration. The defaults are the design."""

    about: str = ""
    changes: int = 3
    begins: int = DUAL_WRITE
    keeps: str = "alike"
    """When a request goes by its first phase: alike: that one and the present one differ by who is read alone; then: that one
    is such a phase, whatever the present one is; always."""
    acknowledges: str = "when requests do"
    """A process acknowledges a change: when requests do; at once."""
    bounded: bool = True
    """A change waits for a request for a moment at most."""
    endless: bool = False
    """The request does not end."""
    livelocks: bool = True
    limit: int = 1_500_000


class Request(NamedTuple):
    """What it goes by; -1: it has not asked yet."""

    phase: int = -1
    number: int = 0
    moment: str = NOBODY
    went: int = -1
    """Ghost: by what its last read went, while nothing came that allows another one."""


class State(NamedTuple):
    """Everything."""

    phase: int
    number: int
    before: int
    """The phase before; the present one, where the change is in effect."""
    acknowledged: bool
    """Ghost: it is in effect because the process says that it goes by it."""
    known: int
    known_number: int
    noted: int
    """Which change the process has said that it goes by."""
    lease: bool
    request: Request | None
    changes: int
    broken: str = ""


Action = Iterator[tuple[Told, State]]


class EpochWorld:
    """A scope, as something to search."""

    def __init__(self, scope: EpochScope) -> None:
        self.limit, self.livelocks = scope.limit, scope.livelocks
        self._scope = scope

    def first(self) -> State:
        """The process knows the phase, and has said so."""
        begins = self._scope.begins
        return State(begins, 0, begins, True, begins, 0, 0, True, None, self._scope.changes)

    def normal(self, state: State) -> State:
        """What was broken was seen."""
        return state._replace(broken="")

    def steps(self, state: State) -> Action:
        """Let everybody do whatever may come next."""
        yield from self._operator(state)
        yield from self._process(state)
        yield from self._requests(state)

    def _operator(self, state: State) -> Action:
        """Change the phase by a step, when the change before is in effect."""
        if state.before == state.phase:
            for phase in (state.phase - 1, state.phase + 1):
                if state.changes and OFF <= phase <= LIVE:
                    after = state._replace(phase=phase, number=state.number + 1, changes=state.changes - 1)
                    yield ("the operator goes to {}", PHASES[phase]), after
        elif state.noted >= state.number or not state.lease:
            acknowledged = state.noted >= state.number
            yield ("the change is in effect",), state._replace(before=state.phase, acknowledged=acknowledged)

    def _process(self, state: State) -> Action:
        if state.lease:
            yield ("the lease runs out",), state._replace(lease=False)
        noted = max(state.noted, self._goes_by(state))
        if noted != state.noted:
            yield ("the process says that it goes by change {}", noted), state._replace(noted=noted)
        if not state.lease or state.known_number != state.number:
            yield ("the process learns of {}", PHASES[state.phase]), self._learned(state)

    def _goes_by(self, state: State) -> int:
        request = state.request
        if request is None or request.moment != RUNS or self._scope.acknowledges == "at once":
            return state.known_number
        return min(state.known_number, request.number)

    def _learned(self, state: State) -> State:
        request = state.request
        if request is not None and request.phase >= 0:
            alike = request.phase in ALIKE and state.phase in ALIKE
            if request.moment == NOBODY and alike and request.phase != state.phase:
                request = request._replace(moment=RUNS)
            if not alike or request.went not in ALIKE:
                request = request._replace(went=-1)
        return state._replace(known=state.phase, known_number=state.number, lease=True, request=request)

    def _requests(self, state: State) -> Action:
        request = state.request
        if request is None:
            yield ("a request begins",), state._replace(request=Request())
            return
        if not self._scope.endless:
            yield ("the request ends",), state._replace(request=None)
        if request.moment == RUNS and self._scope.bounded:
            yield ("the moment is over",), state._replace(request=request._replace(moment=OVER, went=-1))
        if state.lease:
            yield self._read(state, request)

    def _read(self, state: State, request: Request) -> tuple[Told, State]:
        if request.phase < 0:
            request = request._replace(phase=state.known, number=state.known_number)
        phase = request.phase if self._keeps(request, state.known) else state.known
        broken = _wrong(state, phase)
        if not broken and request.went >= 0 and phase != request.went:
            broken = "the reads of a request go by two phases, and nothing forced them to"
        told = ("it reads by {}", PHASES[phase])
        went = -1 if request.moment == OVER else phase
        return told, state._replace(request=request._replace(went=went), broken=broken)

    def _keeps(self, request: Request, known: int) -> bool:
        if request.moment == OVER:
            return False
        if self._scope.keeps == "always":
            return True
        return request.phase in ALIKE and (known in ALIKE or self._scope.keeps == "then")

    def violation(self, _: State, after: State) -> str:
        """Say what a step has broken."""
        return after.broken

    def at_rest(self, state: State) -> bool:
        """The change is in effect, and the process goes by it."""
        return state.before == state.phase and state.lease and state.noted == state.number

    def is_fault(self, before: State, after: State) -> bool:
        """A lease that runs out is none that an end may need."""
        return before.lease and not after.lease


def _wrong(state: State, phase: int) -> str:
    """Say what is wrong with a read by a phase: what is in effect, or was until a change that is not yet, allows it."""
    allowed = {state.phase, state.before}
    if (phase == LIVE) not in {one == LIVE for one in allowed}:
        return "a read goes to a side that has not the truth any more"
    if phase == RAMP and not any(one > OFF for one in allowed):
        return "PostgreSQL is read, and nobody writes it"
    if phase not in allowed and state.acknowledged and state.before == state.phase:
        return "a change is in effect as the process says, and its request goes by one before it"
    return ""
