"""``syncline backup create|list|verify|restore|rehearse``."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncline.cli.application import named_databases
from syncline.cli.boundary import group
from syncline.cli.common import ConfigOption, JsonOption, keep_secret, print_json, print_table, say
from syncline.errors import BackupError, ConfigError, DamagedBackupError

if TYPE_CHECKING:
    from syncline.split.address import Address
    from syncline.split.backup.manifest import Manifest
    from syncline.split.backup.restoring import Restored
    from syncline.split.databases import Databases

app = group("Backups of a named database: taken, listed, verified, restored, and rehearsed.")

DatabaseOption = Annotated[
    str | None, typer.Option("--database", "-d", metavar="NAME", help="The named database; by default the first.")
]
NameArgument = Annotated[str, typer.Argument(metavar="[BACKUP]", help="Its name, or latest.")]
ServerOption = Annotated[
    str | None,
    typer.Option("--server", metavar="VARIABLE", help="The variable with the URL of another server."),
]
OwnersOption = Annotated[bool, typer.Option("--owners/--no-owners", help="Restore owners and rights, too.")]


@app.command("create")
def create(database: DatabaseOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Take a backup: a dump and digests of all rows, of one snapshot, encrypted and stored as [backup] says.

    The manifest is stored last: what was broken off is no backup, and the next run cleans up behind it. Afterwards
    backups that need not be kept are removed (keep, keep_for).
    """
    from syncline.split.backup.making import create as take
    from syncline.split.backup.making import prune
    from syncline.split.backup.store import store_of

    with named_databases(config) as databases, _ended_in_order():
        name = _chosen(databases, database)
        taken = take(databases, name, tell=_quiet if as_json else say)
        settings = databases.configured.backup
        gone = prune(store_of(settings, databases.configured.home), settings, name)
    if as_json:
        print_json({**_about(taken), "removed": gone})
        return
    for one in gone:
        say(f"{one}: removed, as keep says")
    say(f"{taken.name}: {taken.rows} rows, {taken.size} bytes, {taken.seconds:.1f} s", "bold")


