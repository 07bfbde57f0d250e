"""Dumping a database into a folder, in one snapshot with the digests of what it holds."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import psycopg

from syncline.config.backup import BackupSettings
from syncline.errors import BackupError
from syncline.split.address import Address
from syncline.split.backup.contents import read_contents, snapshot
from syncline.split.backup.manifest import Contents
from syncline.split.backup.programs import Program, complaint, find
from syncline.split.backup.store import PARTIAL, locked
from syncline.split.connecting import clean, connect

LOCK = "lock"
SETS_A_TIMEOUT = 17
"""From this version on pg_restore sets transaction_timeout, which older servers do not know."""


@contextlib.contextmanager
def staging(folder: Path, name: str) -> Iterator[Path]:
    """Make a folder that nobody else reads, and remove it, whatever happens; those of killed runs are removed, too.

    Raises:
        BackupError: it cannot be made.

    """
    here = folder / f"{PARTIAL}{name}-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        here.mkdir(mode=0o700)
    except OSError as error:
        raise BackupError(f"{folder} cannot be used: {error.strerror}", hint="set folder in [backup]") from None
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, here, ignore_errors=True)
        locked(stack.enter_context((here / LOCK).open("wb")))
        yield here


def dump(
    name: str, address: Address, settings: BackupSettings, folder: Path
) -> tuple[Contents, Program, int, str, datetime]:
    """Dump a database into a folder that does not exist yet.

    Args:
        name: of the database, for messages.
        address: past any pooler.
        settings: how.
        folder: where.

    Returns:
        What it holds, the program, the server's version, the database's name, the snapshot's moment.

    Raises:
        BackupError: pg_dump is missing, too old or fails; nothing usable is in the folder then.

    """
    with connect(address, autocommit=True) as connection:
        version = connection.info.server_version
    program = find("pg_dump", settings.programs, version // 10000, name)
    if program.major >= SETS_A_TIMEOUT > version // 10000:
        raise BackupError(
            f"{program.path} is version {program.major}: PostgreSQL {version // 10000} cannot restore its dumps",
            hint=f"install PostgreSQL {version // 10000}'s client, and name its folder: programs in [backup]",
        )
    try:
        with snapshot(address) as connection:
            row = connection.execute("SELECT pg_catalog.pg_export_snapshot(), now(), current_database()").fetchone()
            assert row is not None  # noqa: S101  a SELECT without FROM has one row
            shared, moment, dbname = row
            given = _arguments(settings, folder, shared)
            with ThreadPoolExecutor(1) as pool, program.running(address, given) as process:
                contents = pool.submit(read_contents, connection, address, settings.jobs)
                _end(process, address, name)
                return contents.result(), program, version, dbname, moment
    except psycopg.Error as error:
        raise BackupError(
            f"{name}: its rows cannot be read: {clean(address, error)}",
            hint="the role must be able to read every table",
        ) from None


def _arguments(settings: BackupSettings, folder: Path, shared: str) -> list[str]:
    arguments = ["--format=directory", f"--jobs={settings.jobs}", f"--file={folder}", f"--snapshot={shared}"]
    return [*arguments, f"--compress={settings.compress}"]


def _end(process: subprocess.Popen[str], address: Address, name: str) -> None:
    _, said = process.communicate()
    if process.returncode:
        how = f"was ended by signal {-process.returncode}" if process.returncode < 0 else "failed"
        raise BackupError(f"{name}: pg_dump {how}: {complaint(said, address)}", hint="nothing has been kept of it")


def _sweep(folder: Path) -> None:
    """Remove what killed runs have left: nobody holds the lock of it."""
    for one in folder.glob(f"{PARTIAL}*"):
        with contextlib.suppress(OSError), (one / LOCK if one.is_dir() else one).open("rb") as file:
            if locked(file):
                shutil.rmtree(one, ignore_errors=True) if one.is_dir() else one.unlink()
