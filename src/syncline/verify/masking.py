"""Values that must not be shown: whether they differ may be said, what they are may not.

They are taken out where a finding is made, so that nothing behind it can print, store or log them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from syncline.model.canonical import Missing
from syncline.model.masks import MASKED

Path = tuple[str, ...]


class Mask:
    """The masked fields of one entity.

    Args:
        fields: dotted paths of fields; elements of arrays are not numbered in them.

    """

    def __init__(self, fields: Sequence[str]) -> None:
        self._paths = [tuple(field.split(".")) for field in fields]

    def pair(self, path: str, source: Any, target: Any) -> tuple[Any, Any]:
        """Mask what a difference shows of its two values."""
        if not self._paths:
            return source, target
        place = tuple(path.split("."))
        plain = tuple(part for part in place if not part.isdecimal())
        if any(self._covers(masked, place) or self._covers(masked, plain) for masked in self._paths):
            return MASKED, MASKED
        inner = [masked[len(plain) :] for masked in self._paths if masked[: len(plain)] == plain]
        return (_within(source, inner), _within(target, inner)) if inner else (source, target)

    @staticmethod
    def _covers(masked: Path, place: Path) -> bool:
        return place[: len(masked)] == masked


def _within(value: Any, inner: Sequence[Path]) -> Any:
    """Mask fields inside of a value; one that is no subdocument, where one is expected, may hold anything."""
    if isinstance(value, Mapping):
        return {name: _field(item, [path for path in inner if path[0] == name]) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_within(item, inner) for item in value]
    return value if value is None or isinstance(value, Missing) else MASKED


def _field(value: Any, paths: Sequence[Path]) -> Any:
    if not paths:
        return value
    deeper = [path[1:] for path in paths]
    return MASKED if () in deeper else _within(value, deeper)
