"""``syncline schema sql|check``: the tables of collections whose documents are rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.boundary import Group
from syncline.cli.common import ConfigOption, JsonOption, keep_secret, print_finding, print_json, run

if TYPE_CHECKING:
    from syncline.config.documents import Documents
    from syncline.insight.checks.finding import Finding

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="The tables of documents: their definitions, and whether a database has them.",
)

CollectionOption = Annotated[
    list[str] | None, typer.Option("--collection", help="Only the tables of this collection; repeatable.")
]


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
) -> None:
    """Print the SQL that makes the tables of [collections.NAME]. What is there already is left as it is."""
    from syncline.engines.postgres.documents.definitions import schema

    declared = _declared(config, collection)
    for statement in schema(declared.mappings, foreign_keys=foreign_keys):
        typer.echo(f"{statement.as_string(None)};\n")


@app.command("check")
def check(
    config: ConfigOption = None,
    collection: CollectionOption = None,
    url: Annotated[
        str | None, typer.Option("--url", help="The database to look at; by default that of [target].")
    ] = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only what is wrong.")] = False,
) -> None:
    """Compare the tables of a PostgreSQL with what [collections.NAME] declares.

    Missing tables, columns, keys and indexes; types that are too narrow; columns that nothing fills. Reads only.

    Exit status: 0 all is well, 1 warnings, 2 critical findings, 3 could not run.
    """
    declared = _declared(config, collection)
    address = url or declared.url("target")
    keep_secret(address)
    found = run(_look(declared, address))
    if as_json:
        print_json({"findings": [finding.as_dict() for finding in found]})
    else:
        for finding in found:
            print_finding(finding, quiet=quiet)
    raise typer.Exit(max(int(finding.level) for finding in found))


def _declared(config: ConfigOption, collection: CollectionOption) -> Documents:
    from syncline.config.documents import load_documents

    return load_documents(config).only(collection)


async def _look(declared: Documents, url: str) -> list[Finding]:
    from syncline.engines.postgres.documents.inspection import look
    from syncline.insight.document_schema import judge
    from syncline.postgres.connection import connect

    connection = await connect(url, application="syncline schema check")
    try:
        return judge(declared.mappings, await look(connection, declared.mappings))
    finally:
        await connection.close()
