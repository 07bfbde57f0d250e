"""A database with capture installed, and an oracle that knows which records really changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Self

import psycopg
from psycopg import sql

from syncline.capture.postgres.install import InstallOptions, InstallPlan, install, plan, uninstall
from syncline.model.entity import Entity, TableName

Contents = dict[tuple[str, str], frozenset[Any]]


def entity(name: str, table: str, **options: Any) -> Entity:
    return Entity(name, TableName.parse(table), f"{name}s", **options)


async def _connected(url: str, act: Any) -> Any:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        return await act(conn)


class Case:
    """One database and its entities; statements go through ``sql``, each in a transaction of its own."""

    def __init__(self, url: str, entities: Sequence[Entity], **options: Any) -> None:
        self.url, self.entities, self.options = url, list(entities), options
        self.conn = psycopg.connect(url, autocommit=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.conn.close()

    def plan(self) -> InstallPlan:
        return asyncio.run(_connected(self.url, lambda conn: plan(conn, self.entities, InstallOptions(**self.options))))

    def install(self, **options: Any) -> InstallPlan:
        async def act(conn: Any) -> InstallPlan:
            made = await plan(conn, self.entities, InstallOptions(**self.options))
            await install(conn, made, **options)
            return made

        return asyncio.run(_connected(self.url, act))

    def uninstall(self) -> InstallPlan:
        return asyncio.run(_connected(self.url, uninstall))

    def sql(self, *statements: str) -> list[Any]:
        rows: list[Any] = []
        for statement in statements:
            cursor = self.conn.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
        return rows

    def ids(self) -> dict[str, int]:
        return {name: id_ for id_, name in self.sql("SELECT id, name FROM syncline.entity")}

    def forget(self) -> None:
        self.sql("DELETE FROM syncline.outbox", "DELETE FROM syncline.block", "DELETE FROM syncline.task")

    def contents(self) -> Contents:
        """Every record's versions with their places: an update that changes no value is a change too."""
        found: dict[tuple[str, str], set[Any]] = {}
        installed = {name: rest for name, *rest in self.sql("SELECT name, id, key_columns FROM syncline.entity")}
        for one in self.entities:
            id_, columns = installed[one.name]
            sources = [(one.table, columns)] + [(embed.table, list(embed.on)) for embed in one.embeds]
            for table, keys in sources:
                query = sql.SQL(
                    "SELECT syncline.{function}({keys}), t.tableoid, t.ctid::text, t.xmin::text, t::text FROM {table} AS t WHERE {present}"
                ).format(
                    function=sql.Identifier(f"key_{id_}"),
                    keys=sql.SQL(", ").join([sql.Identifier("t", key) for key in keys]),
                    table=sql.Identifier(table.schema, table.name),
                    present=sql.SQL(" AND ").join(
                        [sql.SQL("{} IS NOT NULL").format(sql.Identifier("t", k)) for k in keys]
                    ),
                )
                for key, *version in self.conn.execute(query).fetchall():
                    found.setdefault((one.name, key), set()).add(tuple(version))
        return {key: frozenset(versions) for key, versions in found.items()}

    def marks(self) -> list[tuple[str, str, str]]:
        return [
            (name, key, hint)
            for name, key, hint in self.sql(
                "SELECT e.name, o.key, o.hint::text FROM syncline.waiting AS o JOIN syncline.entity AS e ON e.id = o.entity ORDER BY o.seq"
            )
        ]

    def tasks(self) -> list[tuple[str, str]]:
        return self.sql(
            "SELECT t.kind, e.name FROM syncline.task AS t JOIN syncline.entity AS e ON e.id = t.entity ORDER BY 2, 1"
        )

    def swept(self) -> set[str]:
        return {name for _, name in self.tasks()}


def changed(before: Contents, after: Contents) -> set[tuple[str, str]]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def assert_captured(case: Case, before: Contents, *, also: Iterable[tuple[str, str]] = ()) -> set[tuple[str, str]]:
    """Every change has its mark, and nothing has one that was not touched (``also``: touched without a trace)."""
    touched = changed(before, case.contents())
    marked = {(name, key) for name, key, _ in case.marks()}
    swept = case.swept()
    lost = {key for key in touched - marked if key[0] not in swept}
    assert not lost, f"not captured: {lost}"
    assert marked - touched <= set(also), "marked without a change"
    return touched
