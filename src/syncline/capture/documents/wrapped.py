"""``wrap``: PyMongo's collections, sync and async, whose every write marks and whose reads show none of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, overload

from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.synchronous.collection import Collection

from syncline.capture.documents import bulk, writes
from syncline.capture.documents.aggregations import hidden
from syncline.capture.documents.by_place import by_place
from syncline.capture.documents.examination import examined
from syncline.capture.documents.field import MARK, TOMBSTONE, refuse_ours
from syncline.capture.documents.filters import live
from syncline.capture.documents.gate import WriteGate, passing
from syncline.capture.documents.indexes import MARKS, UNMARKED, require_admitting
from syncline.capture.documents.programs import Call, Program, arun, run
from syncline.capture.documents.projections import shown
from syncline.errors import UnmarkableError

AS_IT_IS = frozenset({
    "codec_options", "create_search_index", "create_search_indexes", "database", "drop_index", "drop_search_index",
    "full_name", "index_information", "list_indexes", "list_search_indexes", "name", "options", "read_concern",
    "read_preference", "update_search_index", "write_concern",
})  # fmt: skip
"""What neither writes nor shows documents."""
REFUSED = {
    "drop": "delete_many({}), and drop `.bare` when no mark is left: rows of a dropped collection would stay",
    "drop_indexes": "drop_index by name: the marks' index would go",
    "rename": "a renamed collection is another one: copy it into a new wrapped collection",
    "watch": "watch `.bare`: its events tell of marks and tombstones, too",
}
"""What cannot be marked, or not hidden, and what to do instead."""


class MarkedCollection:
    """A ``pymongo.collection.Collection`` whose writes mark; parameters and results are PyMongo's.

    Two things differ: ``modified_count`` counts every document that was matched, since each has a new mark, and a write
    concern of 0 is refused. ``bare`` is the collection itself: what is written there is not marked.
    """

    _run: Callable[[Any, Program[Any]], Any] = staticmethod(run)

    def __init__(self, bare: Any, gate: WriteGate | None = None) -> None:
        self.bare = bare
        self.gate = gate

    def __getattr__(self, name: str) -> Any:
        if name in AS_IT_IS:
            return getattr(self.bare, name)
        if name in REFUSED:
            return lambda *_args, **_options: _refuse(name)
        raise AttributeError(f"a wrapped collection has no {name!r}; a collection of that name is to be wrapped itself")

    def __repr__(self) -> str:
        return f"wrap({self.bare!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MarkedCollection) and self.bare == other.bare

    def __hash__(self) -> int:
        return hash(self.bare)

    def __bool__(self) -> NoReturn:
        raise NotImplementedError("collections have no truth value: compare with None")

    def with_options(self, *args: Any, **options: Any) -> Any:
        """Wrap the collection with other options."""
        return type(self)(self.bare.with_options(*args, **options), self.gate)

    def _write(self, program: Program[Any], *, many: bool = False) -> Any:
        if not self.bare.write_concern.acknowledged:
            raise UnmarkableError(
                "a write of concern 0 does not tell what it met", hint="use a write concern of 1 or more"
            )
        return self._passed(program, many=many)

    def _passed(self, program: Program[Any], *, many: bool) -> Any:
        with passing(self.gate, self.bare.name, many=many):
            return run(self.bare, program)

    # -- writes

    @by_place
    def insert_one(self, document: Any, bypass_document_validation: bool | None = None, **options: Any) -> Any:
        """Insert a document."""
        return self._write(writes.insert_one(document, _with(options, bypass_document_validation)))

    @by_place
    def insert_many(
        self, documents: Any, ordered: bool = True, bypass_document_validation: bool | None = None, **options: Any
    ) -> Any:
        """Insert documents."""
        options = _with(options, bypass_document_validation) | {"ordered": ordered}
        return self._write(bulk.insert_many(documents, options))

    @by_place
    def update_one(self, filter: Any, update: Any, upsert: bool = False, **options: Any) -> Any:
        """Update a document."""
        return self._write(writes.update("update_one", filter, update, {"upsert": upsert, **options}))

    @by_place
    def update_many(self, filter: Any, update: Any, upsert: bool = False, **options: Any) -> Any:
        """Update documents."""
        return self._write(writes.update("update_many", filter, update, {"upsert": upsert, **options}), many=True)

    @by_place
    def replace_one(self, filter: Any, replacement: Any, upsert: bool = False, **options: Any) -> Any:
        """Replace a document."""
        return self._write(writes.replace_one(filter, replacement, {"upsert": upsert, **options}))

    @by_place
    def delete_one(self, filter: Any, **options: Any) -> Any:
        """Delete a document."""
        return self._write(writes.delete("update_one", filter, options))

    @by_place
    def delete_many(self, filter: Any, **options: Any) -> Any:
        """Delete documents."""
        return self._write(writes.delete("update_many", filter, options), many=True)

    @by_place
    def find_one_and_update(self, filter: Any, update: Any, projection: Any = None, **options: Any) -> Any:
        """Update a document and return it."""
        return self._write(writes.find_one_and_update(filter, update, projection, options))

    @by_place
    def find_one_and_replace(self, filter: Any, replacement: Any, projection: Any = None, **options: Any) -> Any:
        """Replace a document and return it."""
        return self._write(writes.find_one_and_replace(filter, replacement, projection, options))

    @by_place
    def find_one_and_delete(self, filter: Any, projection: Any = None, **options: Any) -> Any:
        """Delete a document and return it."""
        return self._write(writes.find_one_and_delete(filter, projection, options))

    @by_place
    def bulk_write(self, requests: Any, ordered: bool = True, **options: Any) -> Any:
        """Write many."""
        return self._write(bulk.bulk_write(requests, {"ordered": ordered, **options}))

    # -- reads

    def find(self, filter: Any = None, projection: Any = None, *args: Any, **options: Any) -> Any:
        """Find documents."""
        return self.bare.find(live(filter), shown(projection), *args, **options)

    def find_raw_batches(self, filter: Any = None, projection: Any = None, *args: Any, **options: Any) -> Any:
        """Find documents, as bytes."""
        return self.bare.find_raw_batches(live(filter), shown(projection), *args, **options)

    def find_one(self, filter: Any = None, projection: Any = None, *args: Any, **options: Any) -> Any:
        """Find a document; ``filter`` may be its ``_id``."""
        by = filter if filter is None or hasattr(filter, "keys") else {"_id": filter}
        return self.bare.find_one(live(by), shown(projection), *args, **options)

    @by_place
    def count_documents(self, filter: Any, **options: Any) -> Any:
        """Count documents."""
        return self.bare.count_documents(live(filter), **options)

    @by_place
    def estimated_document_count(self, **options: Any) -> Any:
        """Count documents by the collection's metadata, less its tombstones."""
        return self._run(self.bare, _estimated(options))

    @by_place
    def distinct(self, key: str, filter: Any = None, **options: Any) -> Any:
        """List the values of a field."""
        refuse_ours(key)
        return self.bare.distinct(key, live(filter), **options)

    @by_place
    def aggregate(self, pipeline: Any, **options: Any) -> Any:
        """Aggregate."""
        return self.bare.aggregate(hidden(pipeline), **options)

    @by_place
    def aggregate_raw_batches(self, pipeline: Any, **options: Any) -> Any:
        """Aggregate; documents come as bytes."""
        return self.bare.aggregate_raw_batches(hidden(pipeline), **options)

    # -- indexes

    @by_place
    def create_index(self, keys: Any, **options: Any) -> Any:
        """Create an index; a unique one must admit tombstones."""
        require_admitting(keys, options)
        return self.bare.create_index(keys, **options)

    @by_place
    def create_indexes(self, indexes: list[IndexModel], **options: Any) -> Any:
        """Create indexes; unique ones must admit tombstones."""
        for index in indexes:
            require_admitting(index.document["key"], index.document)
        return self.bare.create_indexes(indexes, **options)

    def examine(self, *, typed_ids: bool = True) -> Any:
        """List what is in the way of marking this collection, each with what to do; empty when nothing is."""
        return self._run(self.bare, examined(typed_ids=typed_ids))

    def prepare_marks(self) -> Any:
        """Create the two small indexes by which a relay finds marks; once, before the first write."""
        return self._run(self.bare, _prepared())


