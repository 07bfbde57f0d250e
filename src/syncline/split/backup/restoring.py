"""Reading backups back: verified file by file, restored into an empty database, compared with what was dumped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql

from syncline.config.backup import BackupSettings
from syncline.errors import BackupError, DamagedBackupError
from syncline.split.address import Address
from syncline.split.backup.commands import Command
from syncline.split.backup.contents import differences, is_empty, read_contents, snapshot
from syncline.split.backup.dumping import staging
from syncline.split.backup.manifest import Manifest
from syncline.split.backup.programs import complaint, find
from syncline.split.backup.store import Store
from syncline.split.backup.streams import unpack
from syncline.split.connecting import clean, connect

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of a restore."""

    name: str
    place: str
    rows: int
    tables: int
    differences: tuple[str, ...]
    seconds: dict[str, float] = field(default_factory=dict)
    """Of each step."""

    def as_dict(self) -> dict[str, object]:
        """Write it for JSON."""
        return {
            "name": self.name,
            "place": self.place,
            "rows": self.rows,
            "tables": self.tables,
            "differences": list(self.differences),
            "seconds": self.seconds,
            "total_seconds": round(sum(self.seconds.values()), 3),
        }


def read_back(store: Store, manifest: Manifest, settings: BackupSettings, folder: Path | None = None) -> None:
    """Read a backup whole, and compare it with its manifest; put the dump into a folder if there is one.

    Raises:
        DamagedBackupError: it is not what was stored.
        BackupError: it cannot be read, or not decrypted.

    """
    decrypt = None
    if manifest.encrypted:
        if not settings.decrypt:
            raise BackupError(f"{manifest.name} is encrypted", hint="set decrypt in [backup]")
        decrypt = Command.read("decrypt", settings.decrypt)
    try:
        with store.reading(manifest.archive) as source:
            size, sha256 = unpack(source, decrypt, folder, manifest)
    except OSError as error:
        raise BackupError(f"{manifest.name}: the dump cannot be unpacked: {error.strerror}") from error
    if (size, sha256) != (manifest.size, manifest.sha256):
        raise DamagedBackupError(
            f"{manifest.archive} is not what was stored: {size} bytes, and they were {manifest.size}",
            hint="take another backup",
        )


def restore(
    store: Store,
    manifest: Manifest,
    target: Address,
    settings: BackupSettings,
    home: Path,
    *,
    replaces: str | None = None,
    owners: bool = True,
    tell: Tell = lambda _: None,
) -> Restored:
    """Restore a backup, then compare what is there with what was dumped.

    Args:
        store: where it is.
        manifest: which one.
        target: the database to restore into, past any pooler.
        settings: how.
        home: the folder of the configuration.
        replaces: the target's name, if it may lose what it has.
        owners: owners and rights are restored, too; their roles must be there.
        tell: told of each step.

    Raises:
        BackupError: the target is not empty, or too old; or pg_restore fails: the target is half restored then.

    """
    clock, seconds = time.monotonic(), dict[str, float]()

    def done(step: str) -> None:
        nonlocal clock
        now = time.monotonic()
        seconds[step], clock = round(now - clock, 3), now

    _see_that_it_fits(target, manifest, replaces)
    program = find("pg_restore", settings.programs, manifest.program_version, f"the pg_dump of {manifest.name}")
    with staging(home / settings.folder, f"restore-{manifest.name}") as folder:
        dump = folder / "dump"
        dump.mkdir()
        tell(f"reading {manifest.archive} from {store.place}")
        read_back(store, manifest, settings, dump)
        done("read")
        tell(f"restoring {manifest.rows} rows into {target.place}")
        arguments = ["--format=directory", f"--jobs={settings.jobs}", "--exit-on-error"]
        arguments += [] if owners else ["--no-owner", "--no-privileges"]
        arguments += ["--clean", "--if-exists"] if replaces else []
        with program.running(target, [*arguments, str(dump)]) as process:
            _, said = process.communicate()
        done("restore")
    if process.returncode:
        raise _failed(manifest, target, complaint(said, target))
    tell("comparing rows")
    found = compare(manifest, target, settings.jobs)
    done("compare")
    return Restored(manifest.name, target.place, manifest.rows, len(manifest.contents.tables), tuple(found), seconds)


def compare(manifest: Manifest, target: Address, jobs: int) -> list[str]:
    """Say in what a database differs from what was dumped.

    Raises:
        BackupError: it cannot be read.

    """
    try:
        with snapshot(target) as connection:
            there = read_contents(connection, target, jobs)
            same = connection.info.server_version // 10000 == manifest.server_version // 10000
    except psycopg.Error as error:
        raise BackupError(f"{target.place} cannot be compared: {clean(target, error)}") from None
    return differences(manifest.contents, there, same_major=same)


@contextmanager
def scratch(server: Address, *, keep: bool = False) -> Iterator[Address]:
    """Make a database for a rehearsal on a server, and drop it, whatever happens.

    Raises:
        BackupError: the role may not make one.

    """
    name = f"syncline_rehearsal_{uuid4().hex[:12]}"
    try:
        with connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    except psycopg.Error as error:
        raise BackupError(
            f"{server.called}: no database for the rehearsal: {clean(server, error)}",
            hint="ALTER ROLE … CREATEDB, or name another server: --server VARIABLE",
        ) from None
    try:
        yield replace(server, parameters=(*(one for one in server.parameters if one[0] != "dbname"), ("dbname", name)))
    finally:
        if not keep:
            with connect(server, autocommit=True) as connection:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _see_that_it_fits(target: Address, manifest: Manifest, replaces: str | None) -> None:
    with connect(target, autocommit=True) as connection:
        version, dbname = connection.info.server_version, connection.info.dbname
        if version // 10000 < manifest.server_version // 10000:
            raise BackupError(
                f"{target.place} is PostgreSQL {version // 10000}, the backup is of {manifest.server_version // 10000}",
                hint="restore into a server of the same version or a newer one",
            )
        empty = is_empty(connection)
    if replaces is not None and replaces != dbname:
        raise BackupError(f"the target is {dbname}, not {replaces}", hint="--replace names the database to be replaced")
    if not empty and replaces is None:
        raise BackupError(
            f"{target.place} is not empty", hint=f"restore into an empty database, or say --replace {dbname}"
        )


def _failed(manifest: Manifest, target: Address, said: str) -> BackupError:
    hint = f"{target.place} is half restored: drop it, make it anew and restore again"
    if "role" in said and "does not exist" in said:
        hint = f"make the role, or leave owners and rights out: --no-owners; {hint}"
    return BackupError(f"{manifest.name}: pg_restore failed: {said}", hint=hint)
