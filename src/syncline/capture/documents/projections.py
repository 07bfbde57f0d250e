"""Projections without our field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from syncline.capture.documents.expressions import without_ours
from syncline.capture.documents.field import FIELD, refuse_ours
from syncline.capture.documents.updates import is_inclusion


def shown(projection: Mapping[str, Any] | Iterable[str] | None) -> dict[str, Any]:
    """Give a projection that hides our field, and else shows what it showed."""
    if projection is None:
        return {FIELD: 0}
    fields = _mapping(projection)
    for path in fields:
        refuse_ours(path)
    fields = {path: without_ours(value) for path, value in fields.items()}
    return fields if is_inclusion(fields) else {**fields, FIELD: 0}


def _mapping(projection: Mapping[str, Any] | Iterable[str]) -> dict[str, Any]:
    if isinstance(projection, Mapping):
        return dict(projection)
    if isinstance(projection, str):
        raise TypeError("projection must be a list of key names or a mapping, not a str")
    return dict.fromkeys(projection, 1)
