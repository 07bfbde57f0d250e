"""``syncline init``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from syncline.cli.boundary import err
from syncline.cli.common import JsonOption, keep_secret, print_json, run, say
from syncline.errors import ConfigError
from syncline.model.defaults import CONFIG_FILE

if TYPE_CHECKING:
    from syncline.insight.proposal import Proposal


def init(
    url: Annotated[str | None, typer.Option("--url", help="The database to look at; by default DATABASE_URL.")] = None,
    config: Annotated[Path, typer.Option("--config", "-c", help="The file to write.")] = Path(CONFIG_FILE),
    schema: Annotated[
        list[str] | None, typer.Option("--schema", help="Only tables of this schema; repeatable.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    stdout: Annotated[bool, typer.Option("--stdout", help="Print it instead of writing it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at a PostgreSQL or CockroachDB database and write a commented syncline.toml for it.

    With --json the report has `file` (null with --stdout), `source`, `entities` (name, table, key), `leftOut` (table,
    reason) and the `text`.
    """
    from syncline.config.environment import DIRECT

    given = url or os.environ.get(DIRECT) or os.environ.get("DATABASE_URL")
    if not given:
        raise ConfigError("which database?", hint="set DATABASE_URL, or add --url postgresql://user@host/database")
    keep_secret(given)
    if not stdout and config.exists() and not force:
        raise ConfigError(f"{config} is there already", hint="--force overwrites it, --stdout prints instead")
    found = run(_propose(_checked(given), schema))
    if not found.entities:
        err.print(Text("no table was found that can be synced; make one, then call this again", "yellow"))
    if not stdout:
        _write(config, found.text)
    if as_json:
        print_json({"file": None if stdout else str(config), **found.as_dict()})
    elif stdout:
        sys.stdout.write(found.text)
    else:
        say(f"wrote {config}: check it, set DATABASE_URL and MONGODB_URL, then run `syncline install`")


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
