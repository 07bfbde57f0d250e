"""A dump as one stream: files, one after the other, hashed on their way, through a command that encrypts."""

from __future__ import annotations

import contextlib
import hashlib
import io
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, cast

from syncline.errors import DamagedBackupError
from syncline.split.backup.commands import Command
from syncline.split.backup.manifest import Manifest

INNER = "manifest.json"
"""The manifest's copy inside of the archive: what was encrypted with the rows says what they are."""
CHUNK = 1 << 20


class Counted:
    """A file that counts and hashes what is written to it."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Pass it on."""
        self._target.write(data)
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    @property
    def sha256(self) -> str:
        """Of everything so far."""
        return self._hash.hexdigest()


def hashes(folder: Path) -> dict[str, str]:
    """Hash the files of a dump, a piece at a time."""
    found = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def pack(folder: Path, manifest: Manifest, encrypt: Command | None, target: IO[bytes]) -> tuple[int, str]:
    """Write a dump and its manifest as one stream; give size and SHA-256 of what was written.

    Raises:
        BackupError: the command fails.

    """
    counted = Counted(target)
    if encrypt is None:
        _pack(folder, manifest, cast("IO[bytes]", counted))
        return counted.size, counted.sha256
    broken: list[OSError] = []

    def write(data: bytes) -> None:
        if not broken:  # else the rest is read only to let the command end
            try:
                counted.write(data)
            except OSError as error:
                broken.append(error)

    with encrypt.running(stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        with _beside(lambda: _each(stdout, write)):
            _pack(folder, manifest, stdin)
            stdin.close()
    if broken:
        raise broken[0]
    return counted.size, counted.sha256


def unpack(source: IO[bytes], decrypt: Command | None, folder: Path | None, manifest: Manifest) -> tuple[int, str]:
    """Read a stream, compare each file with the manifest, and put them into a folder if there is one.

    Returns:
        Size and SHA-256 of the stream as it was stored.

    Raises:
        DamagedBackupError: something is missing, or is not what was stored.
        BackupError: the command fails.

    """
    hashed, size = hashlib.sha256(), 0

    def stored() -> Iterator[bytes]:
        nonlocal size
        while data := source.read(CHUNK):
            hashed.update(data)
            size += len(data)
            yield data

    if decrypt is None:
        reader = _Reader(stored())
        _unpack(cast("IO[bytes]", reader), folder, manifest, encrypted=False)
        reader.drain()
        return size, hashed.hexdigest()
    failed: DamagedBackupError | OSError | None = None
    with decrypt.running(stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        with _beside(lambda: _feed(stdin, stored())):
            try:
                _unpack(stdout, folder, manifest, encrypted=True)
            except (DamagedBackupError, OSError) as error:
                failed = error  # unless the command itself has failed, which says more
            _each(stdout, lambda _: None)
    if failed is not None:
        raise failed
    return size, hashed.hexdigest()


def _pack(folder: Path, manifest: Manifest, target: IO[bytes]) -> None:
    inner = manifest.inner().write()
    with tarfile.open(fileobj=target, mode="w|", bufsize=CHUNK) as tar:
        about = tarfile.TarInfo(INNER)
        about.size = len(inner)
        tar.addfile(about, io.BytesIO(inner))
        for name in manifest.files:
            tar.add(folder / name, arcname=f"dump/{name}", recursive=False)


def _unpack(source: IO[bytes], folder: Path | None, manifest: Manifest, *, encrypted: bool) -> None:
    seen: set[str] = set()
    try:
        with tarfile.open(fileobj=source, mode="r|", bufsize=CHUNK) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None  # noqa: S101  only files are packed
                if member.name == INNER:
                    _compare(Manifest.read(file.read(), manifest.archive), manifest)
                    continue
                name = member.name.removeprefix("dump/")
                _one(file, name, folder, manifest.files)
                seen.add(name)
    except (tarfile.TarError, EOFError, AssertionError) as error:
        hint = "is it the right key, and is decrypt the way back of encrypt?" if encrypted else "take another backup"
        raise DamagedBackupError(f"{manifest.archive}: it cannot be read: {error}", hint=hint) from None
    if missing := manifest.files.keys() - seen:
        raise DamagedBackupError(f"{manifest.archive}: {len(missing)} files are missing", hint="take another backup")


def _compare(inner: Manifest, outer: Manifest) -> None:
    if inner != outer.inner():
        raise DamagedBackupError(
            f"{outer.key}: it is not the manifest of what {outer.archive} holds", hint="take another backup"
        )


def _one(file: IO[bytes], name: str, folder: Path | None, wanted: Mapping[str, str]) -> None:
    if name not in wanted or "/" in name or name.startswith("."):
        raise DamagedBackupError(f"a file {name!r} of which the manifest does not know", hint="take another backup")
    hashed = hashlib.sha256()
    with contextlib.ExitStack() as stack:
        target = stack.enter_context((folder / name).open("xb")) if folder else None
        while data := file.read(CHUNK):
            hashed.update(data)
            if target is not None:
                target.write(data)
    if hashed.hexdigest() != wanted[name]:
        raise DamagedBackupError(f"the file {name} is not what was stored", hint="take another backup")


class _Reader:
    """A stream of pieces, read as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def read(self, size: int) -> bytes:
        while len(self._left) < size and (piece := next(self._pieces, b"")):
            self._left += piece
        data, self._left = self._left[:size], self._left[size:]
        return data

    def drain(self) -> None:
        for _ in self._pieces:
            pass


def _each(source: IO[bytes], take: Callable[[bytes], None]) -> None:
    while data := source.read(CHUNK):
        take(data)


def _feed(target: IO[bytes], pieces: Iterator[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the command's end says why it reads no more
        for piece in pieces:
            target.write(piece)
    for _ in pieces:  # hashed whole, whatever the command reads
        pass
    with contextlib.suppress(BrokenPipeError):
        target.close()


@contextlib.contextmanager
def _beside(work: Callable[[], None]) -> Iterator[None]:
    """Do something by a thread during a block. What goes wrong there is raised at its end."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  raised again by the one that waits
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join()
    if failed:
        raise failed[0]
