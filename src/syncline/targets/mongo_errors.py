"""Which of MongoDB's errors concern one record, and which the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from syncline.ports import Document, Rejection, Report

DUPLICATE_KEY = 11000
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
PORTION_BYTES = 8 * 1024 * 1024

REJECTIONS = {
    2: "bad_value",
    9: "failed_to_parse",
    14: "type_mismatch",
    15: "overflow",
    22: "invalid_bson",
    28: "path_not_viable",
    52: "dollar_field",
    57: "dotted_field",
    66: "immutable_field",
    121: "validation",
    171: "parallel_arrays",
    10334: "too_large",
    16755: "geo_key",
    17280: "index_key_too_long",
    17419: "too_large",
    16410: "dollar_field",
}
"""Errors of one document that will be the same tomorrow. Everything else is the server's trouble and parks nothing."""


REFUSALS = {13, 18, 64, 91, 100, 189, 8000, 10058, 10107, 11600, 11602, 13435, 13436, 14031}
"""Errors that no record is to blame for: privileges, credentials, missing members or primaries, a full disk."""


class _UnlistedWriteError(PyMongoError):
    """A write error that is neither a rejection nor a conflict."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


def of(reply: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """List the errors in a write command's reply that concern single documents.

    Raises:
        PyMongoError: at least one error says that the server, not a document, is in trouble.

    """
    if concern := reply.get("writeConcernError"):
        raise _UnlistedWriteError(f"write concern not met: {concern.get('errmsg')}", concern.get("code"))
    errors: list[Mapping[str, Any]] = reply.get("writeErrors", [])
    for one in errors:
        if one["code"] != DUPLICATE_KEY and one["code"] not in REJECTIONS:
            raise _UnlistedWriteError(f"{one.get('errmsg')} (code {one['code']})", one["code"])
    return errors


def is_duplicate_id(error: Mapping[str, Any]) -> bool:
    """Tell whether the ``_id`` itself was there already."""
    return bool(error["code"] == DUPLICATE_KEY and index_name(error) == "_id_")


def is_conflict(error: Mapping[str, Any]) -> bool:
    """Tell whether a unique index gives the value to another record."""
    return bool(error["code"] == DUPLICATE_KEY)


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
    return REJECTIONS.get(error["code"], str(error["code"]))


def portions(documents: Sequence[Document], report: Report, codec: bson.CodecOptions[Any]) -> Iterator[list[Document]]:
    """Split documents into lists that fit one message; what can never be sent is filed as rejected."""
    portion: list[Document] = []
    total = 0
    for document in documents:
        problem = encoding_problem(document, codec)
        if problem is not None:
            report.rejected.append(Rejection(document["_originalId"], *problem))
            continue
        size = len(bson.encode(document, codec_options=codec))
        if portion and total + size > PORTION_BYTES:
            yield portion
            portion, total = [], 0
        portion.append(document)
        total += size
    if portion:
        yield portion


def encoding_problem(document: Mapping[str, Any], codec: bson.CodecOptions[Any]) -> tuple[str, str] | None:
    """Say why a document can never be sent: (code, message), or ``None`` when it can."""
    try:
        size = len(bson.encode(document, codec_options=codec))
    except (BSONError, OverflowError) as error:
        return "mapping", _culprit(document, codec) or str(error)
    if size > MAX_DOCUMENT_BYTES:
        return "too_large", f"the document has {size:,} bytes, MongoDB takes {MAX_DOCUMENT_BYTES:,}"
    return None


def _culprit(document: Mapping[str, Any], codec: bson.CodecOptions[Any], path: str = "") -> str | None:
    """Name the first field that cannot be encoded."""
    for name, value in document.items():
        try:
            bson.encode({name: value}, codec_options=codec)
        except (BSONError, OverflowError) as error:
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
        hint = "check user and password in the target's URL" if error.code == 18 else None
        raise _kind(error)(f"MongoDB refused: {error._message} (code {error.code})", hint=hint) from error  # noqa: SLF001
    except PyMongoError as error:
        raise _kind(error)(f"MongoDB: {_short(error)}") from error


def _kind(error: PyMongoError) -> type[TargetUnavailableError]:
    return TargetRefusedError if getattr(error, "code", None) in REFUSALS else TargetUnavailableError


def _short(error: Exception) -> str:
    return str(error).split(", Timeout:")[0].split(" (configured timeouts")[0]
