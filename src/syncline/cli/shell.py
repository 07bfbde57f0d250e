"""``syncline db shell``."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.application import named_databases
from syncline.cli.common import ConfigOption
from syncline.errors import NamedDatabaseError, SynclineError

if TYPE_CHECKING:
    from syncline.split.address import Address
    from syncline.split.database import Database

CONTEXT = {"allow_interspersed_args": False}


def shell(
    database: Annotated[str, typer.Argument(metavar="DATABASE", help="The name of a database, such as primary.")],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[-- ARGUMENTS]", help="For psql.")] = None,
    config: ConfigOption = None,
) -> None:
    """Open psql on a named database, past its pooler where a direct URL is set.

    The password is handed over in the environment, so that no list of processes shows it.
    """
    from syncline.split.direct import for_programs

    program = shutil.which("psql")
    if program is None:
        raise SynclineError("there is no psql on PATH", hint="install PostgreSQL's client (Debian: postgresql-client)")
    with named_databases(config) as databases:
        place, environment = for_programs(_address(databases[database]))
    given = arguments or []
    given = given[1:] if given[:1] == ["--"] else given
    os.execvpe(program, [program, "--dbname", place, *given], {**os.environ, **environment})  # noqa: S606


def _address(database: Database) -> Address:
    try:
        return database.direct_address
    except NamedDatabaseError:
        return database.address
