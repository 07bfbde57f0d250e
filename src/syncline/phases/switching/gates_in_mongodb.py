"""The gates of MongoDB, one a collection, in the phases' document: changed by an update that no lower number passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from syncline.engines.mongo.gates import APPLICATION, LINK, NEVER, NOBODY, Gate, gates_in
from syncline.engines.mongo.validators import KeptBy
from syncline.errors import NotMovingError, SupersededError, SwitchError
from syncline.phases.in_mongodb import InMongoDB, standings_in
from syncline.phases.phase import Phase
from syncline.phases.standing import Process, Standing, Standings
from syncline.split.switching.gate import Verb

_FAR = 1 << 20
"""A number so far above MongoDB's is no coordinator's: each is one above all that are known."""
_NOW = -1
"""Stands for the server's clock, as it changes a gate."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Why a collection changes sides, for the history."""

    reason: str | None = None
    against: tuple[str, ...] = ()


class GatesInMongoDB:
    """The gates beside the phases."""

    def __init__(self, mongodb: InMongoDB) -> None:
        self._mongodb = mongodb

    def begin(self, collection: str) -> None:
        """Put a gate in place, open to applications; one that is there stays as it is."""
        if collection not in self._mongodb.read_all()[1]:
            self._changed(collection, lambda gate, _: gate or NEVER)

    def read(self, collection: str) -> Gate:
        """Read a gate.

        Raises:
            NotMovingError: there is none.

        """
        return _there(self._mongodb.read_all()[1].get(collection), collection)

    def hurry(self, collection: str) -> Gate:
        """Have every process that goes by it ask often: it is about to change."""
        return self._changed(collection, lambda gate, _: replace(_there(gate, collection), hurries=True, change=-1))

    def change(self, collection: str, number: int, verb: Verb) -> Gate:
        """Change a gate, once for a number and a verb.

        A validator admits the number before the gate is opened; after a closing, ``shut`` has it admit nobody's.

        Raises:
            SupersededError: a coordinator with a higher number was here.
            SwitchError: the validator cannot be changed; the gate is not either.
            SourceUnavailableError: what became of it is not known: the number is not to be used again.

        """
        found = self.read(collection)
        _require_in_charge(found, number, collection)
        validated = verb is Verb.CLOSE and self._may_be_shut(collection, found)
        if verb is Verb.OPEN or (verb is Verb.LINK and found.mode != LINK):
            self._admit(collection, found, number)

        def after(found: Gate | None, before: Any) -> Gate:
            gate = _there(found, collection)
            _require_in_charge(gate, number, collection)
            gate = replace(_after(gate, number, verb), validated=validated or gate.validated)
            settled = verb is Verb.OPEN or (verb is Verb.LINK and _in_postgresql(before, collection))
            return replace(gate, announced=gate.announced and not settled)

        return self._changed(collection, after)

    def shut(self, collection: str, gate: Gate) -> None:
        """Have the validator of a gate that was closed admit the closing's number, under which nobody writes.

        Raises:
            SourceUnavailableError: what became of it is not known: the number is not to be used again.

        """
        self._admit(collection, gate, gate.number)

    def close_for_good(self, collection: str) -> Gate:
        """Close a gate under a number that is nobody's."""
        gate = self.change(collection, self.read(collection).number + _FAR, Verb.CLOSE)
        self.shut(collection, gate)
        return gate

    def _admit(self, collection: str, gate: Gate, number: int) -> None:
        if gate.validated:
            self._mongodb.admit(collection, number)

    def _may_be_shut(self, collection: str, gate: Gate) -> bool:
        if gate.validated:
            self.require_changeable(collection)
            return True
        known = all(one.knows_validators for one in self._mongodb.processes())
        return known and self._mongodb.kept_by(collection) is KeptBy.VALIDATOR

    def require_changeable(self, collection: str) -> None:
        """See that the validator of a collection can be changed; nothing is.

        Raises:
            SwitchError: it cannot.

        """
        if (kept := self._mongodb.kept_by(collection)) is not KeptBy.VALIDATOR:
            raise SwitchError(
                f"the validator of {collection} cannot be changed any more ({kept})",
                hint="give MongoDB's user the action collMod (the role dbAdmin has it)",
            )

    def unmatched(self, collections: Sequence[str]) -> Mapping[str, Gate]:
        """Find the gates whose validator does not admit what they say: somebody else changed it, or one came late."""
        gates = self._mongodb.read_all()[1]
        names = [name for name in collections if name in gates and gates[name].validated]
        found = self._mongodb.validators(names) if names else {}
        return {name: gates[name] for name in names if name in found and found[name].number != gates[name].admitted}

    def doubt(self, collection: str, change: int) -> Gate:
        """Close a gate whose validator is not as it says, under its own number, unless it was changed since.

        Nobody gets through: the next coordinator has the validator admit a number of its own.
        """

        def after(found: Gate | None, _: Any) -> Gate:
            gate = _there(found, collection)
            return replace(gate, mode=NOBODY) if gate.change == change else gate

        return self._changed(collection, after)

    def validated(self, collections: Sequence[str]) -> Sequence[str]:
        """Name the collections with a validator of ours, or whose gate says so.

        A gate does not say so any more before its validator is taken away, which may fail: that is asked itself.
        """
        gates, found = self._mongodb.read_all()[1], self._mongodb.validators(collections) if collections else {}
        ours = {name for name, validator in found.items() if validator.number is not None}
        return [name for name in collections if name in ours or gates.get(name, NEVER).validated]

    def needless(self, collections: Sequence[str]) -> Sequence[str]:
        """Name the collections that are in the phase off, with a validator of ours: the step there was stopped."""
        standings, gates = self._mongodb.read_all()
        off = [name for name in collections if name in standings and standings[name].phase is Phase.OFF]
        return self.validated([name for name in off if gates.get(name, NEVER).number])  # others never had one

    def without_validator(self, collection: str) -> bool:
        """Take our validator away, where there is one; the user's own is as it was before."""
        if not self.validated([collection]):
            return False
        if self._mongodb.read_all()[1].get(collection, NEVER).validated:
            self._changed(collection, lambda gate, _: replace(_there(gate, collection), validated=False))
        self._mongodb.admit(collection, None)
        return True

    def reopen(self, collection: str, change: int | None = None) -> Gate:
        """Open a gate again without PostgreSQL: no coordinator of before announces anything any more, or opens it.

        Where there is a validator, the number is drawn first, by a change of its own: no two may have the same.

        Args:
            collection: the collection.
            change: only if the gate was not changed since.

        Raises:
            SwitchError: it is not closed, or PostgreSQL may have been opened.

        """
        drawn = self._drawn(collection, change)

        def after(before: Any) -> dict[str, Any]:
            gate = _there(gates_in(before).get(collection), collection)
            _require_reopenable(gate, before, collection, change)
            if drawn and gate.number != drawn:
                raise SwitchError(f"{collection} is being opened by somebody else")
            number = drawn or gate.number + _FAR
            gate = replace(_after(gate, number, Verb.OPEN), reopened=number, change=before["version"] + 1)
            noted = _switch(before, collection) | {"number": number}
            return {
                "gates": _listed(gates_in(before) | {collection: gate}),
                "switches": _with(before, collection, noted),
            }

        return gates_in(self._mongodb.replaced(after))[collection]

    def _drawn(self, collection: str, change: int | None) -> int:
        """Draw a number, and have the validator admit it; 0: there is none."""

        def after(before: Any) -> dict[str, Any]:
            gate = _there(gates_in(before).get(collection), collection)
            _require_reopenable(gate, before, collection, change)
            return {"gates": _listed(gates_in(before) | {collection: replace(gate, number=gate.number + _FAR)})}

        if not self.read(collection).validated:
            return 0
        self.require_changeable(collection)  # before: the validator of before admits what the gate says
        number = gates_in(self._mongodb.replaced(after))[collection].number
        self._mongodb.admit(collection, number)
        return number

    def behind(self, change: int) -> Sequence[Process]:
        """List the processes that may still write under what a gate said before a change: their lease holds."""
        return [one for one in self._mongodb.processes() if one.gate < change]

    def _changed(self, collection: str, change: Callable[[Gate | None, Any], Gate]) -> Gate:
        def after(before: Any) -> dict[str, Any]:
            gates = gates_in(before)
            was = gates.get(collection)
            gate = change(was, before)
            if was is None or gate.change < 0 or _says(gate) != _says(was):
                gate = replace(gate, change=before["version"] + 1)
            return {"gates": _listed(gates | {collection: gate})}

        return gates_in(self._mongodb.replaced(after))[collection]

    # -- what is read

    def wish(self, collection: str, wish: Wish, percent: float) -> None:
        """Keep why a collection is to change sides, and how much of a ramp reads PostgreSQL when it is in one again."""

        def after(before: Any) -> dict[str, Any]:
            why = {"reason": wish.reason, "against": list(wish.against), "percent": percent}
            return {"switches": _with(before, collection, _switch(before, collection) | why)}

        self._mongodb.replaced(after)

    def announce(self, collection: str, phase: Phase, number: int, known: Standings) -> Standing:
        """Have a collection in a phase, unless a coordinator with a higher number has said something of it.

        Raises:
            SupersededError: one has.

        """

        def may(before: Any) -> dict[str, Any]:
            noted = _switch(before, collection)
            if noted["number"] > number:
                raise SupersededError(f"another coordinator than {number} is in charge of {collection}")
            gates, other = gates_in(before), _in_postgresql(before, collection) is not phase.postgresql_is_truth
            gate = _there(gates.get(collection), collection)
            gates[collection] = replace(gate, announced=gate.announced or other)
            switches = _with(before, collection, noted | {"number": number})
            return noted | {"fields": {"switches": switches, "gates": _listed(gates)}}

        return self._mongodb.announce(collection, phase, known, may)


