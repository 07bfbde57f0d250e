"""Which PostgreSQL the tests run on, and the programs of a client: its own, or else the wheel's, which is newer."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from syncline.embedded import postgres
from syncline.engines.postgres.documents.session import OLDEST
from syncline.errors import EngineError

NEWER = b"SET transaction_timeout = 0;\n"
"""What pg_dump 17 writes, whichever server it has dumped, and an older server does not know."""


@functools.cache
def major(binaries: Path) -> int:
    """Say which PostgreSQL the programs in a folder are."""
    command = [binaries / "postgres", "--version"]
    environment = {"LD_LIBRARY_PATH": str(binaries.parent / "lib")}
    asked = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return int(asked.stdout.split()[-1].split(".")[0])


def server_major() -> int | None:
    """Say which PostgreSQL the shared server of the tests is, or will be; none without one."""
    try:
        return major(postgres.find_binaries())
    except EngineError:
        return None


def collation() -> str:
    """Name one whose order is not that of the bytes: the wheel has no ICU, and nothing before 18 has another."""
    return "pg_unicode_fast" if (server_major() or 0) >= 18 else '"en-x-icu"'


def since(names: Iterable[str], needs: Mapping[str, tuple[int, str]]) -> list[Any]:
    """Give a test its parameters: what some of them need of PostgreSQL is their mark."""
    return [pytest.param(name, marks=pytest.mark.postgres(*needs[name])) if name in needs else name for name in names]


FLUSHED = pytest.mark.postgres(15, "pg_stat_force_next_flush")
"""What a test reads of the statistics is there at once."""


DOCUMENT_LINKS = pytest.mark.postgres(OLDEST, "tables of documents")


def program(name: str) -> Path:
    """Find a program of a client, or skip the test, aloud: npm's packages have the server alone."""
    folders = [postgres.find_binaries()]
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv(postgres.BINARIES_VARIABLE, raising=False)
        folders.append(postgres.find_binaries())
    for folder in folders:
        if (folder / name).exists():
            return folder / name
    if found := shutil.which(name):
        return Path(found)
    pytest.skip(f"no {name}: neither beside the server, nor in the wheel, nor on PATH")


def psql(url: str, script: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a script; whether an error ends it is the script's business, or that of the options."""
    command = [program("psql"), "--no-psqlrc", "--quiet", *options, "--dbname", url]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False)


def dumped(url: str, *options: str) -> str:
    """Dump a database as a script that this very server can read."""
    command = [program("pg_dump"), *options, "--dbname", url]
    script = subprocess.run(command, check=True, capture_output=True).stdout
    return script.replace(NEWER, b"").decode()


def restore(url: str, script: str) -> None:
    """Run what ``dumped`` gave."""
    done = psql(url, script, "--set=ON_ERROR_STOP=1")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
