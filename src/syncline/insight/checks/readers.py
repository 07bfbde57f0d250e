"""Fields whose values hurt readers of the target: dates that drivers cannot read, numbers that park their records."""

from __future__ import annotations

from collections.abc import Iterator

from syncline.errors import MappingError
from syncline.insight import reach
from syncline.insight.checks.finding import Finding, Subject, ok, warning
from syncline.insight.sampling import far_dates, wide_numbers
from syncline.model.entity import Column, Shape
from syncline.model.fields import Selected
from syncline.model.projections import projection_of
from syncline.model.types import Kind

ROWS = 1000
"""So many rows of a table are looked at: with hundreds of tables it must stay quick."""


async def readers(subject: Subject) -> list[Finding]:
    """Look at some rows for values that are no good in documents, with the line that fixes it."""
    found: list[Finding] = []
    for place, shape, dates, selected in _sections(subject):
        if dates == "exact":
            columns = await far_dates(subject.connection, shape, _columns(shape, selected, Kind.DATE), rows=ROWS)
            found += [_far(place, shape, columns)] if columns else []
        columns = await wide_numbers(subject.connection, shape, _columns(shape, selected, Kind.DECIMAL), rows=ROWS)
        found += [_wide(place, shape, columns)] if columns else []
    return found or [
        ok("readers", "no field holds dates or numbers that readers cannot have (some rows were looked at)")
    ]


def _sections(subject: Subject) -> Iterator[tuple[str, Shape, str, tuple[Selected, ...]]]:
    for entity in subject.entities:
        try:
            projection = projection_of(entity, subject.shapes[entity.table], subject.shapes)
        except (KeyError, MappingError):
            continue  # the check of the mapping says so
        yield entity.name, projection.shape, projection.dates, projection.selected
        for embed in projection.embeds:
            yield f"{entity.name}.embed.{embed.embed.field}", embed.shape, embed.dates, embed.selected


def _columns(shape: Shape, selected: tuple[Selected, ...], kind: Kind) -> list[Column]:
    names = {one.column for one in selected if one.kind is kind}
    return [column for column in shape.columns if column.name in names]


def _far(place: str, shape: Shape, columns: list[str]) -> Finding:
    return warning(
        "readers",
        f'{shape.table}: {reach.names(columns)} hold infinity or years outside of 1 to 9999, and dates = "exact"',
        why="many drivers cannot read such dates: one of them fails the whole query of a reader",
        fix=f'dates = "nearest" (or "text") in [entities.{place}], then `syncline install`',
    )


def _wide(place: str, shape: Shape, columns: list[str]) -> Finding:
    pairs = ", ".join(f'"{column}" = "text"' for column in columns)
    return warning(
        "readers",
        f"{shape.table}: {reach.names(columns)} hold numbers of more than 34 digits",
        why="no Decimal128 holds them: their records are parked, and readers see the state before",
        fix=f"types = {{ {pairs} }} in [entities.{place}], then `syncline install`",
    )


CHECKS = (readers,)
