"""``syncline db shell``."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncline.cli.application import named_databases
from syncline.cli.common import ConfigOption
from syncline.errors import NamedDatabaseError, SynclineError

if TYPE_CHECKING:
    from syncline.split.address import Address
    from syncline.split.databases import Database

CONTEXT = {"allow_interspersed_args": False}


def shell(
    database: Annotated[str, typer.Argument(metavar="DATABASE", help="The name of a database, such as primary.")],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[-- ARGUMENTS]", help="For psql.")] = None,
    config: ConfigOption = None,
) -> None:
    """Open psql on a named database, past its pooler where a direct URL is set.

    The password is handed over in the environment, so that no list of processes shows it.
    """
    program = shutil.which("psql")
    if program is None:
        raise SynclineError("there is no psql on PATH", hint="install PostgreSQL's client (Debian: postgresql-client)")
    with named_databases(config) as databases:
        place, environment = command(_address(databases[database]))
    given = arguments or []
    given = given[1:] if given[:1] == ["--"] else given
    os.execvpe(program, [program, "--dbname", place, *given], {**os.environ, **environment})  # noqa: S606


def command(address: Address) -> tuple[str, dict[str, str]]:
    """Give the connection string without secrets, and the environment that has them."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    given: dict[str, Any] = {**conninfo_to_dict(address.conninfo), **address.arguments()}
    given.pop("prepare_threshold", None)
    given.pop("sslpassword", None)  # no variable takes it: psql asks
    secrets = {}
    if password := given.pop("password", None):
        secrets["PGPASSWORD"] = str(password)
    return make_conninfo("", **given), secrets


def _address(database: Database) -> Address:
    try:
        return database.direct_address
    except NamedDatabaseError:
        return database.address
