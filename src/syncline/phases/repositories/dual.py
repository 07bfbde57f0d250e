"""Writes of repositories by the dual write service, which writes the truth, and sees to the other side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import bson
from bson.objectid import ObjectId
from pymongo.errors import DuplicateKeyError, PyMongoError

from syncline.errors import AlreadyThereError, RefusedDocumentError, SynclineError, UnknownOutcomeError
from syncline.phases.repositories.abstract import Document, checked_changes
from syncline.phases.repositories.mongo import MongoRepository
from syncline.phases.repositories.places import Places
from syncline.phases.repositories.postgres import PostgresRepository
from syncline.phases.repositories.stored import as_stored, changes_as_stored


class Service(Protocol):
    """``DualWriteService``, as far as it is needed."""

    def create_document(self, collection_name: str, data: Mapping[str, Any], mongo_id: Any) -> bool:
        """Create a document; False: there is one of this id."""
        ...

    def update_document(self, collection_name: str, mongo_id: Any, data: Mapping[str, Any]) -> bool:
        """Set fields at the top of a document; False: there is none of this id."""
        ...

    def delete_document(self, collection_name: str, mongo_id: Any) -> bool:
        """Delete a document; False: there is none of this id."""
        ...

    def is_behind(self, collection_name: str) -> bool:
        """Tell whether PostgreSQL lacks a document that the service has written."""
        ...


Repository = MongoRepository | PostgresRepository


class DualWrites:
    """For ``phased(…, writer=DualWrites(service))``: the same answers and errors as the repository's own writes."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def create(self, repository: Repository, document: Mapping[str, Any]) -> Document:
        """Add a document.

        Raises:
            AlreadyThereError: there is one of this id, or of this value where there may be only one.

        """
        options = repository.codec_options
        raw = as_stored({"_id": ObjectId(), **document}, Places(repository.mapping), options)
        stored: Document = bson.decode(raw, options)
        fields = {name: value for name, value in stored.items() if name != "_id"}
        try:
            done = self._service.create_document(repository.collection_name, fields, stored["_id"])
        except RefusedDocumentError as error:
            raise _translated(error) from error
        if not done:
            raise AlreadyThereError("_id")
        return stored

    def update(
        self, repository: Repository, id_: Any, changes: Mapping[str, Any], *, get: Callable[[Any], Any]
    ) -> Document | None:
        """Set fields of a document, and give what it is then: the service may have written the other side.

        Raises:
            AlreadyThereError: a value of them is there already, where there may be only one.
            UnknownOutcomeError: it is written, and what the document is then cannot be read.

        """
        checked, key = checked_changes(changes), Places(repository.mapping).key.value(id_)
        if key is None:
            return None
        fields = changes_as_stored(checked, repository.codec_options)
        try:
            there = not fields or self._service.update_document(repository.collection_name, key, fields)
        except RefusedDocumentError as error:
            raise _translated(error) from error
        if not there:
            return None
        found: Document | None
        try:
            found = get(key)
        except (SynclineError, PyMongoError) as error:
            if not fields:
                raise
            raise UnknownOutcomeError(
                f"{repository.collection_name}: the update of {key!r} is written, and cannot be read back: {error}",
                hint="read the document again; the update need not be done again",
            ) from error
        return found

    def delete(self, repository: Repository, id_: Any) -> bool:
        """Delete a document; tell whether there was one."""
        key = Places(repository.mapping).key.value(id_)
        return key is not None and self._service.delete_document(repository.collection_name, key)

    def is_behind(self, repository: Repository) -> bool:
        """Tell whether PostgreSQL lacks what this process has written."""
        return self._service.is_behind(repository.collection_name)


def _translated(error: RefusedDocumentError) -> Exception:
    cause = error.__cause__
    if isinstance(cause, AlreadyThereError):
        return AlreadyThereError(cause.field)  # another one: errors that are each other's causes have no end
    if not isinstance(cause, DuplicateKeyError):
        return error
    return AlreadyThereError(next(iter((cause.details or {}).get("keyPattern") or ()), None))
