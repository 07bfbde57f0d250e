"""``syncline schema sql|check``: the tables of collections whose documents are rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.boundary import group
from syncline.cli.common import ConfigOption, JsonOption, keep_secret, print_finding, print_json, run

if TYPE_CHECKING:
    from psycopg.sql import Composed

    from syncline.config.documents import Documents
    from syncline.engines.postgres.documents.inspection import There
    from syncline.insight.checks.finding import Finding
    from syncline.model.documents.query_shapes import QueryShape
    from syncline.model.entity import TableName

app = group("The tables of documents: their definitions, and whether a database has them.")

CollectionOption = Annotated[
    list[str] | None, typer.Option("--collection", help="Only the tables of this collection; repeatable.")
]

UrlOption = Annotated[str | None, typer.Option("--url", help="The database to look at; by default that of [target].")]


@app.command("sql")
def sql(
    config: ConfigOption = None,
    collection: CollectionOption = None,
    foreign_keys: Annotated[
        bool,
        typer.Option(
            "--foreign-keys",
            help="Also between collections, as `references` says: a document that refers to none is refused then.",
        ),
    ] = False,
    changes: Annotated[
        bool, typer.Option("--changes", help="Only what the database of [target] lacks: new columns, wider types, …")
    ] = False,
    url: UrlOption = None,
    alembic: Annotated[
        str | None,
        typer.Option("--alembic", metavar="AFTER", help="As an Alembic revision after this one (`base`: the first)."),
    ] = None,
    django: Annotated[
        bool, typer.Option("--django", help="The tables as models of Django (5.2 or newer), which does not make them.")
    ] = False,
) -> None:
    """Print the SQL that makes the tables of [collections.NAME]. What is there already is left as it is.

    With --changes the tables are looked at, and what is printed makes them as declared; nothing is taken away. After a
    change of the declaration every document it touches has to be written anew, before anything is written back.
    """
    from syncline.engines.postgres.documents.definitions import references, schema
    from syncline.engines.postgres.documents.revision import revision

    declared = _declared(config, collection)
    if django:
        _print_models(declared, changes=changes, alembic=alembic)
        return
    if changes:
        found = run(_differences(declared, _address(declared, url)))
        statements = [*found, *(references(declared.mappings) if foreign_keys else ())]
    else:
        statements = schema(declared.mappings, foreign_keys=foreign_keys)
    if alembic is not None:
        typer.echo(revision(statements, after=None if alembic == "base" else alembic))
        return
    for statement in statements:
        typer.echo(f"{statement.as_string(None)};\n")


def _print_models(declared: Documents, *, changes: bool, alembic: str | None) -> None:
    from syncline.engines.postgres.documents.django_models import models
    from syncline.errors import ConfigError

    if changes or alembic is not None:
        raise ConfigError("--django prints models, not changes", hint="--changes and --alembic print the SQL")
    typer.echo(models(declared.mappings), nl=False)


@app.command("check")
def check(
    config: ConfigOption = None,
    collection: CollectionOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only what is wrong.")] = False,
) -> None:
    """Compare the tables of a PostgreSQL with what [collections.NAME] declares.

    Missing tables, columns, keys and indexes; types that are too narrow; columns that nothing fills; queries of
    repositories that no index serves, as the processes have told them since `syncline install`. Reads only.

    Exit status: 0 all is well, 1 warnings, 2 critical findings, 3 could not run.
    """
    declared = _declared(config, collection)
    found = run(_look(declared, _address(declared, url)))
    if as_json:
        print_json({"findings": [finding.as_dict() for finding in found]})
    else:
        for finding in found:
            print_finding(finding, quiet=quiet)
    raise typer.Exit(max(int(finding.level) for finding in found))


def _declared(config: ConfigOption, collection: CollectionOption) -> Documents:
    from syncline.config.documents import load_documents

    return load_documents(config).only(collection)


def _address(declared: Documents, url: str | None) -> str:
    address = url or declared.url("target")
    keep_secret(address)
    return address


async def _look(declared: Documents, url: str) -> list[Finding]:
    import asyncio

    from syncline.engines.postgres.documents.inspection import ROWS
    from syncline.insight.document_queries import judge_queries
    from syncline.insight.document_schema import judge

    there = await _there(declared, url, rows=ROWS)
    slow = judge_queries(declared.mappings, there, await asyncio.to_thread(_queries, url))
    found = judge(declared.mappings, there)
    return [*(one for one in found if not slow or one.level), *slow]


def _queries(url: str) -> list[QueryShape]:
    from syncline.phases.in_postgresql import InPostgreSQL

    place = InPostgreSQL(url, seconds=10)
    try:
        return place.queries()
    finally:
        place.close()


async def _differences(declared: Documents, url: str) -> list[Composed]:
    from syncline.engines.postgres.documents.differences import differences

    return differences(declared.mappings, await _there(declared, url, rows=0))


async def _there(declared: Documents, url: str, *, rows: int) -> dict[TableName, There]:
    from syncline.engines.postgres.documents.inspection import look
    from syncline.postgres.connection import connect

    connection = await connect(url, application="syncline schema")
    try:
        return await look(connection, declared.mappings, rows=rows)
    finally:
        await connection.close()
