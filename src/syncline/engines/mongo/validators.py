"""Validators of a MongoDB's collections, changed by ``collMod``, where the server has it and the user may use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database
from pymongo.errors import OperationFailure, WriteConcernError

from syncline.capture.documents.validator import Validator, validator_in
from syncline.engines.mongo.errors import RIGHTS

_NO_SUCH_COLLECTION = 26
_NO_SUCH_COMMAND = frozenset({
    59,  # CommandNotFound
    115,  # CommandNotSupported
    238,  # NotImplemented
})  # fmt: skip
_LIMIT_MS = 500
"""So long a ``collMod`` may wait for the collection's lock: whoever writes waits behind it."""
_CONCERN = {"w": "majority", "j": True}


class KeptBy(StrEnum):
    """By what a collection's gate is kept."""

    VALIDATOR = "validator"
    NO_COMMAND = "leases: the server has no collMod"
    NO_RIGHT = "leases: the user may not collMod"


async def kept_by(database: AsyncDatabase[Any], collection: str) -> KeptBy:
    """Ask, by a ``collMod`` that changes nothing, whether a validator can be changed; errors are the driver's."""
    try:
        await database.command(_unchanged(collection))
    except OperationFailure as error:
        return _judged(error)
    return KeptBy.VALIDATOR


def _unchanged(collection: str) -> dict[str, Any]:
    return {"collMod": collection, "maxTimeMS": _LIMIT_MS}


def _judged(error: OperationFailure) -> KeptBy:
    if error.code in _NO_SUCH_COMMAND:
        return KeptBy.NO_COMMAND
    if error.code in RIGHTS:
        return KeptBy.NO_RIGHT
    if error.code != _NO_SUCH_COLLECTION:
        raise error
    return KeptBy.VALIDATOR


class Validators:
    """The validators of a database; errors are the driver's.

    Args:
        database: the database.

    """

    def __init__(self, database: Database[Any]) -> None:
        self._database = database

    def kept_by(self, collection: str) -> KeptBy:
        """Do the same for a blocking client."""
        try:
            self._database.command(_unchanged(collection))
        except OperationFailure as error:
            return _judged(error)
        return KeptBy.VALIDATOR

    def read(self, collections: Sequence[str]) -> Mapping[str, Validator]:
        """Read those of collections that are there."""
        found = self._database.list_collections(filter={"name": {"$in": [*collections]}})
        return {one["name"]: validator_in(one.get("options", {})) for one in found}

    def admit(self, collection: str, number: int | None) -> None:
        """Have a collection admit exactly this number; ``None``: have no validator but the user's.

        An error says nothing of whether it is done, or comes late: the number is not to be used again.
        """
        was = self.read([collection]).get(collection)
        options = replace(was or Validator({}), number=number).options
        limits = {"writeConcern": _CONCERN, "maxTimeMS": _LIMIT_MS}
        done = self._database.command({"collMod" if was else "create": collection, **options, **limits})
        if failed := done.get("writeConcernError"):
            raise WriteConcernError(failed.get("errmsg", ""), failed.get("code"), failed)
