"""``syncline init``."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from syncline.cli.boundary import err, write_out
from syncline.cli.common import JsonOption, keep_secret, print_json, run, say
from syncline.errors import ConfigError
from syncline.model.defaults import CONFIG_FILE

if TYPE_CHECKING:
    from syncline.insight import collections, proposal

    Proposal = proposal.Proposal | collections.Proposal


class From(StrEnum):
    """Which side holds the truth."""

    POSTGRESQL = "postgresql"
    MONGODB = "mongodb"


def init(
    url: Annotated[
        str | None,
        typer.Option(
            "--url", help="The database to look at; by default DATABASE_URL, with --from mongodb MONGODB_URL."
        ),
    ] = None,
    from_: Annotated[
        From, typer.Option("--from", help="Whose truth it is: rows become documents, or documents become rows.")
    ] = From.POSTGRESQL,
    config: Annotated[Path, typer.Option("--config", "-c", help="The file to write.")] = Path(CONFIG_FILE),
    schema: Annotated[
        list[str] | None, typer.Option("--schema", help="Only tables of this schema; repeatable.")
    ] = None,
    collection: Annotated[
        list[str] | None, typer.Option("--collection", help="--from mongodb: only this collection; repeatable.")
    ] = None,
    sample: Annotated[
        int, typer.Option("--sample", min=1, max=100_000, help="--from mongodb: documents of each to look at.")
    ] = 1000,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    stdout: Annotated[bool, typer.Option("--stdout", help="Print it instead of writing it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at a PostgreSQL, CockroachDB or MongoDB database and write a commented syncline.toml for it.

    With --from mongodb a sample of each collection's documents is read. The file then declares their tables, and says
    which fields drift in type, are missing, nested, arrays, or too large.

    With --json the report has `file` (null with --stdout), `source`, `entities` (name, table, key), `leftOut` (table,
    reason) and the `text`; with --from mongodb instead of `entities` `collections` (name, documents, sampled, tables,
    remarks).
    """
    if schema if from_ is From.MONGODB else collection:
        wrong, right = ("--schema", "--collection") if from_ is From.MONGODB else ("--collection", "--schema")
        raise ConfigError(f"{wrong} means nothing with --from {from_.value}", hint=f"{right} chooses there")
    given = _given(url, from_)
    keep_secret(given)
    if not stdout and config.exists() and not force:
        raise ConfigError(f"{config} is there already", hint="--force overwrites it, --stdout prints instead")
    if from_ is From.MONGODB:
        found: Proposal = run(_propose_collections(given, collection, sample))
    else:
        found = run(_propose(_checked(given), schema))
    if not found.found:
        what = "collection with documents" if from_ is From.MONGODB else "table"
        err.print(Text(f"no {what} was found that can be synced; make one, then call this again", "yellow"))
    if not stdout:
        _write(config, found.text)
    if as_json:
        print_json({"file": None if stdout else str(config), **found.as_dict()})
    elif stdout:
        write_out(found.text)
    else:
        then = "syncline schema sql" if from_ is From.MONGODB else "syncline install"
        say(f"wrote {config}: check it, set DATABASE_URL and MONGODB_URL, then run `{then}`")


def _given(url: str | None, from_: From) -> str:
    from syncline.config.environment import DIRECT

    if from_ is From.MONGODB:
        if given := url or os.environ.get("MONGODB_URL"):
            return given
        raise ConfigError("which database?", hint="set MONGODB_URL, or add --url mongodb://user@host/database")
    if given := url or os.environ.get(DIRECT) or os.environ.get("DATABASE_URL"):
        return given
    raise ConfigError("which database?", hint="set DATABASE_URL, or add --url postgresql://user@host/database")


def _write(config: Path, text: str) -> None:
    try:
        config.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"{config}: {error.strerror}", hint="choose another place with --config") from None


def _checked(url: str) -> str:
    from syncline.config.urls import source_url

    try:
        return source_url(url)
    except ValueError as error:
        raise ConfigError(str(error)) from None


async def _propose(url: str, schemas: list[str] | None) -> Proposal:
    from syncline.config import SourceSettings
    from syncline.config.urls import database_of
    from syncline.insight import reach
    from syncline.insight.proposal import propose

    async with reach.source(SourceSettings(url=url), purpose="init", installed=False) as source:
        return await propose(source, schemas, target=database_of(os.environ.get("MONGODB_URL", "")))


async def _propose_collections(url: str, names: list[str] | None, sample: int) -> collections.Proposal:
    from syncline.config.urls import is_postgresql, target_url
    from syncline.engines.mongo.sampling import open_samples
    from syncline.insight.collections import propose_collections

    try:
        checked = target_url(url)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if is_postgresql(checked):
        raise ConfigError("this is the URL of a PostgreSQL", hint="leave --from mongodb out, or name a MongoDB")
    async with open_samples(checked) as documents:
        return await propose_collections(documents, names, sample=sample)
