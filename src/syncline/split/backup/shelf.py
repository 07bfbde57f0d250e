"""The backups that are in a store: those whose manifest and archive are both there. The manifest is stored last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncline.errors import BackupError, DamagedBackupError
from syncline.split.backup.manifest import SUFFIX, Manifest
from syncline.split.backup.store import Store

LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Shelf:
    """What is there."""

    backups: tuple[Manifest, ...]
    """Whole ones, the newest first."""
    broken: tuple[str, ...] = ()
    """Names of files of which no whole backup is there, and why."""


def shelf(store: Store, database: str | None = None) -> Shelf:
    """Look at a store.

    Args:
        store: the store.
        database: only backups of this one.

    Raises:
        BackupError: the store cannot be read.

    """
    names = store.names()
    found, broken, known = [], [], set[str]()
    for name in names:
        if not name.endswith(SUFFIX):
            continue
        known.add(name)
        try:
            manifest = _manifest(store, name)
        except DamagedBackupError as error:
            broken.append(error.message)
            known |= {one for one in names if one.startswith(name.removesuffix(SUFFIX) + ".")}
            continue
        known.add(manifest.archive)
        if manifest.archive not in names:
            broken.append(f"{name}: its archive {manifest.archive} is missing")
        elif database in (None, manifest.database):
            found.append(manifest)
    broken += [
        f"{name}: there is no manifest; the backup was not finished"
        for name in names
        if name not in known and ".tar" in name
    ]
    return Shelf(tuple(sorted(found, key=lambda one: (one.taken_at, one.name), reverse=True)), tuple(broken))


def chosen(store: Store, name: str, database: str | None = None) -> Manifest:
    """Find a backup by its name, or the latest one.

    Raises:
        BackupError: it is not there, or is not whole.

    """
    there = shelf(store, database)
    for one in there.backups:
        if name in (LATEST, one.name):
            return one
    for why in there.broken:
        if why.startswith(name):
            raise BackupError(why, hint="take another one: `syncline backup list` shows those that are whole")
    what = "no backup" if name == LATEST else f"no backup {name}"
    raise BackupError(f"there is {what} in {store.place}", hint="`syncline backup list` shows those that are there")


def outdated(backups: Sequence[Manifest], keep: int, keep_for: timedelta | None, now: datetime) -> list[Manifest]:
    """Choose what may go: neither among the newest nor young enough. ``None`` keeps all for ever."""
    newest = sorted(backups, key=lambda one: (one.taken_at, one.name), reverse=True)
    return [] if keep_for is None else [one for one in newest[keep:] if one.taken_at < now - keep_for]


def _manifest(store: Store, name: str) -> Manifest:
    with store.reading(name) as file:
        return Manifest.read(file.read(), name)
