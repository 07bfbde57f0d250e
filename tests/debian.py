"""Programs from Debian's packages that need not be installed: unpacked into the cache, once."""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from syncline.embedded.paths import cache_dir


class UnavailableError(Exception):
    """It is not here and cannot be fetched; the message says why."""


def unpacked(package: str, *, alone: bool = False, beside: Sequence[str] = ()) -> Path:
    """Unpack a package, and (unless ``alone``) what it needs that is not installed; nothing is installed.

    What it shall stand ``beside`` is unpacked into the same folder, installed or not.
    """
    folder = cache_dir() / package
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                _unpack(package, Path(scratch), alone=alone, beside=beside)
                (Path(scratch) / "root").rename(folder)
    return folder


def library_path(root: Path, *below: str) -> Mapping[str, str]:
    """Give the environment in which an unpacked program finds its libraries."""
    found = [str(path / name) for path in (root / "usr/lib").glob("*-linux-gnu*") for name in ("", *below)]
    return {"LD_LIBRARY_PATH": ":".join(found)}


def server_with(extension: str, major: int) -> Path:
    """Give the folder of the programs of Debian's own PostgreSQL with an extension of its packages."""
    server = f"postgresql-{major}"
    root = unpacked(f"{server}-{extension}", beside=[server])
    home = root / "usr/lib/postgresql" / str(major)
    for library in (root / "usr/lib").glob("*-linux-gnu*/*.so*"):
        if not (home / "lib" / library.name).exists():
            (home / "lib" / library.name).symlink_to(library)
    return home / "bin"


def _unpack(package: str, scratch: Path, *, alone: bool, beside: Sequence[str]) -> None:
    names = [package] if alone else _missing(package, scratch)
    names += [name for name in beside if name not in names]
    _run(["apt-get", "download", *names], package, scratch)
    for archive in scratch.glob("*.deb"):
        _run(["dpkg-deb", "--extract", str(archive), str(scratch / "root")], package, scratch)


def _missing(package: str, scratch: Path) -> list[str]:
    simulated = _run(["apt-get", "install", "--simulate", "--no-install-recommends", package], package, scratch)
    return [line.split()[1] for line in simulated.splitlines() if line.startswith("Inst ")]


def _run(arguments: list[str], package: str, folder: Path) -> str:
    try:
        return subprocess.run(arguments, cwd=folder, check=True, capture_output=True, text=True, timeout=240).stdout
    except FileNotFoundError:
        raise UnavailableError(f"{package} is not here, and no {arguments[0]} to fetch it") from None
    except subprocess.SubprocessError as error:
        told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1:]
        raise UnavailableError(f"{package} could not be fetched: {' '.join(told)}") from error
