"""The verification of one collection under way: what is found, what is under suspicion, and from where it goes on."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from syncline.engines.mongo.stored_marks import taken_apart
from syncline.engines.postgres.documents.keys import id_of
from syncline.engines.postgres.documents.reading import Record
from syncline.model.documents import DocumentMapping
from syncline.model.documents.ids import NO_ID
from syncline.model.strict_bson import AS_STORED, decoded, encoded
from syncline.verify.progress import Phase, Recorder, restore_report
from syncline.verify.report import EntityReport, Mode


@dataclass(slots=True)
class Place:
    """From where it goes on."""

    phase: Phase = Phase.SOURCE
    after: bytes | None = None
    """The last ``_id`` that was compared, as a document."""
    last: str | None = None
    """The last key whose rows were compared with it."""
    key: str | None = None
    """The last key that was looked up in MongoDB."""
    first: str | None = None
    """The key that what is left begins with; ``None``: that of the part."""


@dataclass(frozen=True, slots=True)
class Part:
    """What of a collection is compared; without anything said, all of it."""

    first: str | None = None
    """The key that it begins with."""
    end: str | None = None
    """The key before which it ends."""
    keys_only: bool = False
    """Whether there is a row of each document, and a document of each row, and nothing else."""

    @property
    def ranged(self) -> bool:
        """Whether it has a bound."""
        return self.first is not None or self.end is not None

    @property
    def mode(self) -> Mode:
        """How much that is."""
        return Mode.KEYS if self.keys_only else Mode.RANGE if self.ranged else Mode.FULL


WHOLE = Part()


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found in a part of a pass."""

    suspects: frozenset[bytes]
    """``_id``s, each as a document."""
    foreign: frozenset[str]
    records: int
    rows: int
    sample: tuple[str, ...]
    after: bytes | None
    last: str | None
    over: bool
    """Nothing of the part is left."""
    seconds: float


@dataclass(slots=True)
class Passing:
    """The verification of one collection."""

    mapping: DocumentMapping
    report: EntityReport
    part: Part = WHOLE
    span: tuple[bytes | None, bytes | None] = (None, None)
    """The bounds of the part as documents, each with an ``_id``."""
    recorder: Recorder = field(default_factory=Recorder)
    place: Place = field(default_factory=Place)
    suspects: dict[bytes, Any] = field(default_factory=dict)
    """The ``_id``s of those to be decided, by their encoding."""
    foreign: set[str] = field(default_factory=set)
    """Keys of rows that no ``_id`` becomes."""
    stored: set[bytes] = field(default_factory=set)
    """Of those that were looked at twice, the documents that were there."""
    kept: set[bytes] = field(default_factory=set)
    """Likewise, those that had rows."""
    left: float = 0.0
    """Seconds of patience that are left."""
    began: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        """The collection."""
        return self.mapping.collection.name

    @property
    def rest(self) -> Part:
        """What of the part is left, but for the documents and rows that were compared last."""
        return self.part if self.place.first is None else replace(self.part, first=self.place.first)

    def note(self, encoded_id: bytes, id_: Any, raw: bytes | None, record: Record | None) -> None:
        """Keep on which side there is something of a key."""
        if raw is not None and taken_apart(id_, raw)[1] is not None:
            self.stored.add(encoded_id)
        if record is not None and record.there:
            self.kept.add(encoded_id)

    def suspect(self, id_: Any) -> None:
        """Put an ``_id`` under suspicion."""
        self.suspects.setdefault(encoded({"_id": id_}), id_)

    def suspect_key(self, key: str) -> None:
        """Put a key under suspicion."""
        id_ = id_of(self.mapping, key)
        if id_ is NO_ID:
            self.foreign.add(key)
        else:
            self.suspect(id_)

    def take_in(self, seen: Seen) -> None:
        """Add what somebody else has found."""
        for one in seen.suspects:
            self.suspects.setdefault(one, decoded(one, AS_STORED)["_id"])
        self.foreign.update(seen.foreign)
        self.report.records += seen.records
        self.report.documents += seen.rows
        self.report.sample = self.report.sample or [*seen.sample]

    async def save(self) -> None:
        """Keep how far it has come, when it is time."""
        await self.recorder.save(self, self.report, _Suspects(self), seconds=time.monotonic() - self.began)

    async def end(self) -> None:
        """Forget where it was: it is over."""
        await self.recorder.end()

    def as_state(self) -> dict[str, Any]:
        """Give where it is, in JSON's types."""
        place = self.place
        after = None if place.after is None else base64.b64encode(place.after).decode()
        told = {name: getattr(place, name) for name in ("last", "key", "first")}
        told |= {"phase": place.phase.value, "after": after}
        return {**told, "foreign": sorted(self.foreign)}

    def restore(self) -> None:
        """Go on from where the recorder's checkpoint says."""
        checkpoint = self.recorder.checkpoint
        if checkpoint is None or not checkpoint.state:
            return
        state: Mapping[str, Any] = checkpoint.state
        restore_report(self.report, checkpoint)
        after = None if state.get("after") is None else base64.b64decode(state["after"])
        self.place = Place(Phase(state["phase"]), after, *map(state.get, ("last", "key", "first")))
        self.foreign = set(state.get("foreign", ()))
        for text in state["suspects"]:
            self.suspect(decoded(base64.b64decode(text), AS_STORED)["_id"])


@dataclass(frozen=True, slots=True)
class _Suspects:
    passing: Passing

    def as_state(self) -> Mapping[str, str]:
        return {base64.b64encode(one).decode(): "" for one in self.passing.suspects}
