"""Taking a backup: dumped, checked, packed, encrypted and stored; the manifest last: half a backup has none."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from syncline.config.backup import BackupSettings
from syncline.errors import BackupError
from syncline.split.backup.commands import Command
from syncline.split.backup.dumping import dump, staging
from syncline.split.backup.manifest import Manifest
from syncline.split.backup.shelf import outdated, shelf
from syncline.split.backup.store import Store, store_of
from syncline.split.backup.streams import hashes, pack
from syncline.split.database import Database
from syncline.split.databases import Databases
from syncline.split.direct import see_that_it_is_ones_own

Tell = Callable[[str], None]


def create(databases: Databases, name: str, *, tell: Tell = lambda _: None) -> Manifest:
    """Take a backup of a named database.

    Raises:
        BackupError: it says why there is none; nothing is kept of it.
        NamedDatabaseError: there is no way past the pooler, or no connection.

    """
    settings, home = databases.configured.backup, databases.configured.home
    store, began = store_of(settings, home), time.monotonic()
    database = databases[name]
    see_that_it_is_ones_own(name, database.direct_address)
    called = f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S}Z"
    if any(one.startswith(called) for one in store.names()):
        raise BackupError(f"{called} is there already", hint="wait a second")
    with staging(home / settings.folder, called) as folder:
        tell(f"{called}: dumping {database.direct_address.place}")
        manifest = _dumped(database, called, settings, folder / "dump")
        tell(f"{called}: storing {manifest.rows} rows of {len(manifest.contents.tables)} tables in {store.place}")

        def write(target: IO[bytes]) -> tuple[int, str]:
            encrypt = Command.read("encrypt", settings.encrypt) if settings.encrypt else None
            return pack(folder / "dump", manifest, encrypt, target)

        size, sha256 = store.write(manifest.archive, write)
    whole = replace(manifest, size=size, sha256=sha256, seconds=round(time.monotonic() - began, 3))
    store.write(whole.key, lambda target: target.write(whole.write()))
    return whole


def prune(store: Store, settings: BackupSettings, database: str) -> list[str]:
    """Remove backups that need not be kept any longer; give their names.

    The manifest goes first: what is left of one that was half removed is no backup.
    """
    gone = outdated(shelf(store, database).backups, settings.keep, settings.keep_for, datetime.now(UTC))
    for one in gone:
        store.remove(one.key)
        store.remove(one.archive)
    return [one.name for one in gone]


def _dumped(database: Database, called: str, settings: BackupSettings, folder: Path) -> Manifest:
    contents, program, version, dbname, moment = dump(database.name, database.direct_address, settings, folder)
    return Manifest(
        name=called,
        database=database.name,
        dbname=dbname,
        taken_at=moment.astimezone(UTC),
        seconds=0.0,
        server_version=version,
        program_version=program.major,
        archive=f"{called}.tar{'.enc' if settings.encrypt else ''}",
        size=0,
        sha256="",
        encrypted=bool(settings.encrypt),
        files=hashes(folder),
        contents=contents,
    )
