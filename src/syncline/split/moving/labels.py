"""New labels of enums: rows that have one are refused over there until it is made there, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from syncline.model.entity import TableName
from syncline.model.link import Link, entered
from syncline.postgres.sql import blocks
from syncline.split.moving.tables import PACKAGE

_ADD = SQL("ALTER TYPE {} ADD VALUE IF NOT EXISTS {} {} {}")


def missing(
    here: psycopg.Connection[Any], there: psycopg.Connection[Any], tables: Iterable[TableName]
) -> Iterator[tuple[str, list[str]]]:
    """Give the enums of tables that have more labels here, and the statements that make these there, in their places.

    One that is called otherwise there is left alone: what renamed it changed all rows.
    """
    wanted = list(tables)
    known, others = _labels(here, wanted), _labels(there, wanted)
    for name in sorted(known.keys() & others.keys()):
        if made := list(_made(name, known[name], others[name])):
            yield Identifier(*name).as_string(), made


def _made(name: tuple[str, str], labels: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    for place, label in enumerate(labels):
        if label not in others:
            where, beside = ("AFTER", labels[place - 1]) if place else ("BEFORE", others[0])
            yield _ADD.format(Identifier(*name), Literal(label), SQL(where), Literal(beside)).as_string()


def _labels(connection: psycopg.Connection[Any], tables: Sequence[TableName]) -> dict[tuple[str, str], list[str]]:
    given = {"schemas": [one.schema for one in tables], "names": [one.name for one in tables]}
    rows = connection.execute(blocks("moving.sql", PACKAGE)["labels"], given, prepare=False).fetchall()
    return {(schema, name): labels for schema, name, labels in rows}


def try_parked_again(source: psycopg.Connection[Any], link: Link) -> None:
    """Mark records anew that the other side has refused: the worker tries each once more."""
    with entered(link):
        statement = blocks("queries.sql", "syncline.insight")["retry_parked"]
    source.execute(statement, {"entity": None, "keys": None}, prepare=False)
