"""Columns that came after the last installation: whether the mapping may see them, what is to be said of them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from syncline.model.entity import Column, Entity, Fields, Shape, TableName

OWN = ""
"""Where the table's own columns stand among the known ones; those of an embed stand under its field."""


@dataclass(frozen=True, slots=True)
class Newcomers:
    """What is new in one section of an entity."""

    place: str
    """The section, e.g. ``todo`` or ``todo.embed.tags``."""
    policy: str
    """``sync``, ``ignore`` or ``stop``."""
    columns: tuple[str, ...]
    """Columns that nobody has decided on."""
    renamed: tuple[tuple[str, str], ...] = ()
    """Excluded columns that have another name now, with it: they stay out."""

    @property
    def sentence(self) -> str:
        """Say it to people, with what to do."""
        parts = [
            f"{new!r} was {old!r}, which is excluded, and stays out: write {new!r} there" for old, new in self.renamed
        ]
        if self.columns:
            names = ", ".join(self.columns)
            parts.append(f"{_SAYS[self.policy].format(names=names)} (new_columns = {self.policy!r})")
        return f"[entities.{self.place}]: {'; '.join(parts)}"


_SAYS: Mapping[str, str] = {
    "sync": "new columns go to the target: {names}. Exclude them, or take note of them with `syncline install`",
    "ignore": 'new columns stay out: {names}. Exclude them for good, or take them in: rename = {{ column = "field" }}',
    "stop": 'new columns wait for a decision: {names}. Exclude them, or take them in: rename = {{ column = "field" }}',
}


@dataclass(frozen=True, slots=True)
class Seen:
    """The shapes that the mapping may see, and what was new."""

    shape: Shape
    children: Mapping[TableName, Shape]
    newcomers: tuple[Newcomers, ...]


def see(entity: Entity, shape: Shape, children: Mapping[TableName, Shape], known: Mapping[str, Any] | None) -> Seen:
    """Take out of the shapes what the mapping must not see.

    Args:
        entity: as declared.
        shape: its table's.
        children: those of its embeds, by table.
        known: what ``note`` wrote at the last installation; ``None``: nothing is new.

    """
    if known is None:
        return Seen(shape, children, ())
    found = list(_sections(entity, shape, children, known))
    seen = {place: _visible(one, table, new) for place, one, table, new in found}
    embedded: dict[TableName, Shape] = {}
    for embed in entity.embeds:  # what one embed of a table must not see, no other one of that table sees
        one = seen[embed.field]
        names = {column.name for column in embedded.get(embed.table, one).columns}
        embedded[embed.table] = replace(one, columns=tuple(c for c in one.columns if c.name in names))
    news = tuple(new for *_, new in found if new.columns or new.renamed)
    return Seen(seen[OWN], {**children, **embedded}, news)


def note(
    entity: Entity,
    shape: Shape,
    children: Mapping[TableName, Shape],
    known: Mapping[str, Any] | None,
    before: Mapping[str, str],
) -> dict[str, Any]:
    """Say which columns are known from now on.

    Under ``sync`` an installation accepts what is there; else only what the configuration names.

    Args:
        entity: as declared now.
        shape: its table's.
        children: those of its embeds.
        known: what was known until now.
        before: the policy of each section until now.

    """
    noted: dict[str, Any] = {}
    for place, fields, table, new in _sections(entity, shape, children, known or {}):
        numbers = {column.name: column.number for column in table.columns}
        if "sync" not in {fields.new_columns, before.get(place, "sync")}:
            numbers = {name: number for name, number in numbers.items() if name not in new.columns}
        for old, name in new.renamed:
            numbers[old] = numbers.pop(name)
        noted[place] = {"oid": table.oid, "columns": numbers}
    return noted


def _sections(
    entity: Entity, shape: Shape, children: Mapping[TableName, Shape], known: Mapping[str, Any]
) -> Iterator[tuple[str, Fields, Shape, Newcomers]]:
    keep = entity.key or shape.primary_key
    yield OWN, entity.fields, shape, _news(entity.name, entity.fields, shape, known.get(OWN), keep)
    for embed in entity.embeds:
        table = children[embed.table]
        place, keep = f"{entity.name}.embed.{embed.field}", (*embed.on, *embed.order_by, *table.primary_key)
        yield embed.field, embed.fields, table, _news(place, embed.fields, table, known.get(embed.field), keep)


def _news(
    place: str, fields: Fields, shape: Shape, known: Mapping[str, Any] | None, keep: Collection[str]
) -> Newcomers:
    if known is None:
        return Newcomers(place, fields.new_columns, ())
    names: Mapping[str, int] = known["columns"]
    same = known["oid"] == shape.oid  # in another table a number says nothing
    numbers = {number: name for name, number in names.items()} if same else {}
    decided = {*fields.exclude, *fields.rename, *fields.types, *(fields.include or ()), *keep}
    fresh = [c for c in shape.columns if c.name not in names and c.name not in decided]
    renamed = [(numbers[c.number], c.name) for c in fresh if c.number in numbers]
    hidden = tuple((old, new) for old, new in renamed if old in fields.exclude and shape.column(old) is None)
    fields_decide = fields.include is not None
    new = [c.name for c in fresh if c.number not in numbers and not fields_decide]
    return Newcomers(place, fields.new_columns, tuple(new), () if fields_decide else hidden)


def _visible(fields: Fields, shape: Shape, new: Newcomers) -> Shape:
    hidden = {name for _, name in new.renamed}
    if fields.new_columns != "sync":
        hidden.update(new.columns)
    columns: tuple[Column, ...] = tuple(column for column in shape.columns if column.name not in hidden)
    return replace(shape, columns=columns) if hidden else shape