@app.command("list")
def list_(database: DatabaseOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the backups that are whole, newest first, of all databases or of one.

    Exit status: 0; 1 if there is none, or something is left of one that is not whole.
    """
    from syncline.split.backup.shelf import shelf
    from syncline.split.backup.store import store_of

    with named_databases(config) as databases:
        store = store_of(databases.configured.backup, databases.configured.home)
        there = shelf(store, _chosen(databases, database) if database else None)
    if as_json:
        print_json({"backups": [_about(one) for one in there.backups], "broken": list(there.broken)})
    else:
        rows = [
            (one.name, f"{one.taken_at:%Y-%m-%d %H:%M:%S}", one.rows, one.size, "yes" if one.encrypted else "no")
            for one in there.backups
        ]
        if rows:
            print_table(("name", "taken at (UTC)", "rows", "bytes", "encrypted"), rows)
        else:
            say(f"there is no backup in {store.place}")
        for why in there.broken:
            say(f"no backup: {why}", "yellow")
    raise typer.Exit(0 if there.backups and not there.broken else 1)


@app.command("verify")
def verify(
    name: NameArgument = "latest",
    database: DatabaseOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a backup whole, decrypt it, and compare every file with what was stored. Nothing is restored.

    Exit status: 0 it is what was stored, 1 it is damaged, 3 could not run.
    """
    from syncline.split.backup.restoring import read_back

    with named_databases(config) as databases:
        store, manifest = _found(databases, name, database)
        try:
            read_back(store, manifest, databases.configured.backup)
            damage = None
        except DamagedBackupError as error:
            damage = error
    if as_json:
        print_json({**_about(manifest), "damage": damage and damage.message})
    elif damage:
        say(f"{manifest.name} is damaged: {damage.message}", "red")
    else:
        say(f"{manifest.name}: {manifest.size} bytes, {len(manifest.files)} files, all as they were stored", "green")
    raise typer.Exit(1 if damage else 0)


@app.command("restore")
def restore(
    name: NameArgument = "latest",
    into: Annotated[
        str, typer.Option("--into", metavar="VARIABLE", help="The environment's variable with the target's URL.")
    ] = "RESTORE_DATABASE_URL",
    replace: Annotated[
        str | None, typer.Option("--replace", metavar="DBNAME", help="Replace what is in this database.")
    ] = None,
    owners: OwnersOption = True,
    database: DatabaseOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore a backup into an empty database, then compare rows, sequences and definitions with what was dumped.

    A database that is not empty is refused, unless --replace names it: what the backup has is dropped there and made
    anew.

    Exit status: 0 restored and equal, 1 restored and different, 3 could not run.
    """
    from syncline.split.backup.restoring import restore as carry_out

    with named_databases(config) as databases, _ended_in_order():
        store, manifest = _found(databases, name, database)
        done = carry_out(
            store,
            manifest,
            _address(into),
            databases.configured.backup,
            databases.configured.home,
            replaces=replace,
            owners=owners,
            tell=_quiet if as_json else say,
        )
    _report(done, as_json=as_json)


@app.command("rehearse")
def rehearse(
    name: NameArgument = "latest",
    server: ServerOption = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the scratch database there.")] = False,
    owners: OwnersOption = False,
    database: DatabaseOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rehearse a restore: into a scratch database that is made for it, compared by content, and dropped.

    By default on the database's own server. Exit status: 0 equal, 1 different, 3 could not run.
    """
    from syncline.split.backup.restoring import restore as carry_out
    from syncline.split.backup.restoring import scratch

    with named_databases(config) as databases, _ended_in_order():
        store, manifest = _found(databases, name, database)
        own = databases[manifest.database].direct_address if server is None else _address(server)
        settings, home = databases.configured.backup, databases.configured.home
        with scratch(own, keep=keep) as target:
            tell = _quiet if as_json else say
            done = carry_out(store, manifest, target, settings, home, owners=owners, tell=tell)
    _report(done, as_json=as_json)


def _report(done: Restored, *, as_json: bool) -> None:
    if as_json:
        print_json(done.as_dict())
    else:
        for one in done.differences:
            say(one, "red")
        steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in done.seconds.items())
        verdict = f"{len(done.differences)} differences" if done.differences else "equal to what was dumped"
        say(f"{done.name}: {done.rows} rows of {done.tables} tables restored, {verdict} ({steps})", "bold")
    raise typer.Exit(1 if done.differences else 0)


def _found(databases: Databases, name: str, database: str | None) -> tuple[Any, Manifest]:
    from syncline.split.backup.shelf import chosen
    from syncline.split.backup.store import store_of

    store = store_of(databases.configured.backup, databases.configured.home)
    wanted = _chosen(databases, database) if database or name == "latest" else None
    return store, chosen(store, name, wanted)


def _chosen(databases: Databases, database: str | None) -> str:
    return databases[database].name if database else next(iter(databases)).name


def _address(variable: str) -> Address:
    from syncline.config.databases import NamedDatabase, Place
    from syncline.config.named import DatabaseSettings
    from syncline.split.address import address_of

    url = os.environ.get(variable)
    if not url:
        raise ConfigError(f"{variable} is not set", hint="it names the database to restore into, by a URL")
    keep_secret(url)
    address = address_of(NamedDatabase("target", DatabaseSettings(), Place(variable, url), None))
    if address.pooled:
        raise BackupError(f"{variable} leads through a pooler", hint="give it the server's own address")
    return address


def _about(one: Manifest) -> dict[str, object]:
    return {
        "name": one.name,
        "database": one.database,
        "dbname": one.dbname,
        "taken_at": one.taken_at.isoformat(),
        "seconds": one.seconds,
        "rows": one.rows,
        "tables": len(one.contents.tables),
        "size": one.size,
        "encrypted": one.encrypted,
        "server_version": one.server_version,
        "archive": one.archive,
        "sha256": one.sha256,
    }


def _quiet(_: str) -> None:
    pass


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let SIGTERM end what runs as Ctrl-C does: what was begun is cleaned up."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
