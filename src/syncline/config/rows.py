"""What a configuration may say where the target is a PostgreSQL, and what where it is a MongoDB."""

from __future__ import annotations

from collections.abc import Iterator

from syncline.config.entities import EntityConfig
from syncline.config.problems import Path, Problem
from syncline.config.settings import SourceSettings, TargetSettings
from syncline.config.urls import database_of, place_of
from syncline.model.entity import TableName
from syncline.model.rows import meaningless

_TABLE = """write `table` or `schema.table`; a name with a dot in it as 'public."my.table"'"""


def of_target(source: SourceSettings, target: TargetSettings) -> Iterator[Problem]:
    """Find what the settings of a target contradict."""
    if target.in_postgresql and target.database not in ("", database_of(target.url)):
        yield Problem(
            ("target", "database"),
            f"database = {target.database!r}, and the URL names {database_of(target.url)!r}",
            "leave `database` out: the URL of a PostgreSQL names the database",
        )
    if target.called == source.name:
        yield Problem(
            ("target", "name"), f"source and target are both called {source.name!r}", "give one of them another `name`"
        )


def of_entity(
    path: Path, name: str, entity: EntityConfig, *, source: SourceSettings, target: TargetSettings
) -> Iterator[Problem]:
    """Find what an entity says that has no meaning in its target."""
    if target.in_postgresql:
        yield from _of_rows(path, name, entity, source, target)
    elif entity.target_table:
        yield Problem(
            (*path, "target_table"), "a MongoDB has collections, not tables", "name the place by `collection`"
        )


def _of_rows(
    path: Path, name: str, entity: EntityConfig, source: SourceSettings, target: TargetSettings
) -> Iterator[Problem]:
    if entity.collection:
        yield Problem(
            (*path, "collection"), "a PostgreSQL has tables, not collections", "name the place by `target_table`"
        )
    if entity.dates:
        yield Problem((*path, "dates"), "rows keep their dates as they are", "take `dates` out")
    if entity.target_table and not TableName.possible(entity.target_table):
        yield Problem((*path, "target_table"), f"target_table = {entity.target_table!r}: not a table", _TABLE)
        return
    here = TableName.parse(entity.table or name)
    there = TableName.parse(entity.target_table) if entity.target_table else here
    if there.schema == target.control_schema:
        yield Problem((*path, "target_table"), f"the schema {there.schema} is Syncline's own", "name another schema")
    if here == there and place_of(source.url) == place_of(target.url):
        yield Problem(
            (*path, "target_table"),
            f"{there} would be kept equal to itself: source and target are one database",
            "point [target] at another database, or name another table by `target_table`",
        )
    if found := meaningless(entity.to_entity(name)):
        yield Problem(path, *found)
