"""What a call of the service asks for, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from syncline.errors import OperationError, SynclineError
from syncline.model.documents import DocumentMapping
from syncline.model.documents.ids import identified
from syncline.ports.document_writes import Action

_KNOWN = ("collection_name", "data", "mongo_id", "operation")


@dataclass(frozen=True, slots=True)
class Operation:
    """A write of one document."""

    action: Action
    collection: str
    mongo_id: Any
    """As the caller gave it."""
    id: Any
    """As MongoDB has it."""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OperationResult:
    """What became of an operation; true when it was done."""

    operation: str
    collection: str
    mongo_id: Any
    done: bool
    """The truth is written, and the mark is durable. Otherwise nothing is, unless ``error`` says that it is unknown."""
    synced: bool = False
    """The other side is written, too."""
    error: str | None = None
    """Why the truth did not take it. None beside ``done`` being false: there is such a document, or there is none."""

    def __bool__(self) -> bool:
        return self.done


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of the operations of a batch; true when all were done."""

    results: tuple[OperationResult, ...]

    def __bool__(self) -> bool:
        return all(self.results)


def operation(action: Action | str, mapping: DocumentMapping, mongo_id: Any, data: Any = None) -> Operation:
    """Make an operation of what a caller gives.

    Raises:
        OperationError: it cannot be done with any document.

    """
    name = mapping.collection.name
    fields = {} if data is None else data
    if not isinstance(fields, Mapping) or not all(isinstance(one, str) for one in fields):
        raise OperationError(
            f"{name}: data is no dictionary with texts as keys", hint="give the fields of the document"
        )
    id_ = identified(mapping, mongo_id)
    if "_id" in fields and identified(mapping, fields["_id"]) != id_:
        raise OperationError(
            f"{name}: data has the _id {fields['_id']!r}, and mongo_id is {mongo_id!r}", hint="leave _id out"
        )
    made = Action(action)
    if made is Action.UPDATE:
        _require_names(name, fields)
    return Operation(made, name, mongo_id, id_, fields)


def _require_names(collection: str, fields: Mapping[str, Any]) -> None:
    for one in fields:
        if "." in one or one.startswith("$"):
            raise OperationError(
                f"{collection}: an update sets whole fields at the top, and {one!r} is not such a field",
                hint=f"give the whole of {one.lstrip('$').partition('.')[0]!r}, or update by a wrapped collection",
            )


def operations(given: Sequence[Mapping[str, Any]], mappings: Mapping[str, DocumentMapping]) -> list[Operation]:
    """Make the operations of a batch: ``{collection_name, data, mongo_id, operation}`` each.

    Raises:
        OperationError: one cannot be done; none is.

    """
    found = []
    for place, one in enumerate(given):
        try:
            found.append(_one(one, mappings))
        except SynclineError as error:
            raise OperationError(f"operation {place}: {error.message}", hint=error.hint) from None
    return found


def _one(given: Any, mappings: Mapping[str, DocumentMapping]) -> Operation:
    if not isinstance(given, Mapping):
        raise OperationError("it is no dictionary", hint=f"give one with {', '.join(_KNOWN)}")
    if wrong := [name for name in given if name not in _KNOWN]:
        raise OperationError(f"{wrong[0]!r} is unknown", hint=f"there are {', '.join(_KNOWN)}")
    named = str(given.get("operation", "")).lower()
    if named not in tuple(Action):
        raise OperationError(f"operation {given.get('operation')!r} is unknown", hint=f"one of {', '.join(Action)}")
    return operation(
        named, mapping_of(mappings, given.get("collection_name")), given.get("mongo_id"), given.get("data")
    )


def mapping_of(mappings: Mapping[str, DocumentMapping], name: Any) -> DocumentMapping:
    """Find a collection's mapping.

    Raises:
        OperationError: it is not declared.

    """
    if name not in mappings:
        raise OperationError(f"there is no collection {name!r}", hint=f"declared: {', '.join(mappings)}")
    return mappings[name]
