"""Masked fields: their values appear in no report. Which names a declaration may use."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from syncline.errors import MappingError
from syncline.model.fields import RESERVED, Selected
from syncline.model.mapping import Projection
from syncline.model.types import Kind


class Masked:
    """Stands in a finding for a value that is kept secret."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "•••"


MASKED = Masked()
_NESTED = frozenset({Kind.JSON, Kind.RANGE, Kind.MULTIRANGE})


def mask_problem(path: str) -> str | None:
    """Say why this cannot be the path of a masked field, whatever the table; ``None``: it can."""
    if not path or any(not part for part in path.split(".")):
        return "not the dotted path of a field"
    if path.partition(".")[0] in RESERVED:
        return "the key and Syncline's own fields cannot be masked: findings are named by them"
    return None


def check_mask(projection: Projection) -> None:
    """See that each masked path is a field of the documents, or lies within one or around one.

    Raises:
        MappingError: it masks nothing.

    """
    entity = projection.entity
    fields = dict(_fields(projection))
    columns = {one.column: one.field for one in projection.selected if one.column is not None}
    for path in entity.mask:
        if not any(_meets(path, field, nested) for field, nested in fields.items()):
            raise MappingError(
                f"{entity.name}: mask = {path!r} is no field of its documents",
                hint=_hint(path, columns.get(path), sorted(fields)),
            )


def _hint(path: str, renamed: str | None, fields: list[str]) -> str:
    close = [renamed] if renamed else get_close_matches(path, fields, n=1)
    return f"did you mean {close[0]!r}?" if close else f"its fields: {', '.join(fields)}"


def _meets(path: str, field: str, nested: bool) -> bool:
    return path == field or field.startswith(f"{path}.") or (nested and path.startswith(f"{field}."))


def _fields(projection: Projection) -> Iterator[tuple[str, bool]]:
    """List the paths of all fields, and whether there may be others within."""
    yield from map(_field, projection.selected)
    for embed in projection.embeds:
        yield embed.embed.field, False
        for field, nested in map(_field, embed.selected):
            yield f"{embed.embed.field}.{field}", nested


def _field(one: Selected) -> tuple[str, bool]:
    return one.field, one.kind in _NESTED