def _there(gate: Gate | None, collection: str) -> Gate:
    if gate is None:
        raise NotMovingError(f"MongoDB has no gate of {collection}")
    return gate


def _require_in_charge(gate: Gate, number: int, collection: str) -> None:
    if gate.number > number:
        raise SupersededError(f"another coordinator than {number} is in charge of {collection}")


def _in_postgresql(document: Any, collection: str) -> bool:
    standing = standings_in(document).get(collection)
    return standing is not None and standing.phase.postgresql_is_truth


def _require_reopenable(gate: Gate, document: Any, collection: str, change: int | None) -> None:
    if gate.mode != NOBODY or (change is not None and gate.change != change):
        raise SwitchError(f"{collection} is not closed in MongoDB", hint="`syncline phase status` says who serves")
    if gate.announced or _in_postgresql(document, collection):
        raise SwitchError(
            f"{collection} stays closed: PostgreSQL does not answer, and it may be what serves",
            hint="it was lost within the last moment of a change of sides: get it back, and a running"
            " `syncline worker` finishes the change",
        )


def _after(gate: Gate, number: int, verb: Verb) -> Gate:
    """Give what ``syncline_gate.change`` makes of a gate's row."""
    gate = replace(gate, number=number)
    match verb:
        case Verb.NUMBER:
            return gate
        case Verb.CLOSE:
            return replace(gate, mode=NOBODY)
        case Verb.LINK:
            return gate if gate.mode == LINK else replace(gate, mode=LINK, link=number, hurries=False)
        case Verb.OPEN:
            return replace(gate, mode=APPLICATION, opened=number, hurries=False, opened_at=_NOW)


