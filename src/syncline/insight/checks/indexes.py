"""Indexes in the source: a document with embedded rows is read by the columns that lead to its parent."""

from __future__ import annotations

from psycopg import sql
from psycopg.types.json import Jsonb

from syncline.insight import reach
from syncline.insight.checks.finding import Finding, Subject, ok, warning
from syncline.model.entity import Embed, Shape


async def source_indexes(subject: Subject) -> list[Finding]:
    """See that each embedded table has an index over the columns that lead to its parent."""
    embeds = {(e.table, e.on): (entity.name, e) for entity in subject.entities for e in entity.embeds}
    looked = [
        (name, embed, shape)
        for name, embed in embeds.values()
        if (shape := subject.shapes.get(embed.table)) is not None
        and any(shape.column(column) is not None for column in embed.on)  # else the check of the mapping says so
    ]
    wanted = [{"table": shape.oid, "columns": list(embed.on)} for _, embed, shape in looked]
    answers = await reach.rows(subject.connection, "indexes_over", wanted=Jsonb(wanted))
    found = [_missing(*one) for one, answer in zip(looked, answers, strict=True) if not answer["found"]]
    return found or [ok("source indexes", f"{len(embeds)} embedded tables are found by index" if embeds else "no need")]


def _missing(entity: str, embed: Embed, shape: Shape) -> Finding:
    concurrently = "" if shape.kind == "p" else " CONCURRENTLY"
    table = sql.Identifier(embed.table.schema, embed.table.name).as_string(None)
    columns = sql.SQL(", ").join(map(sql.Identifier, embed.on)).as_string(None)
    return warning(
        "source indexes",
        f"{embed.table} has no index over ({', '.join(embed.on)}), by which {entity} embeds it",
        why="every change of a parent or of its rows reads the whole table",
        fix=f"CREATE INDEX{concurrently} ON {table} ({columns});",
    )


CHECKS = (source_indexes,)
