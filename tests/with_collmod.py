"""A MongoDB with ``collMod``, in tests: the embedded engine has none, and enforces the validator of ``create``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import WriteConcern
from pymongo.errors import OperationFailure

from syncline.engines.mongo.validators import Validators
from syncline.phases import in_mongodb

_OPTIONS = ("validator", "validationLevel", "validationAction")


class CollMods:
    """Answers ``collMod`` as a server does: the collection is made anew, with its documents, indexes and other options.

    Nobody may write meanwhile.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, int | None]] = []
        """Of each that has changed a validator: the mode of the collection's gate then, and what it admits since."""
        self.after: Callable[[], None] = lambda: None
        """Called when one is executed, and not answered yet; it may raise."""
        self.refusal: OperationFailure | None = None
        """What every one is answered, and not executed."""

    def execute(self, database: Any, command: Mapping[str, Any]) -> None:
        """Do what a command says; it may be late."""
        name, options = command["collMod"], {key: command[key] for key in _OPTIONS if key in command}
        if not options:
            return
        there = database[name]
        raw = there.with_options(there.codec_options.with_options(document_class=RawBSONDocument))
        documents, indexes = raw.find().to_list(), there.index_information()
        there.drop()
        made = database.create_collection(name, write_concern=WriteConcern(w=1), **options)
        for index, about in indexes.items():
            if index != "_id_":
                made.create_index(about["key"], name=index, partialFilterExpression=about["partialFilterExpression"])
        if documents:
            made.insert_many(documents, bypass_document_validation=True)
        found = (database["syncline_phases"].find_one({"_id": "phases"}) or {}).get("gates", [])
        mode = next((one["mode"] for one in found if one["name"] == name), "")
        self.told.append((mode, Validators(database).read([name])[name].number))


class WithCollMod:
    """A database of a server that has ``collMod``."""

    def __init__(self, database: Any, mods: CollMods) -> None:
        self._database, self._mods = database, mods

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def command(self, command: Mapping[str, Any]) -> Any:
        if "collMod" not in command:
            return self._database.command(command)
        if self._mods.refusal is not None:
            raise self._mods.refusal
        self._mods.execute(self._database, command)
        if "validator" in command:
            self._mods.after()
        return {"ok": 1.0}


@contextmanager
def collmods(monkeypatch: pytest.MonkeyPatch) -> Iterator[CollMods]:
    """Have gates find a server with ``collMod``."""
    mods = CollMods()
    with monkeypatch.context() as patched:
        patched.setattr(in_mongodb, "Validators", lambda database: Validators(WithCollMod(database, mods)))
        yield mods
