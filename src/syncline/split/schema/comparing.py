"""Whether tables are the same in two databases: what both catalogs say of them, read without what made them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from syncline.postgres.sql import blocks
from syncline.split.names import Name
from syncline.split.schema.reading import begin, want

_ASPECTS = (
    "tables", "columns", "constraints", "indexes", "sequences", "types", "functions", "triggers", "policies",
    "statistics", "views", "comments", "grants",
)  # fmt: skip
_OPENING = "opening"
_TEXTS = {("view", "text"), ("view", "indexes"), ("function", "sql")}
"""What releases write differently: not compared between two of them."""
_RELEASES = {"not null"}
"""What only newer releases have in the catalog."""

_NEW_RIGHT = "MAINTAIN"
"""What a table's owner has from PostgreSQL 17 on."""

Facts = Mapping[tuple[str, str], Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that both sides do not have alike."""

    sort: str
    name: str
    here: Any
    """At the source; ``None``: it is not there."""
    there: Any

    def __str__(self) -> str:
        """Say what differs."""
        if self.here is None or self.there is None:
            return f"{self.sort} {self.name}: only {'there' if self.here is None else 'here'}"
        if isinstance(self.here, dict) and isinstance(self.there, dict):
            parts = [
                f"{part} {self.here.get(part)!r} here, {self.there.get(part)!r} there"
                for part in self.here
                if self.here.get(part) != self.there.get(part)
            ]
            return f"{self.sort} {self.name}: {'; '.join(parts)}"
        return f"{self.sort} {self.name}: {self.here!r} here, {self.there!r} there"


def compare(
    source: psycopg.Connection[Any], target: psycopg.Connection[Any], tables: Iterable[Name], *, opened: bool = False
) -> list[Difference]:
    """Compare tables, and what belongs to them, in two databases.

    Args:
        source: where they were.
        target: where they are to be.
        tables: with their schemas.
        opened: the new side has been opened: triggers, rules and deferrals count, too.

    Raises:
        psycopg.Error: as the driver raises it.

    """
    majors = {side.info.server_version // 10_000 for side in (source, target)}
    wanted = frozenset(tables)
    here, there = facts(source, wanted), facts(target, wanted)
    roles = {name for (name,) in target.execute("SELECT rolname FROM pg_catalog.pg_roles", prepare=False)}
    return [
        one
        for one in _differences(here, there, across=len(majors) > 1)
        if (opened or one.sort != _OPENING) and not _of_missing_role(one, roles)
    ]


def facts(connection: psycopg.Connection[Any], tables: frozenset[Name]) -> Facts:
    """Read what a database says of tables: by sort and name, what it is."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        begin(connection, quoting=True)
        found = connection.execute(_sql("found"), prepare=False).fetchall()
        want(connection, (oid for oid, schema, name in found if Name(schema, name) in tables))
        rows = [row for aspect in _ASPECTS for row in connection.execute(_sql(aspect), prepare=False)]
    return {(sort, name): value for sort, name, value in rows}


def _differences(here: Facts, there: Facts, *, across: bool) -> Iterator[Difference]:
    for sort, name in sorted(here.keys() | there.keys()):
        one, other = here.get((sort, name)), there.get((sort, name))
        if across and (sort in _RELEASES or (sort == "right" and name.startswith(f"{_NEW_RIGHT} "))):
            continue
        if across and isinstance(one, dict) and isinstance(other, dict):
            one, other = _common(sort, one, other), _common(sort, other, one)
        if (_unquoted(one) if across else one) != (_unquoted(other) if across else other):
            yield Difference(sort, name, one, other)


def _common(sort: str, one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Leave out what one of two releases does not have, or writes in its own way."""
    kept = {part: value for part, value in one.items() if (sort, part) not in _TEXTS and part in other}
    return {
        part: {name: inner for name, inner in value.items() if inner and other[part].get(name)}
        if part == "more"
        else value
        for part, value in kept.items()
    }


def _unquoted(value: Any) -> Any:
    """Leave out quotes: which words need them differs from release to release."""
    if isinstance(value, dict):
        return {part: _unquoted(inner) for part, inner in value.items()}
    if isinstance(value, list):
        return [_unquoted(inner) for inner in value]
    return value.replace('"', "") if isinstance(value, str) else value


def _of_missing_role(one: Difference, roles: set[str]) -> bool:
    """Tell a right of a role that the other side does not have: the plan has said it."""
    if one.sort != "right" or one.there is not None:
        return False
    role = one.name.rpartition(" of ")[2]
    return role not in {*roles, "everybody", "the owner"}


def _sql(name: str) -> str:
    return blocks("compare.sql", "syncline.split.schema")[name]
