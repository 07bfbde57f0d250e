"""The collection that every repository is asked about: its mapping, documents, questions, and what each answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

from bson.binary import Binary
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

from syncline.model.documents import Array, Collection, DocumentMapping, Field, Part
from syncline.phases.repositories import Between, Contains, Missing, Not, OneOf, StartsWith

TASKS = DocumentMapping(
    Collection(
        "tasks",
        part=Part(
            columns={
                "title": Field("text"),
                "email": Field("text", unique=True),
                "status": Field("text", values=("todo", "done", "Blocked"), enum="task_status"),
                "kind": Field("text", values=("bug", "chore")),
                "team": Field("text", default="none"),
                "note": Field("text", null="null"),
                "priority": Field("integer"),
                "size": Field("bigint"),
                "score": Field("double"),
                "price": Field("numeric"),
                "open": Field("boolean"),
                "due": Field("timestamptz"),
                "day": Field("date"),
                "who": Field("objectid", references="tasks"),
                "uid": Field("uuid"),
                "deferred.until": Field("timestamptz"),
                "extra": Field("jsonb"),
            },
            arrays={
                "labels": Array(value=Field("text")),
                "watchers": Array(value=Field("objectid"), no_rows="empty"),
                "steps": Array(part=Part(columns={"text": Field("text"), "done": Field("boolean")})),
            },
        ),
    )
)
"""The collection of the contract."""


def oid(number: int) -> ObjectId:
    """Make the id of a number: ids are in the order of the numbers."""
    return ObjectId(f"{number:024x}")


def moment(second: int, micros: int = 0) -> datetime:
    """Make a moment, as PyMongo gives them."""
    return datetime(2026, 5, 1, 12, 0, second, micros)  # noqa: DTZ001


FULL: Mapping[str, Any] = {
    "title": "Write it down",
    "email": "ann@example.org",
    "status": "todo",
    "kind": "bug",
    "team": "red",
    "note": None,
    "priority": 3,
    "size": Int64(2**40),
    "score": 1.5,
    "price": Decimal128("12.50"),
    "open": True,
    "due": moment(1, 123_000),
    "day": datetime(2026, 5, 1),  # noqa: DTZ001
    "who": oid(7),
    "uid": Binary(UUID(int=5).bytes, 4),
    "deferred": {"until": moment(2), "by": {"name": "Bob", "why": None}},
    "extra": {"a": [1, 2.0, {"b": None}]},
    "labels": ["x", "y"],
    "watchers": [oid(1)],
    "steps": [{"text": "one", "done": False}, {"text": "two", "more": 1}],
    "unknown": {"deep": ["kept", 5]},
}
DAY = timedelta(days=1)
TOO_LATE = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-1)))
"""In UTC it is in the year 10000."""
IMPOSSIBLE: Sequence[Any] = (2**70, object(), UUID(int=5), "\ud800", TOO_LATE, {"b": [object()]}, {5: 1})
"""Values that BSON lacks."""
DOCUMENTS: Mapping[str, Sequence[Any]] = {
    "title": ("a", "B", "ä", "", "aa", None, "a%b_c", "[a-z]+", 5, ["a"], "A"),
    "status": ("todo", "done", "Blocked", None, "lost"),
    "team": ("none", "red", None, 1),
    "note": ("x", None),
    "priority": (1, 2, 3, 2.0, "2", None, [2], 2**31 - 1, Int64(2**40)),
    "size": (1, Int64(2**40), 3.0, None, Int64(-5)),
    "score": (1.5, 2, float("nan"), float("inf"), -0.0, None, "1.5"),
    "price": (Decimal128("1.50"), Decimal128("1.5"), 1.5, Decimal128("-2"), None),
    "open": (True, False, None, 1, "true"),
    "due": (moment(1), moment(1, 1000), moment(2), None, "2026"),
    "day": (datetime(2026, 5, 1), datetime(2026, 5, 1, 10), datetime(2026, 5, 2), None),  # noqa: DTZ001
    "who": (oid(1), oid(2), str(oid(1)), None),
    "deferred.until": (moment(1), moment(2), None),
    "labels": (["x", "y"], ["y"], [], None, "x", [None], ["xy", 5]),
    "watchers": ([oid(1), oid(2)], [], None, [None]),
}
"""By path, the values of documents 0, 1, …; after them comes one that has no such field."""
QUESTIONS: Sequence[tuple[str, Any, Sequence[int]]] = (
    ("title", "a", [0]),
    ("title", "A", [10]),
    ("title", 5, []),
    ("title", "nul\0", []),
    ("title", "\ud800", []),
    ("title", None, [5, 11]),
    ("title", Missing(), [5, 11]),
    ("title", Not(None), [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]),
    ("title", Not("a"), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    ("title", OneOf("a", "ä", 5), [0, 2]),
    ("title", OneOf("a", None), [0, 5, 11]),
    ("title", OneOf(), []),
    ("title", Contains("a"), [0, 4, 6, 7]),
    ("title", Contains("A"), [10]),
    ("title", Contains("A", ignore_case=True), [0, 4, 6, 7, 10]),
    ("title", Contains("Ä", ignore_case=True), []),
    ("title", Contains("%"), [6]),
    ("title", Contains("a-z"), [7]),
    ("title", Contains(""), [0, 1, 2, 3, 4, 6, 7, 10]),
    ("title", Contains("\0"), []),
    ("title", StartsWith("a"), [0, 4, 6]),
    ("title", StartsWith("["), [7]),
    ("title", Not(StartsWith("a")), [1, 2, 3, 5, 7, 8, 9, 10, 11]),
    ("title", Between("B", "a"), [0, 1, 7]),
    ("title", Between(above="a", below="ä"), [4, 6]),
    ("status", "done", [1]),
    ("status", "lost", []),
    ("status", OneOf("todo", "lost"), [0]),
    ("status", None, [3, 5]),
    ("status", Contains("o"), [0, 1, 2]),
    ("status", Between(above="Blocked"), [0, 1]),
    ("team", "none", [0]),
    ("team", None, [2, 4]),
    ("team", Between("a"), [0, 1]),
    ("team", Contains("e"), [0, 1]),
    ("note", None, [1, 2]),
    ("note", "x", [0]),
    ("priority", 2, [1, 3]),
    ("priority", Int64(2), [1, 3]),
    ("priority", 2.0, [1, 3]),
    ("priority", 2.5, []),
    ("priority", 2**31, []),
    ("priority", 2**70, []),
    ("priority", True, []),
    ("priority", OneOf(1, 2**40), [0]),
    ("priority", Between(2, 3), [1, 2, 3]),
    ("priority", Between(above=2**30), [7]),
    ("size", Between(at_most=3), [0, 2, 4]),
    ("size", Between(at_least=3), [1, 2]),
    ("score", 1.5, [0]),
    ("score", 2, [1]),
    ("score", 0, [4]),
    ("score", float("nan"), [2]),
    ("score", Between(at_least=1.5), [0, 1, 3]),
    ("score", Between(below=2), [0, 4]),
    ("price", Decimal("1.5"), [0, 1]),
    ("price", Between(below=Decimal(0)), [3]),
    ("price", Not(None), [0, 1, 2, 3]),
    ("open", True, [0]),
    ("open", False, [1]),
    ("open", 1, []),
    ("due", moment(1), [0]),
    ("due", moment(1, 999), [0]),
    ("due", TOO_LATE, []),
    ("due", moment(1).replace(tzinfo=UTC), [0]),
    ("due", moment(1).replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=5))), [0]),
    ("due", Between(moment(1, 1000), moment(2)), [1, 2]),
    ("day", date(2026, 5, 1), [0, 1]),
    ("day", Between(at_most=date(2026, 5, 1)), [0, 1]),
    ("day", Between(above=date(2026, 5, 1)), [2]),
    ("who", oid(1), [0]),
    ("who", str(oid(1)), [0]),
    ("who", "no id", []),
    ("who", Between(above=oid(1)), [1]),
    ("deferred.until", moment(1), [0]),
    ("deferred.until", None, [2, 3]),
    ("deferred.until", Between(above=moment(1)), [1]),
    ("labels", "x", [0]),
    ("labels", "y", [0, 1]),
    ("labels", OneOf("x", "xy"), [0, 6]),
    ("labels", Not("y"), [2, 3, 4, 5, 6, 7]),
    ("labels", None, [3, 7]),
    ("watchers", oid(2), [0]),
    ("watchers", str(oid(2)), [0]),
    ("watchers", None, [2, 4]),
    ("_id", oid(1), [1]),
    ("_id", OneOf(str(oid(0)), "no id", oid(99)), [0]),
    ("_id", Between(below=oid(2)), [0, 1]),
)
ORDERS: Sequence[tuple[str, Sequence[Any], Sequence[int]]] = (
    ("title", ("b", "B", None, "", "ä", "a", "B"), [2, 7, 3, 1, 6, 5, 0, 4]),
    ("status", ("todo", "done", "Blocked", None), [3, 4, 2, 1, 0]),
    ("team", ("none", "a", "z"), [3, 1, 0, 2]),
    ("priority", (3, None, 1, 2, 1), [1, 5, 2, 4, 3, 0]),
    ("score", (1.5, float("nan"), -1, float("inf"), None), [4, 5, 1, 2, 0, 3]),
    ("price", (Decimal128("1.5"), Decimal128("NaN"), None, Decimal128("-1")), [2, 4, 1, 3, 0]),
    ("open", (True, None, False), [1, 3, 2, 0]),
    ("due", (moment(2), None, moment(1, 1000), moment(1)), [1, 4, 3, 2, 0]),
    ("who", (oid(2), oid(1), None), [2, 3, 1, 0]),
    ("uid", (Binary(b"\xff" * 16, 4), Binary(b"\0" * 16, 4)), [2, 1, 0]),
    ("deferred.until", (moment(2), None, moment(1)), [1, 3, 2, 0]),
)
"""By path: values, and the numbers of their documents in ascending order; the last has no such field."""
