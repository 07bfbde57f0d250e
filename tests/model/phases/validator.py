"""The gate of MongoDB as two things: a document that is compared and set, and a validator that collMod changes, maybe late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.search import Told

CLOSING, OPENING = "close", "open"


@dataclass(frozen=True, kw_only=True)
class ValidatorScope:
    """One exploration. The defaults are the design."""

    about: str = ""
    numbers: int = 4
    """How many coordinators there may be."""
    faults: int = 2
    writers: int = 2
    accepts: str = "exactly"
    """exactly: a write has to carry the validator's number; from: or a higher one."""
    again: str = "new number"
    """What follows a collMod of unknown outcome: a coordinator of a new number, or the same command again."""
    livelocks: bool = False
    limit: int = 1_500_000


class Writer(NamedTuple):
    """An application's process: it has read the gate document."""

    read: bool = False
    number: int = 0


class Command(NamedTuple):
    """A collMod under way, and who waits for its answer; -1: nobody any more."""

    number: int
    place: int


class Changer(NamedTuple):
    """A coordinator: 1, begins; 2, waits for its collMod; 3, has the answer."""

    step: int = 0
    number: int = 0
    verb: str = ""


class State(NamedTuple):
    """Everything."""

    number: int
    mode: str
    opened: int
    admits: int
    """The number that the validator accepts."""
    writers: tuple[Writer, ...]
    commands: tuple[Command, ...]
    changers: tuple[Changer, ...]
    counter: int
    closed: bool
    """Ghost: somebody was told that it is closed, and nobody has opened it since."""
    faults: int
    broken: str = ""


Action = Iterator[tuple[Told, State]]


def _put(items: tuple[object, ...], place: int, item: object) -> tuple[object, ...]:
    return (*items[:place], item, *items[place + 1 :])


class ValidatorWorld:
    """A scope, as something to search."""

    def __init__(self, scope: ValidatorScope) -> None:
        self.limit, self.livelocks = scope.limit, scope.livelocks
        self._scope = scope

    def first(self) -> State:
        """MongoDB serves."""
        return State(
            0, "a", 0, 0, (Writer(),) * self._scope.writers, (), (Changer(),) * 2, 0, False, self._scope.faults
        )

    def normal(self, state: State) -> State:
        """Writers have no names."""
        return state._replace(writers=tuple(sorted(state.writers)), commands=tuple(sorted(state.commands)), broken="")

    def steps(self, state: State) -> Action:
        """Let everybody do whatever may come next."""
        yield from self._writers(state)
        yield from self._commands(state)
        yield from self._taken(state)
        for place, one in enumerate(state.changers):
            yield from (self._begin, self._wait, self._answered)[one.step - 1](state, place) if one.step else ()

    def _writers(self, state: State) -> Action:
        for place, writer in enumerate(state.writers):
            idle = state._replace(writers=_put(state.writers, place, Writer()))
            if not writer.read and state.mode == "a":
                read = Writer(True, state.opened)
                yield (
                    ("a writer reads: opened {}", state.opened),
                    state._replace(writers=_put(state.writers, place, read)),
                )
            elif writer.read:
                number = writer.number
                accepted = number == state.admits if self._scope.accepts == "exactly" else number >= state.admits
                broken = "a write is accepted after somebody was told that MongoDB is closed"
                lost = broken if accepted and state.closed else ""
                what = "is accepted" if accepted else "is refused"
                yield ("a write under {} {}", number, what), idle._replace(broken=lost)

    def _commands(self, state: State) -> Action:
        for place, command in enumerate(state.commands):
            if place and command == state.commands[place - 1]:
                continue
            rest = (*state.commands[:place], *state.commands[place + 1 :])
            done = state._replace(admits=command.number, commands=rest)
            waits = command.place >= 0 and state.changers[command.place][:2] == (2, command.number)
            if waits:
                told = state.changers[command.place]._replace(step=3)
                answered = done._replace(changers=_put(state.changers, command.place, told))
                yield ("collMod {} is executed", command.number), answered
                if state.faults:
                    lost = done._replace(faults=state.faults - 1)
                    yield ("collMod {} is executed, its answer is lost", command.number), lost
            else:
                yield ("collMod {} is executed, late", command.number), done

    def _taken(self, state: State) -> Action:
        busy = any(one.step and one.number == state.counter for one in state.changers)
        place = next((place for place, one in enumerate(state.changers) if not one.step), None)
        if place is None or state.counter >= self._scope.numbers or (busy and not state.faults):
            return
        for verb in (CLOSING,) if state.mode == "a" else (OPENING, CLOSING):
            new = Changer(1, state.counter + 1, verb)
            taken = state._replace(counter=state.counter + 1, faults=state.faults - busy)
            changers = _put(state.changers, place, new)
            yield ("coordinator {} takes over, to {}", new.number, verb), taken._replace(changers=changers)

    def _ended(self, state: State, place: int) -> State:
        commands = tuple(one._replace(place=-1) if one.place == place else one for one in state.commands)
        return state._replace(changers=_put(state.changers, place, Changer()), commands=commands)

    def _begin(self, state: State, place: int) -> Action:
        one = state.changers[place]
        if state.number > one.number:
            yield ("coordinator {} is superseded", one.number), self._ended(state, place)
            return
        sent = (*state.commands, Command(one.number, place))
        changers = _put(state.changers, place, one._replace(step=2))
        after = state._replace(number=one.number, mode="n", commands=sent, changers=changers)
        yield ("coordinator {} notes n in the document, sends its collMod", one.number), after

    def _wait(self, state: State, place: int) -> Action:
        one = state.changers[place]
        under_way = state.commands.count(Command(one.number, place))
        if under_way and not state.faults:
            return
        spent = state._replace(faults=state.faults - bool(under_way))
        if self._scope.again == "new number":
            yield ("coordinator {} does not know, and ends", one.number), self._ended(spent, place)
        elif under_way < 2:
            again = (*state.commands, Command(one.number, place))
            yield ("coordinator {} does not know, sends it again", one.number), spent._replace(commands=again)

    def _answered(self, state: State, place: int) -> Action:
        one = state.changers[place]
        ended = self._ended(state, place)
        if state.number > one.number:
            yield ("coordinator {} is superseded", one.number), ended
        elif one.verb == CLOSING:
            yield ("coordinator {}: MongoDB is closed", one.number), ended._replace(closed=True)
        else:
            opened = ended._replace(mode="a", opened=one.number, closed=False)
            yield ("coordinator {}: MongoDB is open", one.number), opened

    def violation(self, _: State, after: State) -> str:
        """Say what a step has broken."""
        return after.broken

    def at_rest(self, state: State) -> bool:
        """Nobody changes anything."""
        return not any(one.step for one in state.changers)

    def is_fault(self, before: State, after: State) -> bool:
        """Tell whether something went wrong in a step."""
        return after.faults != before.faults
