"""A reader of the target that never stops looking, and the judgement of what it saw: nothing may go back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.chaos.acting import Acting
from tests.chaos.journal import Journal, Key
from tests.chaos.schema import COLLECTIONS, DATABASE

FIELDS = {"_originalId": 1, "version": 1, "lines.id": 1, "lines.version": 1}
State = Mapping[int, int] | None
"""Versions: under 0 that of the record, under the id of a line that of the line; ``None``: absent."""
UNJOURNALED_SECONDS = 3.0
"""How long a write may be visible before it is durable, at most. Then a power cut may take it back."""


class Reader(Acting):
    """Looks at every record again and again; keeps what has changed."""

    def __init__(self, url: str, journal: Journal, *, pause: float = 0.1) -> None:
        super().__init__("reader")
        self._url = url
        self._journal = journal
        self._pause = pause
        self.looks = 0

    def _go_on(self) -> None:
        known: dict[str, dict[str, State]] = {name: {} for name in COLLECTIONS}
        while not self._ended.is_set():
            try:
                with MongoClient[dict[str, Any]](
                    self._url, serverSelectionTimeoutMS=500, socketTimeoutMS=4000, timeoutMS=None
                ) as client:
                    while not self._ended.wait(self._pause):
                        for name in COLLECTIONS:
                            self._look(client, name, known[name])
                        self.looks += 1
            except PyMongoError:
                time.sleep(0.05)

    def _look(self, client: MongoClient[dict[str, Any]], name: str, known: dict[str, State]) -> None:
        # In the order of `_id`, so that a record that is replaced meanwhile is met once; one batch, one moment.
        began = self._journal.now()
        found = list(client[DATABASE][name].find({}, FIELDS).hint([("_id", 1)]).batch_size(100_000))
        seen: dict[str, State] = {
            document["_originalId"]: {
                0: document["version"],
                **{line["id"]: line["version"] for line in document.get("lines", ())},
            }
            for document in found
        }
        for key in seen.keys() | known.keys():
            if seen.get(key) != known.get(key):
                known[key] = seen.get(key)
                self._journal.saw((name, key), began, seen.get(key))


def regressions(journal: Journal, *, window: float) -> Iterator[tuple[Key, str]]:
    """Find records that a reader saw go back where guarantee G4 does not allow it.

    Args:
        journal: of the run.
        window: how long after its removal a record may still reappear in an older state, in seconds.

    """
    for key, sights in journal.sights.items():
        removals = [write.at for write in journal.writes.get(key, ()) if write.removes]
        highest: dict[int, tuple[int, float]] = {}
        gone: dict[int, tuple[int, float]] = {}
        for at, state in sights:
            if state is None:
                continue
            back = _goes_back(state, highest, gone)
            if back is not None:
                excused = any(at - window <= removal <= at + 1 for removal in removals)
                since = min((highest[one][1] for one in highest), default=at) if excused else back[1]
                cut = any(since - 1 <= cut <= at and cut - since < UNJOURNALED_SECONDS for cut in journal.power_cuts)
                if not excused and not cut:
                    yield key, f"at {at:.3f} {back[0]}"
                highest, gone = {}, {}
            for lost in highest.keys() - state.keys():
                gone[lost] = (highest.pop(lost)[0], at)
            for one, version in state.items():
                if one not in highest or highest[one][0] != version:
                    highest[one] = (version, at)
                gone.pop(one, None)


def _goes_back(
    state: Mapping[int, int], highest: Mapping[int, tuple[int, float]], gone: Mapping[int, tuple[int, float]]
) -> tuple[str, float] | None:
    for one, version in state.items():
        what = f"line {one}" if one else "the record"
        if one in highest and version < highest[one][0]:
            return f"{what} went from version {highest[one][0]} back to {version}", highest[one][1]
        if one in gone and version <= gone[one][0]:
            return f"{what} came back in version {version} after it had gone in {gone[one][0]}", gone[one][1]
    return None
