"""Many writes in one call, as programs: each marks, and the results are those of the bare collection.

A delete is an update in the end, so that deletes are sent apart from the others, in the user's order; what each group
reports is put together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne, common
from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.results import BulkWriteResult, InsertManyResult

from syncline.capture.documents.filters import live
from syncline.capture.documents.obstacles import DUPLICATE, TRIES, no_room, obstacle
from syncline.capture.documents.programs import Call, Program
from syncline.capture.documents.updates import inserted, marked_update, replacement, tombstone
from syncline.capture.documents.writes import identified, revive_inserted, revive_upserted

_COUNTS = ("nInserted", "nMatched", "nModified", "nRemoved", "nUpserted")


@dataclass(slots=True)
class _Write:
    """One of the user's, and what it becomes."""

    index: int
    user: Any
    sent: Any
    marked: Any = None
    begins: Mapping[str, Any] | None = None
    shown: Any = None
    """What an error shows as the operation."""
    tries: int = 0

    @property
    def deletes(self) -> bool:
        return isinstance(self.user, DeleteOne | DeleteMany)

    @property
    def rank(self) -> int:
        """Where PyMongo sends it when the order is free: inserts, updates, deletes."""
        return 2 if self.deletes else int(not isinstance(self.user, InsertOne))


def insert_many(documents: Iterable[Any], options: Mapping[str, Any]) -> Program[InsertManyResult]:
    """Insert; tombstones of the same ``_id`` give way."""
    if not isinstance(documents, Iterable) or isinstance(documents, Mapping) or not documents:
        raise TypeError("documents must be a non-empty list")
    requests = [InsertOne(identified(document)) for document in documents]
    yield from bulk_write(requests, options)
    return InsertManyResult([request._doc["_id"] for request in requests], acknowledged=True)


def bulk_write(requests: Sequence[Any], options: Mapping[str, Any]) -> Program[BulkWriteResult]:
    """Write all, ordered or not.

    Raises:
        BulkWriteError: as the bare collection's, with the user's operations.

    """
    common.validate_list("requests", requests)
    writes = [_prepared(index, request) for index, request in enumerate(requests)]
    if not writes:
        return (yield Call("bulk_write", (requests,), dict(options)))  # type: ignore[no-any-return]
    ordered = options.get("ordered", True)
    total: dict[str, Any] = {"writeErrors": [], "writeConcernErrors": [], "upserted": []} | dict.fromkeys(_COUNTS, 0)
    for group in _groups(writes, ordered=ordered):
        yield from _Group(group, options, total, ordered=ordered).write()
        if ordered and total["writeErrors"]:
            break
    for listed in ("writeErrors", "upserted"):
        total[listed].sort(key=lambda each: each["index"])
    if total["writeErrors"] or total["writeConcernErrors"]:
        raise BulkWriteError(total)
    return BulkWriteResult(total, acknowledged=True)


def _groups(writes: list[_Write], *, ordered: bool) -> Iterator[list[_Write]]:
    if not ordered:
        yield from filter(None, ([one for one in writes if one.rank == rank] for rank in range(3)))
        return
    start = 0
    for end in range(1, len(writes) + 1):
        if end == len(writes) or writes[end].deletes is not writes[start].deletes:
            yield writes[start:end]
            start = end


