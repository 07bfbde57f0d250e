"""The gates of MongoDB, one a collection, as the phases' document has them: who may write, and under which number.

``syncline.phases.gates`` changes them; here they are read by what carries documents one way and rows the other way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from syncline.engines.mongo import errors as mongo_errors

COLLECTION, ID = "syncline_phases", "phases"
"""Where the phases stand, and the document that has them and the gates."""
APPLICATION, LINK, NOBODY = "a", "l", "n"


@dataclass(frozen=True, slots=True)
class Gate:
    """What a gate says; see ``split.switching.gate.GateRow``."""

    mode: str
    number: int
    opened: int
    link: int
    change: int = 0
    """The version of the document that last had another mode for it."""
    hurries: bool = False
    """It is about to change: whoever goes by it asks often."""
    announced: bool = False
    """Another side was announced to readers since one was opened: PostgreSQL may serve by now."""
    reopened: int = 0
    """The number under which it was opened last without PostgreSQL, which was away."""
    opened_at: int = 0
    """When it was opened to applications last, by MongoDB's clock in ms; 0: it was never closed."""
    validated: bool = False
    """The collection's validator admits one number, that of ``admits``."""

    @property
    def admitted(self) -> int:
        """The number that each write has to say by the validator; 0: there is none."""
        if not self.validated:
            return 0
        return {APPLICATION: self.opened, LINK: self.link}.get(self.mode, self.number)

    @property
    def carrying(self) -> int:
        """The number that carriers say as they give versions and marks."""
        return self.admitted or self.opened


NEVER = Gate(APPLICATION, 0, 0, 0)
"""Of a collection that never went over."""
_FIELDS = frozenset(one.name for one in fields(Gate))


def gates_in(document: Mapping[str, Any] | None) -> dict[str, Gate]:
    """Read the gates in the phases' document."""
    listed = (document or {}).get("gates", [])
    return {one["name"]: Gate(**{name: value for name, value in one.items() if name in _FIELDS}) for one in listed}


async def read(database: AsyncDatabase[Any]) -> dict[str, Gate]:
    """Read them from a database."""
    return gates_in(await database[COLLECTION].find_one({"_id": ID}, {"gates": 1}))


async def admitted(database: AsyncDatabase[Any], collection: str) -> int:
    """Read the number that a collection's validator admits; 0: it has none of ours."""
    return (await read(database)).get(collection, NEVER).admitted


async def settled(database: AsyncDatabase[Any], collection: str, age: timedelta) -> int:
    """Give the number that opened a collection, if that was so long ago; else 0."""
    found = await database[COLLECTION].find_one({"_id": ID}, {"gates": 1, "now": {"$toLong": "$$NOW"}}) or {}
    gate = gates_in(found).get(collection)
    if gate is None or found["now"] - gate.opened_at < age.total_seconds() * 1000:
        return 0
    return gate.opened


async def read_with_complete(database: AsyncDatabase[Any]) -> tuple[dict[str, Gate], frozenset[str]]:
    """Read them, and which collections are in the phase complete at the same moment."""
    found = await database[COLLECTION].find_one({"_id": ID}, {"gates": 1, "collections": 1}) or {}
    complete = frozenset(one["name"] for one in found.get("collections", []) if one["phase"] == "complete")
    return gates_in(found), complete


class MongoBackGate:
    """Says where the link back may write; implements ``written_back.BackGate``."""

    def __init__(self, database: AsyncDatabase[Any]) -> None:
        self._database = database

    async def links(self) -> Mapping[str, int]:
        """Give the number of each collection that is the link's."""
        with mongo_errors.translated():
            found = await read(self._database)
        return {name: gate.link for name, gate in found.items() if gate.mode == LINK}

    async def last(self, collection: str) -> int:
        """Give the number that gave a collection to the link last."""
        with mongo_errors.translated():
            found = await read(self._database)
        return found[collection].link if collection in found else 0