def _says(gate: Gate) -> tuple[str, int, int]:
    """Give what writers go by."""
    return gate.mode, gate.opened, gate.link


def _listed(gates: Mapping[str, Gate]) -> list[dict[str, Any]]:
    """Give them for a pipeline."""
    return [_fields(gate) | {"name": {"$literal": name}} | _moment(gate) for name, gate in sorted(gates.items())]


def _fields(gate: Gate) -> dict[str, Any]:
    """Give what is kept of a gate: without a validator, nothing that processes of an older release do not know."""
    return {name: value for name, value in asdict(gate).items() if value or name != "validated"}


def _moment(gate: Gate) -> dict[str, Any]:
    return {"opened_at": {"$toLong": "$$NOW"}} if gate.opened_at == _NOW else {}


def _switch(document: Any, collection: str) -> dict[str, Any]:
    """Give what is kept of the switches of a collection."""
    first = {"name": collection, "number": 0, "percent": 100.0, "reason": None, "against": []}
    return next((one for one in document.get("switches", []) if one["name"] == collection), first)


def _with(document: Any, collection: str, noted: Mapping[str, Any]) -> dict[str, Any]:
    """Give all, for a pipeline."""
    others = [one for one in document.get("switches", []) if one["name"] != collection]
    return {"$literal": [*others, {"name": collection, **{key: noted[key] for key in noted if key != "name"}}]}
