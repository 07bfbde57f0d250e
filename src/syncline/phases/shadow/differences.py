"""In what two answers differ, field by field."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

_MOST = 20
_LONGEST = 200
_MISSING: Any = object()
_UNCHANGING = frozenset({str, int, float, bool, bytes, datetime, type(None)})


@dataclass(frozen=True, slots=True)
class Difference:
    """One field."""

    path: str
    """Names with a dot between them, positions in brackets; empty: the answer itself."""
    truth: str
    other: str

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.path or 'the answer'}: {self.truth}, the other side: {self.other}"


def same(truth: object, other: object) -> bool:
    """Tell whether two answers say the same: as ``==`` does, but that NaN is NaN, and True is not 1."""
    return next(_walk("", truth, other), None) is None


def differences(truth: object, other: object, hidden: Sequence[str] = ()) -> tuple[Difference, ...]:
    """List in what two answers differ, at most 20.

    Args:
        truth: the one answer.
        other: the other one.
        hidden: paths whose values are not shown, but their types.

    """
    return tuple(_shown(*found, hidden) for found in islice(_walk("", truth, other), _MOST))


def kept(answer: Any) -> Any:
    """Copy what whoever has an answer may change in it: documents, lists, and objects whose fields are declared.

    Whatever cannot be copied is given as it is: a request is never failed by what is compared.
    """
    try:
        return _kept(answer)
    except Exception:  # noqa: BLE001  of objects of users' own, or of a document within itself
        return answer


def _kept(value: Any) -> Any:
    if type(value) in _UNCHANGING:
        return value
    value = _plain(value)
    if isinstance(value, MutableMapping):
        return {name: _kept(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_kept(one) for one in value]
    return value.copy() if isinstance(value, (set, bytearray)) else value


def _walk(path: str, truth: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    truth, other = _plain(truth), _plain(other)
    if isinstance(truth, Mapping) and isinstance(other, Mapping):
        for name in {**truth, **other}:
            inner = f"{path}.{name}" if path else str(name)
            yield from _walk(inner, truth.get(name, _MISSING), other.get(name, _MISSING))
    elif isinstance(truth, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(truth) != len(other):
            yield path, f"{len(truth)} items", f"{len(other)} items"
        for place, pair in enumerate(zip(truth, other, strict=False)):
            yield from _walk(f"{path}[{place}]", *pair)
    elif not _equal(truth, other):
        yield path, truth, other


def _plain(value: Any) -> Any:
    """See an object's fields, if it is one of those that have them declared."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    dump = getattr(value, "model_dump", None)
    return dump() if callable(dump) and not isinstance(value, Mapping) else value


def _equal(truth: Any, other: Any) -> bool:
    if truth is other:
        return True
    if isinstance(truth, bool) != isinstance(other, bool):
        return False
    return bool(truth == other) or bool(truth != truth and other != other)  # noqa: PLR0124


def _shown(path: str, truth: Any, other: Any, hidden: Sequence[str]) -> Difference:
    bare = "".join(part.partition("]")[2] if place else part for place, part in enumerate(path.split("[")))
    bare = bare.removeprefix(".")  # of a list of records
    return Difference(path, _text(_masked(bare, truth, hidden)), _text(_masked(bare, other, hidden)))


class _Masked:
    """Stands where a value is not shown."""

    def __init__(self, value: object) -> None:
        self._type = type(value).__name__

    def __repr__(self) -> str:
        return f"({self._type}, masked)"


def _masked(path: str, value: Any, hidden: Sequence[str]) -> Any:
    """Take hidden values out, however deep: a whole record is shown where the other side has none."""
    if value is _MISSING or not hidden:
        return value
    if any(path == one or path.startswith(f"{one}.") for one in hidden):
        return _Masked(value)
    value = _plain(value)
    if isinstance(value, Mapping):
        return {name: _masked(f"{path}.{name}" if path else str(name), one, hidden) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(path, one, hidden) for one in value]
    return value


def _text(value: object) -> str:
    if value is _MISSING:
        return "missing"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
