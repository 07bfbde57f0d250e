"""Rows that PostgreSQL changes by itself, through foreign keys: the session hook cannot see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ForeignKeyConstraint, MetaData

from syncline.errors import CaptureError
from syncline.model.entity import Entity, TableName

_ACTIONS = {"c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


@dataclass(frozen=True, slots=True)
class Cascade:
    """A foreign key that changes the referencing rows when the referenced one changes."""

    child: TableName
    columns: tuple[str, ...]
    parent: TableName
    parent_columns: tuple[str, ...]
    action: str
    """As SQL says it: ``ON DELETE CASCADE``."""

    @property
    def name(self) -> str:
        """What an exemption calls it: ``todo.user_id``, with the schema where that is not ``public``."""
        table = self.child.name if self.child.schema == "public" else str(self.child)
        return f"{table}.{','.join(self.columns)}"


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of this table are an entity's records, or (with a parent) stand in its documents."""

    entity: str
    table: TableName
    columns: tuple[str, ...]
    """The table's columns that hold the entity's key."""
    parent: TableName | None = None
    parent_key: tuple[str, ...] = ()

    def follows(self, cascade: Cascade) -> bool:
        """Whether what this cascade does is in the parent's own mark: a child goes, or moves along, with its parent."""
        return self.parent == cascade.parent and set(zip(self.columns, self.parent_key, strict=False)) == set(
            zip(cascade.columns, cascade.parent_columns, strict=False)
        )


def refuse_unseen(cascades: Iterable[Cascade], parts: Iterable[Part], exempt: Mapping[str, str]) -> None:
    """Refuse what would change rows behind the session's back.

    Raises:
        CaptureError: there is such a foreign key, and no exemption with a reason.

    """
    by_table: dict[TableName, list[Part]] = {}
    for part in parts:
        by_table.setdefault(part.table, []).append(part)
    for cascade in cascades:
        for part in by_table.get(cascade.child, ()):
            if not part.follows(cascade) and not exempt.get(cascade.name, "").strip():
                raise CaptureError(
                    f"{part.entity}: PostgreSQL changes rows of {cascade.child} by itself when a row of "
                    f"{cascade.parent} changes ({', '.join(cascade.columns)}: {cascade.action}); "
                    "the session hook cannot see that",
                    hint=f"capture {part.entity} with triggers, drop the action from the foreign key, or say why it "
                    f'never happens: SessionCapture(…, exempt={{"{cascade.name}": "…"}})',
                )


def mapped_cascades(metadata: MetaData) -> Iterable[Cascade]:
    """Collect what the mapped tables declare."""
    for table in metadata.tables.values():
        for constraint in table.constraints:
            if isinstance(constraint, ForeignKeyConstraint):
                yield from _declared(constraint)


def mapped_parts(entities: Iterable[Entity], metadata: MetaData) -> Iterable[Part]:
    """Say which tables the entities consist of, as far as that is known without a database."""
    keys = {
        TableName(table.schema or "public", table.name): tuple(c.name for c in table.primary_key)
        for table in metadata.tables.values()
    }
    for entity in entities:
        key = entity.key or keys.get(entity.table, ())
        yield Part(entity.name, entity.table, key)
        for embed in entity.embeds:
            yield Part(entity.name, embed.table, embed.on, entity.table, key)


def actions(on_delete: str, on_update: str) -> Iterable[str]:
    """Write the catalog's letters (``pg_constraint.confdeltype``, ``confupdtype``) as SQL does."""
    for event, letter in (("DELETE", on_delete), ("UPDATE", on_update)):
        if letter in _ACTIONS:
            yield f"ON {event} {_ACTIONS[letter]}"


def _declared(constraint: ForeignKeyConstraint) -> Iterable[Cascade]:
    child, parent = constraint.table, constraint.referred_table
    for event, action in (("DELETE", constraint.ondelete), ("UPDATE", constraint.onupdate)):
        if action and action.upper().split("(")[0].strip() in _ACTIONS.values():
            yield Cascade(
                TableName(child.schema or "public", child.name),
                tuple(element.parent.name for element in constraint.elements),
                TableName(parent.schema or "public", parent.name),
                tuple(element.column.name for element in constraint.elements),
                f"ON {event} {action.upper()}",
            )
