"""Where backups are kept: a folder, or elsewhere by the user's commands. A file is there whole, or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Protocol, TypeVar, cast

from syncline.config.backup import BackupSettings
from syncline.errors import BackupError
from syncline.split.backup.commands import Command

T = TypeVar("T")
PARTIAL = ".partial-"
"""How what is being made begins; no such file is a backup."""


class Store(Protocol):
    """Keeps files by name."""

    place: str
    """For messages, without secrets."""

    def names(self) -> list[str]:
        """List the files."""
        ...

    def write(self, name: str, write: Callable[[IO[bytes]], T]) -> T:
        """Store what a function writes; nothing is stored if it raises."""
        ...

    def reading(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Lend a file's contents."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file."""
        ...


def store_of(settings: BackupSettings, home: Path) -> Store:
    """Give the store of a configuration."""
    return Elsewhere(settings) if settings.put else Folder(home / settings.folder)


class Folder:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.place = str(folder)

    def names(self) -> list[str]:
        """List the files."""
        if not self._folder.is_dir():
            return []
        return sorted(one.name for one in self._folder.iterdir() if one.is_file() and not one.name.startswith("."))

    def write(self, name: str, write: Callable[[IO[bytes]], T]) -> T:
        """Write a file under another name; it gets its own once it is whole and on the disk."""
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f"{PARTIAL}{name}"
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                locked(file)
                result = write(file)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(self._folder / name)
            _sync(self._folder)
        except OSError as error:
            raise BackupError(
                f"{self._folder}: {name} cannot be written: {error.strerror}", hint="nothing has been kept of it"
            ) from error
        finally:
            partial.unlink(missing_ok=True)
        return result

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file."""
        try:
            with (self._folder / name).open("rb") as file:
                yield file
        except FileNotFoundError:
            raise BackupError(f"there is no {name} in {self._folder}", hint="`syncline backup list`") from None

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self._folder / name).unlink(missing_ok=True)


class Elsewhere:
    """A place that only the user's commands know."""

    def __init__(self, settings: BackupSettings) -> None:
        self._settings = settings
        self.place = Command.read("put", settings.put).called

    def names(self) -> list[str]:
        """List the files."""
        lines = Command.read("list", self._settings.list_).output().decode(errors="replace").splitlines()
        return sorted(line.strip().rpartition("/")[2] for line in lines if line.strip())

    def write(self, name: str, write: Callable[[IO[bytes]], T]) -> T:
        """Feed the command."""
        with Command.read("put", self._settings.put, name=name).running(stdin=subprocess.PIPE) as process:
            return write(cast("IO[bytes]", process.stdin))

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """Read from the command."""
        with Command.read("get", self._settings.get, name=name).running(stdout=subprocess.PIPE) as process:
            yield cast("IO[bytes]", process.stdout)

    def remove(self, name: str) -> None:
        """Run the command."""
        Command.read("remove", self._settings.remove, name=name).output()


def locked(file: IO[bytes]) -> bool:
    """Lock a file that is being made, as long as it is open: nobody takes it for left behind."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