class AsyncMarkedCollection(MarkedCollection):
    """A ``pymongo.asynchronous.collection.AsyncCollection`` whose writes mark: what it awaits is awaited here."""

    _run = staticmethod(arun)

    async def _passed(self, program: Program[Any], *, many: bool) -> Any:
        with passing(self.gate, self.bare.name, many=many):
            return await arun(self.bare, program)


@overload
def wrap(collection: Collection[Any], *, gate: WriteGate | None = None) -> MarkedCollection: ...
@overload
def wrap(collection: AsyncCollection[Any], *, gate: WriteGate | None = None) -> AsyncMarkedCollection: ...
def wrap(collection: Collection[Any] | AsyncCollection[Any], *, gate: WriteGate | None = None) -> MarkedCollection:
    """Make every write of a collection mark, in the same single write.

    Args:
        collection: PyMongo's.
        gate: whom each write asks, before it and again before it returns: ``JournalPhases``. Without it nothing keeps a
            write out while the collection goes over to PostgreSQL, and after that.

    Raises:
        UnmarkableError: it is no collection of PyMongo's, or wrapped already.

    """
    if isinstance(collection, AsyncCollection):
        return AsyncMarkedCollection(collection, gate)
    if isinstance(collection, Collection):
        return MarkedCollection(collection, gate)
    raise UnmarkableError(
        f"{collection!r} is no collection of PyMongo's", hint="give a Collection or an AsyncCollection"
    )


def _with(options: dict[str, Any], bypass: bool | None) -> dict[str, Any]:
    return options if bypass is None else {**options, "bypass_document_validation": bypass}


def _refuse(name: str) -> NoReturn:
    raise UnmarkableError(f"{name} cannot be marked", hint=REFUSED[name])


def _estimated(options: dict[str, Any]) -> Program[int]:
    documents = yield Call("estimated_document_count", (), options)
    tombstones = yield Call("count_documents", ({MARK: {"$exists": True}, **TOMBSTONE},), options)
    return max(0, documents - tombstones)  # type: ignore[no-any-return]


def _prepared() -> Program[list[str]]:
    names = []
    for index in (MARKS, UNMARKED):
        partial = index["partialFilterExpression"]
        names.append(
            (yield Call("create_index", (index["keys"],), {"name": index["name"], "partialFilterExpression": partial}))
        )
    return names
