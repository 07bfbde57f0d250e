"""Which of MongoDB's errors concern one record, and which the server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import bson
from bson.errors import BSONError
from pymongo.errors import (
    ConfigurationError,
    InvalidName,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
)

from syncline.errors import TargetError, TargetRefusedError, TargetUnavailableError
from syncline.model.values import MAX_LEVELS, Unrepresentable, nesting
from syncline.ports import Document, Rejection, Report

DUPLICATE_KEY = 11000
REPEATED_FIELD = 7693400
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
PORTION_BYTES = 8 * 1024 * 1024
BREATH = 10
"""Documents that are encoded one after the other before other tasks have their turn."""

NAMES = {
    2: "bad_value",
    9: "failed_to_parse",
    14: "type_mismatch",
    15: "too_deep",
    22: "invalid_bson",
    28: "path_not_viable",
    52: "dollar_field",
    57: "dotted_field",
    66: "immutable_field",
    121: "validation",
    166: "not_a_collection",
    171: "parallel_arrays",
    510: "geo_key",
    10334: "too_large",
    13027: "geo_key",
    13068: "geo_key",
    16410: "dollar_field",
    16755: "geo_key",
    16766: "geo_key",
    17261: "text_language",
    17262: "text_language",
    17280: "index_key_too_long",
    17419: "too_large",
}
"""Short names of errors; the others go by their number."""

RIGHTS = frozenset({13, 18, 391})
"""Errors of privileges and credentials."""
REFUSALS = {
    *RIGHTS,
    6, 7, 70, 89, 133, 202, 384, 9001,  # a shard or a member that cannot be reached
    189, 10058, 10107, 11602, 13435, 13436,  # no primary here
    91, 279, 11600,  # going down
    63, 150, 249, 13388,  # a router that has to look again
    64, 100, 134,  # too few members
    14031, 8000,  # no room left, the provider's quota
}  # fmt: skip
"""Errors that no record is to blame for."""
TIME_LIMITS = {24, 46, 50, 107, 112, 146, 262, 290, 11601}
"""Errors of a server that is busy; a record may be why, so these are looked into like a server that hangs."""
LABELS = {"RetryableWriteError", "TransientTransactionError", "RetryableError", "SystemOverloadedError", "NetworkError"}
"""What servers call errors that pass."""
_NO_ROOM = re.compile(r"no space left|out of disk|disk full|over your (space )?quota|quota exceeded", re.IGNORECASE)
_UNNAMED = {1, 8, 39, 96}
"""Codes that say nothing; only then does the message count, which may hold what a document says."""
_CONTENTS = {15, 22, 10334, 17419}
"""Errors of a whole command that only what it carries can bring about."""


class _ServersOwnError(PyMongoError):
    """The write error of one document that is the server's trouble."""

    def __init__(self, message: str, code: int | None = None, *, refusal: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.refusal = refusal


def of(reply: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """List the errors in a write command's reply that concern single documents: each is that document's own.

    Raises:
        PyMongoError: at least one error says that the server, not a document, is in trouble.

    """
    if concern := reply.get("writeConcernError"):
        raise _ServersOwnError(f"write concern not met: {concern.get('errmsg')}", concern.get("code"))
    errors: list[Mapping[str, Any]] = reply.get("writeErrors", [])
    labelled = not LABELS.isdisjoint(reply.get("errorLabels", ()))
    for one in errors:
        if one["code"] != DUPLICATE_KEY and (labelled or is_servers_own(one)):
            message = f"{one.get('errmsg')} (code {one['code']})"
            raise _ServersOwnError(message, one["code"], refusal=one["code"] not in TIME_LIMITS)
    return errors


def is_servers_own(error: Mapping[str, Any]) -> bool:
    """Tell whether the write error of a document is the server's trouble."""
    code = error["code"]
    if code in REFUSALS or code in TIME_LIMITS or not LABELS.isdisjoint(error.get("errorLabels", ())):
        return True
    return code in _UNNAMED and _NO_ROOM.search(str(error.get("errmsg", ""))) is not None


def is_of_contents(error: Exception) -> bool:
    """Tell whether a command failed for what it carries: it could not be encoded, or the server could not read it."""
    if isinstance(error, OperationFailure):
        return error.code in _CONTENTS or "nested object depth" in str(error)
    return not isinstance(error, (PyMongoError, OSError))


def is_duplicate_id(error: Mapping[str, Any]) -> bool:
    """Tell whether the ``_id`` itself was there already."""
    return bool(error["code"] == DUPLICATE_KEY and index_name(error) == "_id_")


def is_conflict(error: Mapping[str, Any]) -> bool:
    """Tell whether a unique index gives the value to another record."""
    return bool(error["code"] == DUPLICATE_KEY)


def is_of_repeated_field(error: Mapping[str, Any]) -> bool:
    """Tell whether the stored document has two fields of one name."""
    return bool(error["code"] == REPEATED_FIELD)


def index_name(error: Mapping[str, Any]) -> str:
    """Name the index of a duplicate key error."""
    pattern = error.get("keyPattern")
    if pattern is not None:
        return "_id_" if list(pattern) == ["_id"] else "_".join(f"{k}_{v}" for k, v in pattern.items())
    return "_id_" if " index: _id_ " in str(error.get("errmsg", "")) else "unknown"


def unique_value(error: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Give the indexed fields of a duplicate key error with the value in question.

    Under a collation the server tells the index's key, which is not the value: that is in the document.
    """
    value: Mapping[str, Any] = error.get("keyValue") or {}
    if "collation" not in error:
        return dict(value)
    return {path: _at(document, path) for path in value}


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def rejection_code(error: Mapping[str, Any]) -> str:
    """Give the short, stable code of a rejection."""
    return NAMES.get(error["code"], str(error["code"]))


async def portions(
    documents: Sequence[Document], report: Report, codec: bson.CodecOptions[Any]
) -> AsyncIterator[list[Document]]:
    """Split documents into lists that fit one message; what can never be sent is filed as rejected."""
    portion: list[Document] = []
    total = 0
    for number, document in enumerate(documents, 1):
        if number % BREATH == 0:
            await asyncio.sleep(0)
        size, problem = _weighed(document, codec)
        if problem is not None:
            report.rejected.append(Rejection(document["_originalId"], *problem))
            continue
        if portion and total + size > PORTION_BYTES:
            yield portion
            portion, total = [], 0
        portion.append(document)
        total += size
    if portion:
        yield portion


def encoding_problem(document: Mapping[str, Any], codec: bson.CodecOptions[Any]) -> tuple[str, str] | None:
    """Say why a document can never be sent: (code, message), or ``None`` when it can."""
    return _weighed(document, codec)[1]


def _weighed(document: Mapping[str, Any], codec: bson.CodecOptions[Any]) -> tuple[int, tuple[str, str] | None]:
    """Give a document's size in bytes, and why it can never be sent."""
    for name, value in document.items():  # as nearly always; to ask the driver takes twenty times as long
        if isinstance(value, Unrepresentable):
            return 0, ("mapping", f"field {name}: {value.reason}")
    levels = nesting(document)
    if levels > MAX_LEVELS:
        return 0, ("too_deep", f"the document has {levels:,} levels, MongoDB takes {MAX_LEVELS}")
    try:
        size = len(bson.encode(document, codec_options=codec))
    except Exception as error:  # noqa: BLE001  the driver has many kinds, of its own and Python's
        return 0, ("mapping", _culprit(document, codec) or str(error) or type(error).__name__)
    if size > MAX_DOCUMENT_BYTES:
        return size, ("too_large", f"the document has {size:,} bytes, MongoDB takes {MAX_DOCUMENT_BYTES:,}")
    return size, None


def refused(document: Mapping[str, Any], refusal: Exception, codec: bson.CodecOptions[Any]) -> tuple[str, str]:
    """Say why a document could not be sent alone: (code, message).

    Raises:
        Exception: what it met with, if that has nothing to do with the document.

    """
    problem = encoding_problem(document, codec)
    if problem is not None:
        return problem
    if isinstance(refusal, OperationFailure):
        return NAMES.get(refusal.code or 0, str(refusal.code)), str(refusal._message)  # noqa: SLF001
    if isinstance(refusal, (OverflowError, BSONError)):  # it fits a document, but not together with its update
        return "too_large", str(refusal)
    raise refusal


def _culprit(document: Mapping[str, Any], codec: bson.CodecOptions[Any], path: str = "") -> str | None:
    """Name the first field that cannot be encoded."""
    for name, value in document.items():
        try:
            bson.encode({name: value}, codec_options=codec)
        except Exception as error:  # noqa: BLE001  as above
            here = f"{path}{name}"
            inner = _culprit(value, codec, f"{here}.") if isinstance(value, Mapping) else None
            return inner or f"field {here}: {_reason(value, error)}"
    return None


def _reason(value: Any, error: Exception) -> str:
    values = value if isinstance(value, list) else [value]
    return next((v.reason for v in values if hasattr(v, "reason")), None) or str(error)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours."""
    try:
        yield
    except (ConfigurationError, InvalidName, InvalidOperation) as error:
        raise TargetError(f"MongoDB cannot be used like this: {error}") from error
    except OperationFailure as error:
        hint = "check user and password in MongoDB's URL" if error.code == 18 else None
        raise _kind(error)(f"MongoDB refused: {error._message} (code {error.code})", hint=hint) from error  # noqa: SLF001
    except PyMongoError as error:
        raise _kind(error)(f"MongoDB: {_short(error)}") from error


def _kind(error: PyMongoError) -> type[TargetUnavailableError]:
    passing = isinstance(error, OperationFailure) and any(map(error.has_error_label, LABELS))
    refusal = passing or getattr(error, "refusal", False) or getattr(error, "code", None) in REFUSALS
    return TargetRefusedError if refusal else TargetUnavailableError


def _short(error: Exception) -> str:
    return str(error).split(", Timeout:")[0].split(" (configured timeouts")[0]
