"""How the columns of our tables are defined, and the statements that bring an altered one back to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TYPE = re.compile(r'"char"|[a-z0-9]+(?:\[\])?')
_DEFAULT = re.compile(r"DEFAULT (?P<value>.+?)(?: CHECK \(.*\))?$")
_CHECK = re.compile(r"CHECK (?P<condition>\(.*\))$")
_LONG = {"timestamptz": "timestamp with time zone"}
"""Types that the catalog spells otherwise."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A column as it must be."""

    type: str
    """As ``schema.sql`` spells it."""
    not_null: bool
    default: str | None
    identity: bool
    check: str | None

    def fits(self, type_: str, *, not_null: bool, filled: bool) -> bool:
        """Compare with the catalog; a default that is there is taken for ours, a missing identity is said elsewhere."""
        same = type_ == _LONG.get(self.type, self.type) and not_null == self.not_null
        return same and (filled or self.default is None)


def shape(definition: str, *, keyed: bool) -> Shape:
    """Read a column's definition.

    Args:
        definition: what ``schema.sql`` says behind its name.
        keyed: it belongs to a key that the table declares.

    """
    found = _TYPE.match(definition)
    assert found is not None  # noqa: S101  a test holds schema.sql to it
    default = _DEFAULT.search(definition)
    check = _CHECK.search(definition)
    identity = "GENERATED" in definition
    not_null = keyed or identity or "NOT NULL" in definition or "PRIMARY KEY" in definition
    value, condition = default["value"] if default else None, check["condition"] if check else None
    return Shape(found[0], not_null, value, identity, condition)


def restored(table: str, column: str, wanted: Shape, anew: tuple[str, ...]) -> str:
    """Write what brings a column back: its values are converted, or (``anew``) lost where they cannot be."""
    away = [f"ALTER TABLE syncline.{table} DROP COLUMN {column} CASCADE", *anew]
    return _RESTORED.format(
        table=table,
        column=column,
        type=_LONG.get(wanted.type, wanted.type),
        converted=_lines(_converted(table, column, wanted), 8),
        bound=_lines(_bound(table, column, wanted), 4),
        away=_lines(away, 4),
    )


_RESTORED = """DO $restored$
BEGIN
    IF (SELECT format_type(atttypid, atttypmod) <> '{type}' OR attgenerated <> '' FROM pg_catalog.pg_attribute
        WHERE attrelid = 'syncline.{table}'::regclass AND attname = '{column}') THEN
{converted}
    END IF;
{bound}
EXCEPTION WHEN OTHERS THEN
{away}
END $restored$"""


def _converted(table: str, column: str, wanted: Shape) -> list[str]:
    alter = f"ALTER TABLE syncline.{table} ALTER COLUMN {column}"
    return [
        f"{alter} DROP EXPRESSION IF EXISTS",
        *([] if wanted.identity else [f"{alter} DROP DEFAULT"]),
        f"{alter} TYPE {wanted.type} USING {column}::text::{wanted.type}",
    ]


def _bound(table: str, column: str, wanted: Shape) -> list[str]:
    """Write what a column must have beside its type; a row without a value that it needs says nothing."""
    alter = f"ALTER TABLE syncline.{table}"
    lines = [f"{alter} ALTER COLUMN {column} SET DEFAULT {wanted.default}"] if wanted.default is not None else []
    if wanted.not_null:
        lines.append(f"DELETE FROM syncline.{table} WHERE {column} IS NULL")  # noqa: S608  our own names
    lines.append(f"{alter} ALTER COLUMN {column} {'SET' if wanted.not_null else 'DROP'} NOT NULL")
    if wanted.check is not None:
        name = f"{table}_{column}_check"
        lines += [f"{alter} DROP CONSTRAINT IF EXISTS {name}", f"{alter} ADD CONSTRAINT {name} CHECK {wanted.check}"]
    return lines


def _lines(statements: Sequence[str], indent: int) -> str:
    return "\n".join(f"{' ' * indent}{statement};" for statement in statements)