class _Group:
    """Writes that are sent together, and again from the one on that met a tombstone."""

    def __init__(
        self, writes: list[_Write], options: Mapping[str, Any], total: dict[str, Any], *, ordered: bool
    ) -> None:
        self._left, self._options, self._total, self._ordered = writes, options, total, ordered

    def write(self) -> Program[None]:
        while self._left:
            sent, self._left = self._left, []
            try:
                result = yield Call("bulk_write", ([one.sent for one in sent],), dict(self._options))
                self._count(sent, result.bulk_api_result)
            except BulkWriteError as error:
                self._count(sent, error.details)
                for each in error.details["writeErrors"]:
                    yield from self._judge(sent, each)
                if self._total["writeErrors"] and self._ordered:
                    return

    def _count(self, sent: list[_Write], details: Mapping[str, Any]) -> None:
        total = self._total
        if sent[0].deletes:
            total["nRemoved"] += details["nMatched"]
        else:
            for count in _COUNTS:
                total[count] += details[count]
        total["upserted"] += [{**each, "index": sent[each["index"]].index} for each in details["upserted"]]
        total["writeConcernErrors"] += details["writeConcernErrors"]

    def _judge(self, sent: list[_Write], error: dict[str, Any]) -> Program[None]:
        """Let a tombstone give way, or keep the error; in order, what comes behind it is still to be sent."""
        place = error["index"]
        one = sent[place]
        shown = {**error, "index": one.index, "op": one.shown if one.shown is not None else error["op"]}
        refusal = DuplicateKeyError(error["errmsg"], error["code"], shown)
        try:
            again = yield from self._gave_way(one, error, refusal)
        except DuplicateKeyError:
            self._total["writeErrors"].append(shown)
            return
        following = sent[place + 1 :] if self._ordered else []
        self._left += [one, *following] if again else following

    def _gave_way(self, one: _Write, error: Mapping[str, Any], refusal: DuplicateKeyError) -> Program[bool]:
        """Revive a tombstone; True: it is to be sent again."""
        one.tries += 1
        if error["code"] != DUPLICATE or one.tries > TRIES:
            raise refusal
        if one.deletes:
            raise no_room(refusal)
        options = {name: value for name, value in self._options.items() if name != "ordered"}
        if isinstance(one.user, InsertOne):
            done = yield from revive_inserted(one.user._doc, refusal, error, options)
            self._total["nInserted"] += done
            return not done
        found = yield from obstacle(refusal, error, options, one.user._filter if one.user._upsert else None)
        if found is None and isinstance(one.user, UpdateMany) and not one.user._upsert:
            raise refusal  # some documents may be changed: a second try would change them twice
        if found is None:
            return True
        if not isinstance(one.user, ReplaceOne) and one.user._array_filters:
            options["array_filters"] = one.user._array_filters
        result = yield from revive_upserted("update_one", found, one.marked, one.begins, options)
        if result.matched_count:
            self._total["nUpserted"] += 1
            self._total["upserted"].append({"index": one.index, "_id": found.id})
        return not result.matched_count


def _prepared(index: int, request: Any) -> _Write:
    if isinstance(request, InsertOne):
        document = identified(request._doc)
        return _Write(index, InsertOne(document), InsertOne(inserted(document)), shown=document)
    if isinstance(request, DeleteOne | DeleteMany):
        one = isinstance(request, DeleteOne)
        sent = _sent(UpdateOne if one else UpdateMany, request, tombstone(), "collation", "hint")
        return _Write(index, request, sent, shown={"q": request._filter, "limit": int(one)})
    if isinstance(request, ReplaceOne):
        common.validate_ok_for_replace(request._doc)
        marked: Any = replacement(request._doc)
        sent = _sent(UpdateOne, request, marked, "upsert", "collation", "hint", "sort")
        return _Write(index, request, sent, marked, None, _shown(request))
    if isinstance(request, UpdateOne | UpdateMany):
        common.validate_ok_for_update(request._doc)
        marked = marked_update(request._doc)
        options = (
            "upsert",
            "collation",
            "hint",
            "array_filters",
            *(("sort",) if isinstance(request, UpdateOne) else ()),
        )
        sent = _sent(type(request), request, marked, *options)
        return _Write(index, request, sent, marked, request._filter, _shown(request))
    raise TypeError(f"{request!r} is not a valid request")


def _sent(kind: Any, request: Any, marked: Any, *options: str) -> Any:
    """Make the request that is sent; PyMongo's keep what they were given in private names."""
    return kind(live(request._filter), marked, **{name: getattr(request, f"_{name}") for name in options})


def _shown(request: Any) -> dict[str, Any]:
    """Give the operation as an error of the bare collection shows it."""
    multi = {} if isinstance(request, ReplaceOne) else {"multi": isinstance(request, UpdateMany)}
    upsert = {} if request._upsert is None else {"upsert": request._upsert}
    return {"q": request._filter, "u": request._doc, **multi, **upsert}
